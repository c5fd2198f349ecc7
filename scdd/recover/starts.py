"""Pixels and a recovery's images: mean and std, what they start from, how they are kept."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from scdd.artifacts.dataset import DatasetInfo
from scdd.artifacts.patches import Rankings
from scdd.artifacts.slots import Range, most_slots
from scdd.data.sample import in_random_order
from scdd.data.source import Split
from scdd.errors import ScddError
from scdd.params.recover import Recover
from scdd.params.statistics import Statistics
from scdd.patches.images import ranked_images, require_ranked
from scdd.patches.mosaic import cells_by_slot
from scdd.views.pixels import normalise, standardise

# of a range of classes and one of slots: what their images start from, None for noise
Starts = Callable[[Range, Range], Tensor | None]


def as_normalised(info: DatasetInfo, params: Recover | Statistics) -> DatasetInfo:
    """The dataset with the mean and std that a recovery with these parameters normalises by."""
    if params.mean is None or params.std is None:
        return info
    return replace(info, mean=params.mean, std=params.std)


def real_starts(
    train: Split, info: DatasetInfo, classes: Range, slots: Range, seed: int
) -> Callable[[Range, Range], Tensor]:
    """A function of a range of classes and one of slots, both within the given ones, that returns
    their starts, class by class, normalised by `info`: float32 [classes * slots, 3, R, R]. They are
    the images that `scdd.select.methods.random` has in these slots.

    Raises ScddError if a class has too few training images for the slots.
    """
    orders = {label: in_random_order(train, info, label, seed) for label in range(*classes)}
    for label, order in orders.items():
        if len(order) < slots[1]:
            raise ScddError(
                f"class {info.classes[label]!r} has {len(order)} training images, but "
                f"recover.start is real for the slots {slots[0]} to {slots[1] - 1}. "
                f"Lower ipc to {most_slots(len(order))}, or set recover.start to noise."
            )

    def start(classes: Range, slots: Range) -> Tensor:
        index = torch.cat([orders[label][slice(*slots)] for label in range(*classes)])
        return normalise(train.images(index), info)

    return start


def ranked_starts(
    originals: Split, rankings: Rankings, info: DatasetInfo, classes: Range, slots: Range
) -> Starts:
    """As `real_starts`, of ranked images: slot s has the best that is left, whatever the IPC.

    originals: the training images in their own sizes. Raises ScddError if a class has too few
    images for the slots.
    """
    cells = cells_by_slot(slots[1], rankings.factor)
    for label in range(*classes):
        require_ranked(rankings.classes[label], info.classes[label], cells.numel())

    def start(classes: Range, slots: Range) -> Tensor:
        own = cells[slice(*slots)]
        images = [
            ranked_images(originals, info, rankings.classes[label], own)
            for label in range(*classes)
        ]
        return standardise(torch.cat(images), info)

    return start
