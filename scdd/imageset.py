"""Make one image set (set.json) from the shards of a recovery, a control or a coreset.

Everything after the images depends on this small file alone; it names the shards by their hashes.
"""

import argparse
from pathlib import Path

import torch

from scdd.artifacts.config import Frozen
from scdd.artifacts.dataset import load_info
from scdd.artifacts.images import make_set
from scdd.jobs import arguments, runtime
from scdd.jobs.progress import say


def work(args: argparse.Namespace, config: Frozen, _: torch.device) -> None:
    info = load_info(args.data)
    image_set = make_set(
        args.out,
        args.source,
        info.classes,
        ipc=config.params["ipc"],
        resolution=info.resolution,
        method=config.params["method"],
        pixels=config.params["pixels"],
        digest=config.digest,
        sources=list(config.parents.values()),
        mean=info.mean,
        std=info.std,
    )
    content = image_set.content[:16]
    say(f"{len(info.classes)} classes, {image_set.ipc} images each, content {content}")


def main(argv: list[str] | None = None) -> int:
    parser = arguments.parser(__doc__, "data", out="the set.json to write")
    parser.add_argument("--source", type=Path, required=True, help="the folder of the shards")
    return runtime.run("imageset", parser, work, argv)


if __name__ == "__main__":
    raise SystemExit(main())
