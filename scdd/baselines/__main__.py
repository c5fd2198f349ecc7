"""Make the images of a baseline, for a range of slots of all classes, as the recovery's shards."""

import argparse
from pathlib import Path

import torch

from scdd import runtime
from scdd.artifacts.config import Frozen
from scdd.artifacts.images import save_checksums, save_shard
from scdd.baselines import method
from scdd.data.source import open_dataset
from scdd.progress import track


def work(args: argparse.Namespace, config: Frozen, device: torch.device) -> None:
    dataset, seed = open_dataset(args.data, args.root), config.params["seed"]
    record = {"digest": config.digest, "seed": seed, "env": runtime.environment(device)}
    made = method(config.params["method"]).make(dataset, args.slots, seed)
    classes = dataset.info.classes
    for index, images in enumerate(track(made, "classes", total=len(classes))):
        save_shard(args.out, args.slots, classes, index, images, record=record)
    save_checksums(args.out, args.slots, (0, len(classes)))


def main(argv: list[str] | None = None) -> int:
    parser = runtime.parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="dataset.json")
    parser.add_argument("--root", type=Path, required=True, help="the data root")
    parser.add_argument("--slots", type=runtime.span, required=True, help="a range, e.g. 1:10")
    parser.add_argument("--out", type=Path, required=True, help="the folder of the shards")
    return runtime.run("baselines", parser, work, argv)


if __name__ == "__main__":
    raise SystemExit(main())
