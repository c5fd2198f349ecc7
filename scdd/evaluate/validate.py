"""Train a student from scratch on a distilled set, or on the whole training set, and test it.

With soft labels the student sees exactly the views that the teacher labelled (FKD). The accuracy
is that of the last epoch: nothing is chosen by the test set. A student of images of some classes
knows these alone, and is tested on their validation images.
"""

import argparse
from collections.abc import Mapping
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from scdd.artifacts.config import Frozen
from scdd.artifacts.dataset import DatasetInfo
from scdd.artifacts.files import write_json, write_text
from scdd.artifacts.images import SetInfo
from scdd.artifacts.labels import LabelStore, open_store
from scdd.data.batches import batch_count
from scdd.data.placement import load_if_room, open_images, whitened_validation
from scdd.data.source import Dataset, Split, open_dataset
from scdd.errors import ScddError
from scdd.evaluate.feeds import Feed, hard_feed, pooled_feed, soft_feed
from scdd.evaluate.losses import Criterion, soft_criterion
from scdd.evaluate.train import COLUMNS, Row, accuracy, fit
from scdd.jobs import arguments, runtime
from scdd.jobs.capture import Compiled
from scdd.jobs.curve import csv_text
from scdd.jobs.progress import say
from scdd.jobs.saved import JobState
from scdd.labels.labelling import Labelling
from scdd.labels.replay import Store
from scdd.networks.backbone import in_channels_last
from scdd.networks.students import build
from scdd.params.network import Network
from scdd.params.protocol import Loss, Student
from scdd.params.views import Transform
from scdd.rng import generator


def lesson_of(
    config: Mapping[str, Any],
    training: Student,
    split: Split,
    store: Store | None,
    info: DatasetInfo,
    device: torch.device,
) -> tuple[Feed[Any], Criterion[Any]]:
    """The batches of the images in `split`, with the soft labels of `store` or, without one, hard
    labels, and the loss. config: the student's parameters, as config.json has them."""
    if store is None:
        # of the student's own seed; batches matter only where they are mixed within
        batch = training.batch if training.mix_by == "batch" else None
        labelling = Labelling(Transform.of(config), training.seed, training.mix_by, batch)
        feed = hard_feed(split, labelling, training, info, device, training.dsa)
        return feed, F.cross_entropy
    mix = store.origin.transform["mix"]
    taught = soft_feed if training.label_reuse == "epochs" else pooled_feed
    return taught(split, store, training, mix, info, device), soft_criterion(Loss.of(config))


def store_of(
    args: argparse.Namespace,
    config: Frozen,
    training: Student,
    images: SetInfo | None,
    info: DatasetInfo,
) -> LabelStore | None:
    """The student's soft labels; None: it has hard ones. images: the set that it is trained on;
    None: the training set. Raises ScddError if they are missing, or do not fit the images."""
    if training.labels == "hard":
        return None
    if images is None or args.labels is None:
        raise ScddError("soft labels need --images and --labels.")
    return open_store(
        args.labels,
        epochs=training.label_epochs or training.epochs,
        images=images.content,
        classes=info.classes,
        digest=config.parents["labels"],
        resolution=info.resolution,
        batch=training.batch,
    )


def validation_of(
    args: argparse.Namespace, dataset: Dataset, images: SetInfo | None, training: Student
) -> Split:
    """The images that a student is tested on, in the space that it is trained in: those of the
    classes that it knows."""
    if images is None or images.whitening is None:
        val = dataset.validation(training.val_resize)
    else:
        val = whitened_validation(args.images, images, dataset.info, args.data)
    return val if images is None or images.chosen is None else val.only(images.chosen)


def train_student(
    config: Mapping[str, Any],
    training: Student,
    split: Split,
    store: Store | None,
    val: Split | None,
    info: DatasetInfo,
    device: torch.device,
    saved: JobState | None = None,
    compiled: Compiled = "none",
) -> tuple[nn.Module, list[Row]]:
    """A student of the images in `split`, on the device, and its history, tested on `val`; None: it
    is not tested.

    config, store: as in `lesson_of`. training: the parameters in `config`, or with a learned
    learning rate. Raises ScddError as `fit` does.
    """
    feed, criterion = lesson_of(config, training, split, store, info, device)
    draw = generator(training.seed, "student")
    network = build(Network(**config["student"]), len(info.classes), info.resolution, draw)
    in_channels_last(network.to(device))
    tested, images = None if val is None else load_if_room(val, device), len(split)
    if training.label_reuse != "epochs":  # batches, which are all full
        images = batch_count(images, training.batch) * min(training.batch, images)
    history = fit(
        network,
        feed,
        criterion,
        training,
        None if tested is None else lambda: accuracy(network, tested, info, device),
        images,
        device,
        saved,
        compiled,
    )
    if tested is not None:
        say(f"top-1 {history[-1].top1:.2f} % after {training.epochs} epochs on {len(split)} images")
    return network, history


def work(args: argparse.Namespace, config: Frozen, device: torch.device, saved: JobState) -> None:
    training = Student.of(config.params)
    dataset = open_dataset(args.data, args.root)
    if args.images is None:
        images, split, info = None, dataset.train.to(device), dataset.info
    else:
        digest = config.parents.get("images")
        images, split, info = open_images(
            args.images, dataset.info, args.data, digest, device, whitened=True
        )
        if training.learned_lr and images.student_lr is not None:
            training = replace(training, lr=images.student_lr)
            say(f"the learned learning rate: {training.lr:.6g}")
    store = store_of(args, config, training, images, info)
    val = validation_of(args, dataset, images, training)
    _, history = train_student(
        config.params, training, split, store, val, info, device, saved, args.compile
    )
    last = history[-1]
    write_text(args.history, csv_text(COLUMNS, map(astuple, history)))
    metrics = {
        "top1": last.top1,
        "top5": last.top5,
        "epochs": training.epochs,
        "train_images": len(split),
        "seed": training.seed,
        "images": images.content if images is not None else None,
        "digest": config.digest,
        "compiled": args.compile,
        "env": runtime.environment(device),
    }
    write_json(args.out, metrics)


def main(argv: list[str] | None = None) -> int:
    parser = arguments.long_parser(__doc__, "data", "root", "history", out="metrics.json to write")
    parser.add_argument("--images", type=Path, help="set.json; without it the whole training set")
    parser.add_argument("--labels", type=Path, help="the folder of the soft labels")
    return runtime.run_long("validate", parser, work, argv, outputs=("out", "history"))


if __name__ == "__main__":
    raise SystemExit(main())
