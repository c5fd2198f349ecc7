"""Real training images, for the methods that choose among them."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from scdd.artifacts.slots import Range
from scdd.data.source import Dataset
from scdd.errors import ScddError

BATCH = 64


def taken(dataset: Dataset, slots: Range, orders: Iterable[Tensor]) -> Iterator[Tensor]:
    """Of each class the images uint8 [n, 3, R, R] of the slots; slot s is image s of its order.

    orders: int64 [images of the class] for each class. Raises ScddError if a class has no image for
    the first slot.
    """
    first, end = slots
    cpu = torch.device("cpu")
    for name, order in zip(dataset.info.classes, orders, strict=True):
        if len(order) <= first:
            raise ScddError(
                f"class {name!r} has {len(order)} training images: too few for slots from "
                f"{first} on. Lower ipc to {len(order)}."
            )
        picked = dataset.train.batches(order[first:end], BATCH, cpu)
        yield torch.cat([images for _, images in picked])
