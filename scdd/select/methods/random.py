"""Random real training images, without replacement. Nested; pixel space uint8."""

from collections.abc import Iterator

from torch import Tensor

from scdd.artifacts.slots import Range
from scdd.data.sample import in_random_order
from scdd.data.source import Dataset
from scdd.select.real import taken


def make(dataset: Dataset, slots: Range, seed: int) -> Iterator[Tensor]:
    """One permutation of each class, from (seed, class name) alone.

    Raises ScddError if a class has no image for the first of the slots.
    """
    labels = range(len(dataset.info.classes))
    train, info = dataset.train, dataset.info
    return taken(dataset, slots, (in_random_order(train, info, label, seed) for label in labels))
