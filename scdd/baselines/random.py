"""Random real training images, without replacement. Nested; pixel space uint8."""

from collections.abc import Iterator

import torch
from torch import Tensor

from scdd.artifacts.slots import Range
from scdd.data.sample import in_random_order
from scdd.data.source import Dataset
from scdd.errors import ScddError

BATCH = 64


def make(dataset: Dataset, slots: Range, seed: int) -> Iterator[Tensor]:
    """One permutation of each class, from (seed, class name) alone; slot s is its image s.

    Raises ScddError where a class has no image for the first of the slots.
    """
    first, end = slots
    cpu = torch.device("cpu")
    for label, name in enumerate(dataset.info.classes):
        order = in_random_order(dataset, label, seed)
        if len(order) <= first:
            raise ScddError(
                f"class {name!r} has {len(order)} training images: too few for slots from "
                f"{first} on. Lower ipc to {len(order)}."
            )
        picked = dataset.train.batches(order[first:end], BATCH, cpu)
        yield torch.cat([images for _, images in picked])
