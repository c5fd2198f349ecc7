"""Make one image set (set.json) from the shards of a recovery, a control, a coreset or an import;
or of two of them, the first for the first slots. It has all classes, or, as a memory of continual
learning, the first ones of a class order.

Everything after the images depends on this small file alone; it names the shards by their hashes.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from scdd.artifacts.config import Frozen
from scdd.artifacts.dataset import load_info
from scdd.artifacts.images import make_set
from scdd.artifacts.whitening import load_whitening
from scdd.jobs import arguments, runtime
from scdd.jobs.progress import say
from scdd.rng import generator


def seen_classes(classes: Sequence[str], order: int, count: int) -> list[str]:
    """The first `count` classes of the class order of this number, as they stand in `classes`."""
    drawn = torch.randperm(len(classes), generator=generator(order, "class order"))
    return [classes[index] for index in sorted(drawn[:count].tolist())]


def work(args: argparse.Namespace, config: Frozen, _: torch.device) -> None:
    params, info, parents = config.params, load_info(args.data), dict(config.parents)
    ipc, seen = params["ipc"], params.get("seen")
    if args.whitening is not None:  # a wrong one shall be refused here, not by every student
        load_whitening(args.whitening, info, args.data, parents.pop("whitening"))
    image_set = make_set(
        args.out,
        args.source,
        info.classes,
        ipc=ipc,
        resolution=info.resolution,
        method=params["method"],
        pixels=params["pixels"],
        digest=config.digest,
        whitening=args.whitening,
        sources=list(parents.values()),
        mean=info.mean,
        std=info.std,
        last=None if args.last is None else (args.last, ipc - params["distilled"]),
        only=None if seen is None else seen_classes(info.classes, params["order"], seen),
    )
    content = image_set.content[:16]
    say(
        f"{len(image_set.classes)} classes, {image_set.ipc} images each ({image_set.pixels}), "
        f"content {content}"
    )


def main(argv: list[str] | None = None) -> int:
    parser = arguments.parser(__doc__, "data", out="the set.json to write")
    parser.add_argument("--source", type=Path, required=True, help="the folder of the shards")
    parser.add_argument("--last", type=Path, help="the folder of the shards of the last slots")
    parser.add_argument("--whitening", type=Path, help="of the space that students train in")
    return runtime.run("imageset", parser, work, argv)


if __name__ == "__main__":
    raise SystemExit(main())
