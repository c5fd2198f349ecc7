"""Make one image set (set.json) of the shards that a recovery or a baseline has left.

Everything after the images depends on this small file alone; it names the shards by hash.
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
    made = make_set(
        args.out,
        args.source,
        info.classes,
        ipc=config.params["ipc"],
        resolution=info.resolution,
        method=config.params["method"],
        digest=config.digest,
        made_by=list(config.parents.values()),
        mean=info.mean,
        std=info.std,
    )
    say(f"{len(made.classes)} classes, {made.ipc} images each, content {made.content[:16]}")


def main(argv: list[str] | None = None) -> int:
    parser = arguments.parser(__doc__, "data", out="the set.json to write")
    parser.add_argument("--source", type=Path, required=True, help="the folder of the shards")
    return runtime.run("imageset", parser, work, argv)


if __name__ == "__main__":
    raise SystemExit(main())
