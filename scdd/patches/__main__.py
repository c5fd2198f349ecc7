"""Rank the training images of each class by what an observer, a probed network, sees in them.

The whole ranking is made at once, so that every IPC, and jobs on different devices, take their
images from the same.
"""

import sys
from argparse import Namespace

import torch

from scdd.artifacts.config import Frozen
from scdd.artifacts.patches import save_rankings
from scdd.data.source import open_dataset
from scdd.jobs import arguments, runtime
from scdd.jobs.saved import JobState
from scdd.networks.teachers import load_teacher
from scdd.params.patches import Patches
from scdd.patches.ranking import rankings


def work(args: Namespace, config: Frozen, device: torch.device, saved: JobState) -> None:
    dataset = open_dataset(args.data, args.root)
    info = dataset.info
    network, _ = load_teacher(args.teacher, config, info.classes, args.data)
    params = Patches.of(config.params) if config.params["method"] == "easiest" else None
    made = rankings(network, dataset.originals, info, params, device, saved)
    factor = 1 if params is None else params.factor
    save_rankings(args.out, made, factor, info.classes, config.digest, runtime.environment(device))


def main(argv: list[str] | None = None) -> int:
    parser = arguments.long_parser(
        __doc__, "data", "root", "teacher", out="the patches.safetensors to write"
    )
    return runtime.run_long("patches", parser, work, argv, outputs=("out",))


if __name__ == "__main__":
    sys.exit(main())
