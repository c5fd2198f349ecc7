"""Make an image set (set.json) of the shards of a recovery, a selection or an import.

All later stages depend on this small file alone; it names the shards by hash.
"""

import argparse
from pathlib import Path

import torch

from scdd.artifacts.config import Frozen
from scdd.artifacts.dataset import load_info
from scdd.artifacts.images import make_set
from scdd.jobs import runtime
from scdd.jobs.progress import say


def work(args: argparse.Namespace, config: Frozen, _: torch.device) -> None:
    info = load_info(args.data)
    images = make_set(
        args.out,
        args.source,
        info.classes,
        ipc=config.params["ipc"],
        resolution=info.resolution,
        method=config.params["method"],
        digest=config.digest,
        sources=list(config.parents.values()),
        mean=info.mean,
        std=info.std,
    )
    say(f"{len(images.classes)} classes, {images.ipc} images each, content {images.content[:16]}")


def main(argv: list[str] | None = None) -> int:
    parser = runtime.parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="dataset.json")
    parser.add_argument("--source", type=Path, required=True, help="the folder of the shards")
    parser.add_argument("--out", type=Path, required=True, help="set.json")
    return runtime.run("imageset", parser, work, argv)


if __name__ == "__main__":
    raise SystemExit(main())
