"""Which real training images stand for a class, to whoever needs some."""

import torch
from torch import Tensor

from scdd import rng
from scdd.data.source import Dataset


def in_random_order(dataset: Dataset, label: int, seed: int) -> Tensor:
    """All training images of a class, int64 [n], permuted by (seed, class name) alone: slot s is
    image s of it, so that more slots add images and change none."""
    members = (dataset.train.labels == label).nonzero().flatten()
    draw = rng.generator(seed, "random", dataset.info.classes[label])
    return members[torch.randperm(len(members), generator=draw)]
