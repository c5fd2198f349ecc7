"""Import a distilled set: write its images, for a range of slots of all classes, as shards."""

import argparse
from pathlib import Path

import torch

from scdd.artifacts.config import Frozen
from scdd.artifacts.dataset import load_info
from scdd.artifacts.shards import save_shards
from scdd.data.exported import image_root
from scdd.data.folders import set_files
from scdd.interop.contents import require_planned
from scdd.interop.distilled_sets import class_images
from scdd.jobs import arguments, runtime
from scdd.jobs.progress import track


def work(args: argparse.Namespace, config: Frozen, device: torch.device) -> None:
    info, params = load_info(args.data), config.params
    source = image_root(args.source)
    require_planned(source, set_files(source), params["sha256"], args.source)
    mean, std = (tuple(params[key]) if params[key] else None for key in ("mean", "std"))
    record = {
        "digest": config.digest,
        "source": {"file": str(args.source), "sha256": params["sha256"]},
        "env": runtime.environment(device),
    }
    count = len(info.classes)
    found = class_images(source, info, args.slots, mean, std, params.get("range"))
    images = track(found, "classes", total=count)
    save_shards(args.out, args.slots, info.classes, (0, count), images, record=record)


def main(argv: list[str] | None = None) -> int:
    parser = arguments.parser(__doc__, "data", "slots", out="the folder of the shards")
    parser.add_argument("--source", type=Path, required=True, help="their folder or file")
    return runtime.run("import_images", parser, work, argv)


if __name__ == "__main__":
    raise SystemExit(main())
