"""Import a distilled set: write its images, for a range of slots of all classes, as shards."""

import argparse
from collections.abc import Iterable, Iterator
from itertools import tee
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scdd.artifacts.config import Frozen
from scdd.artifacts.dataset import load_info
from scdd.artifacts.shards import save_shards
from scdd.artifacts.whitening import load_whitening
from scdd.data.exported import image_root
from scdd.data.folders import set_files
from scdd.interop.contents import require_planned
from scdd.interop.distilled_sets import OfClass, class_images
from scdd.jobs import arguments, runtime
from scdd.jobs.progress import track
from scdd.params.select import Import


def work(args: argparse.Namespace, config: Frozen, device: torch.device) -> None:
    info, sha256 = load_info(args.data), config.params["sha256"]
    stated = Import.of({**config.params, "path": str(args.source)})
    source = image_root(args.source)
    require_planned(source, set_files(source), sha256, args.source)
    whitening = None
    if args.whitening is not None:
        digest = config.parents["whitening"]
        whitening = load_whitening(args.whitening, info, args.data, digest)
    record: dict[str, Any] = {
        "digest": config.digest,
        "source": {"file": str(args.source), "sha256": sha256},
        "env": runtime.environment(device),
    }
    if stated.student_lr is not None:
        record["student_lr"] = stated.student_lr
    count = len(info.classes)
    found = class_images(source, info, args.slots, stated, whitening)
    images, floats, labels = _parted(track(found, "classes", total=count))
    save_shards(
        args.out,
        args.slots,
        info.classes,
        (0, count),
        images,
        record=record,
        floats=floats,
        labels=labels,
    )


Parts = Iterator[Tensor | None]


def _parted(found: Iterable[OfClass]) -> tuple[Iterator[Tensor], Parts, Parts]:
    """Images, floats and labels of the classes, to be read side by side: a folder's images are in
    memory one class at a time."""
    first, second, third = tee(found, 3)
    return (
        (each.images for each in first),
        (each.floats for each in second),
        (each.labels for each in third),
    )


def main(argv: list[str] | None = None) -> int:
    parser = arguments.parser(__doc__, "data", "slots", out="the folder of the shards")
    parser.add_argument("--source", type=Path, required=True, help="their folder or file")
    parser.add_argument("--whitening", type=Path, help="by which their images were whitened")
    return runtime.run("import_images", parser, work, argv)


if __name__ == "__main__":
    raise SystemExit(main())
