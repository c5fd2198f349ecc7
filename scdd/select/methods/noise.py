"""The recovery's start: Gaussian noise, clamped to valid pixels. Nested; normalised pixel space."""

from collections.abc import Iterator

import torch
from torch import Tensor

from scdd import rng
from scdd.artifacts.slots import Range
from scdd.data.source import Dataset
from scdd.views.pixels import denormalise


def make(dataset: Dataset, slots: Range, seed: int) -> Iterator[Tensor]:
    """N(0, 1) in normalised space, each image from (seed, class index, slot) alone."""
    info = dataset.info
    shape = (3, info.resolution, info.resolution)
    for label in range(len(info.classes)):
        draws = [rng.generator(seed, "noise", label, slot) for slot in range(*slots)]
        yield denormalise(torch.stack([torch.randn(shape, generator=d) for d in draws]), info)
