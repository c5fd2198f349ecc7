"""Make one image set (set.json) from the shards of a recovery, a control, a coreset or an import;
or of two of them, the first for the first slots.

Everything after the images depends on this small file alone; it names the shards by their hashes.
"""

import argparse
from pathlib import Path

import torch

from scdd.artifacts.config import Frozen
from scdd.artifacts.dataset import load_info
from scdd.artifacts.images import make_set
from scdd.artifacts.whitening import load_whitening
from scdd.jobs import arguments, runtime
from scdd.jobs.progress import say


def work(args: argparse.Namespace, config: Frozen, _: torch.device) -> None:
    info, parents, ipc = load_info(args.data), dict(config.parents), config.params["ipc"]
    if args.whitening is not None:  # a wrong one shall be refused here, not by every student
        load_whitening(args.whitening, info, args.data, parents.pop("whitening"))
    image_set = make_set(
        args.out,
        args.source,
        info.classes,
        ipc=ipc,
        resolution=info.resolution,
        method=config.params["method"],
        pixels=config.params["pixels"],
        digest=config.digest,
        whitening=args.whitening,
        sources=list(parents.values()),
        mean=info.mean,
        std=info.std,
        last=None if args.last is None else (args.last, ipc - config.params["distilled"]),
    )
    content = image_set.content[:16]
    say(
        f"{len(info.classes)} classes, {image_set.ipc} images each ({image_set.pixels}), content "
        f"{content}"
    )


def main(argv: list[str] | None = None) -> int:
    parser = arguments.parser(__doc__, "data", out="the set.json to write")
    parser.add_argument("--source", type=Path, required=True, help="the folder of the shards")
    parser.add_argument("--last", type=Path, help="the folder of the shards of the last slots")
    parser.add_argument("--whitening", type=Path, help="of the space that students train in")
    return runtime.run("imageset", parser, work, argv)


if __name__ == "__main__":
    raise SystemExit(main())
