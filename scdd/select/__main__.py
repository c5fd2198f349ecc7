"""Make images that are not recovered, for a range of slots of all classes, as shards.

Those of a coreset are real training images, in the order that --order has; those of RDED are put
together of crops of real images, in the order that --patches has. Nested, but for several crops in
an image; uint8.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from scdd.artifacts.config import Frozen
from scdd.artifacts.order import load_order
from scdd.artifacts.shards import save_shards
from scdd.data.source import Dataset, open_dataset
from scdd.errors import ScddError
from scdd.jobs import arguments, runtime
from scdd.jobs.progress import track
from scdd.patches.images import open_rankings, patch_images
from scdd.select.methods import method
from scdd.select.real import taken


def chosen_images(args: argparse.Namespace, config: Frozen, dataset: Dataset) -> Iterator[Tensor]:
    """The images of the slots, class by class: uint8 [n, 3, R, R] each."""
    params = config.params
    if "patches" in config.parents:
        if args.patches is None:
            raise ScddError("--patches is needed: the ranking that these images are taken from.")
        rankings = open_rankings(args.patches, dataset, config.parents["patches"])
        split, info = dataset.originals, dataset.info
        ipc, storage = params.get("ipc"), params["storage"]
        return patch_images(split, info, rankings, args.slots, ipc, storage)
    if "order" not in config.parents:
        return method(params["method"]).make(dataset, args.slots, params["seed"])
    if args.order is None:
        raise ScddError("--order is needed: the order in which this coreset takes images.")
    orders = load_order(
        args.order,
        digest=config.parents["order"],
        labels=dataset.train.labels,
        classes=dataset.info.classes,
        classes_of=args.data,
    )
    return taken(dataset, args.slots, orders)


def work(args: argparse.Namespace, config: Frozen, device: torch.device) -> None:
    dataset = open_dataset(args.data, args.root)
    record = {
        "digest": config.digest,
        "seed": config.params.get("seed"),
        "env": runtime.environment(device),
    }
    classes = dataset.info.classes
    images = track(chosen_images(args, config, dataset), "classes", total=len(classes))
    save_shards(args.out, args.slots, classes, (0, len(classes)), images, record=record)


def main(argv: list[str] | None = None) -> int:
    parser = arguments.parser(__doc__, "data", "root", "slots", out="the folder of the shards")
    parser.add_argument("--order", type=Path, help="order.safetensors (coresets)")
    parser.add_argument("--patches", type=Path, help="patches.safetensors (RDED)")
    return runtime.run("select", parser, work, argv)


if __name__ == "__main__":
    raise SystemExit(main())
