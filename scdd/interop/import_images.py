"""Take the images of a distilled set that others made, for a range of slots of all classes, as the
recovery's shards."""

import argparse
from pathlib import Path

import torch

from scdd.artifacts.config import Frozen
from scdd.artifacts.dataset import load_info
from scdd.artifacts.shards import save_checksums, save_shard
from scdd.data.folders import set_files
from scdd.interop.contents import require_planned
from scdd.interop.distilled_sets import make
from scdd.jobs import runtime
from scdd.jobs.progress import track


def work(args: argparse.Namespace, config: Frozen, device: torch.device) -> None:
    info, params = load_info(args.data), config.params
    require_planned(args.source, set_files(args.source), params["sha256"], args.source)
    mean, std = (tuple(params[key]) if params[key] else None for key in ("mean", "std"))
    record = {
        "digest": config.digest,
        "source": {"file": str(args.source), "sha256": params["sha256"]},
        "env": runtime.environment(device),
    }
    made = make(args.source, info, args.slots, mean, std)
    for index, images in enumerate(track(made, "classes", total=len(info.classes))):
        save_shard(args.out, args.slots, info.classes, index, images, record=record)
    save_checksums(args.out, args.slots, (0, len(info.classes)))


def main(argv: list[str] | None = None) -> int:
    parser = runtime.parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="dataset.json")
    parser.add_argument("--source", type=Path, required=True, help="their folder or file")
    parser.add_argument("--slots", type=runtime.span, required=True, help="a range, e.g. 1:10")
    parser.add_argument("--out", type=Path, required=True, help="the folder of the shards")
    return runtime.run("import_images", parser, work, argv)


if __name__ == "__main__":
    raise SystemExit(main())
