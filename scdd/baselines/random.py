"""Random real training images, without replacement. Nested; pixel space uint8."""

from collections.abc import Iterator

import torch
from torch import Tensor

from scdd import rng
from scdd.artifacts.slots import Range
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
        members = (dataset.train.labels == label).nonzero().flatten()
        if len(members) <= first:
            raise ScddError(
                f"class {name!r} has {len(members)} training images: too few for slots from "
                f"{first} on. Lower ipc to {len(members)}."
            )
        order = torch.randperm(len(members), generator=rng.generator(seed, "random", name))
        picked = members[order[first:end]]
        yield torch.cat([images for _, images in dataset.train.batches(picked, BATCH, cpu)])
