"""Which real training images a class's slots take."""

import torch
from torch import Tensor

from scdd import rng
from scdd.artifacts.dataset import DatasetInfo
from scdd.data.source import Split


def in_random_order(train: Split, info: DatasetInfo, label: int, seed: int) -> Tensor:
    """Indices int64 [n] of all training images of a class, permuted by (seed, class name) alone.

    Slot s takes entry s, so that more slots add images and change none.
    """
    members = (train.labels == label).nonzero().flatten()
    draw = rng.generator(seed, "random", info.classes[label])
    return members[torch.randperm(len(members), generator=draw)]
