"""Gather what the layers of a teacher see of the training images: what a recovery matches beside
running BatchNorm statistics.

Once for a teacher, so that not each job of its recoveries passes the training set through it. The
images are whole and unchanged, in one random order (as released, they are padded crops in another
order for each network).
"""

import argparse
from collections.abc import Iterable

import torch
from torch import Tensor

from scdd import rng
from scdd.artifacts.config import Frozen
from scdd.artifacts.dataset import DatasetInfo
from scdd.artifacts.statistics import Real, save_statistics
from scdd.data.source import Split, open_dataset
from scdd.errors import ScddError
from scdd.jobs import arguments, runtime
from scdd.jobs.saved import JobState
from scdd.networks.backbone import in_eval_mode
from scdd.networks.teachers import load_teacher
from scdd.params.statistics import Statistics
from scdd.recover.starts import as_normalised
from scdd.recover.targets import real_statistics
from scdd.views.pixels import normalise

BATCH = 64  # images in a batch: part of what the statistics of convolutions are


def of_training_set(
    network: torch.nn.Module,
    train: Split,
    info: DatasetInfo,
    params: Statistics,
    device: torch.device,
    saved: JobState | None = None,
) -> Real:
    """The statistics of all training images. info: with the mean and std of the recovery. Raises
    ScddError if a class has no images to match."""
    train, order = (
        train.to(device),
        torch.randperm(len(train), generator=rng.generator("statistics")),
    )
    present = set(train.labels.tolist())
    for label, name in enumerate(info.classes):
        if label not in present:
            raise ScddError(f"class {name!r} has no training images to match.")

    def batches(skip: int) -> Iterable[tuple[Tensor, Tensor]]:
        for index, images in train.batches(order[skip * BATCH :], BATCH, device):
            yield train.labels[index], normalise(images, info)

    return real_statistics(
        network,
        batches,
        params,
        images=len(train),
        size=BATCH,
        classes=len(info.classes),
        shape=(3, info.resolution, info.resolution),
        saved=saved,
    )


def work(args: argparse.Namespace, config: Frozen, device: torch.device, saved: JobState) -> None:
    dataset, params = open_dataset(args.data, args.root), Statistics.of(config.params)
    network, _ = load_teacher(args.teacher, config, dataset.info.classes, args.data)
    info = as_normalised(dataset.info, params)
    network = in_eval_mode(network, device)
    real = of_training_set(network, dataset.train, info, params, device, saved)
    names, env = dataset.info.classes, runtime.environment(device)
    save_statistics(args.out, real, names, config.digest, env)


def main(argv: list[str] | None = None) -> int:
    parser = arguments.long_parser(
        __doc__, "data", "root", "teacher", out="the statistics to write"
    )
    return runtime.run_long("statistics", parser, work, argv, outputs=("out",))


if __name__ == "__main__":
    raise SystemExit(main())
