"""Which real training images a class's slots take."""

import torch
from torch import Tensor

from scdd import rng
from scdd.data.source import Dataset


def in_random_order(dataset: Dataset, label: int, seed: int) -> Tensor:
    """Indices int64 [n] of all training images of a class, permuted by (seed, class name) alone.

    Slot s takes entry s, so that more slots add images and change none.
    """
    members = (dataset.train.labels == label).nonzero().flatten()
    draw = rng.generator(seed, "random", dataset.info.classes[label])
    return members[torch.randperm(len(members), generator=draw)]
