"""Pixels and a recovery's images: mean and std, what they start from, how they are kept."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from scdd.artifacts.dataset import DatasetInfo
from scdd.artifacts.slots import Range, most_slots
from scdd.data.sample import in_random_order
from scdd.data.source import Dataset, denormalise, normalise
from scdd.errors import ScddError

QUALITY = 75  # of JPEG: Pillow's own, which the released code leaves alone


def as_normalised(info: DatasetInfo, params: Mapping[str, Any]) -> DatasetInfo:
    """The dataset with the mean and std that a recovery with these parameters normalises by."""
    mean, std = params.get("mean"), params.get("std")
    return info if mean is None else replace(info, mean=tuple(mean), std=tuple(std))


def real_starts(
    dataset: Dataset, info: DatasetInfo, classes: Range, slots: Range, seed: int
) -> Callable[[Range, Range], Tensor]:
    """What gives the starts of a range of classes and of slots within those given, normalised by
    `info`, float32 [classes * slots, 3, R, R], class by class: those that `scdd.baselines.random`
    has there.

    Raises ScddError where a class has too few training images for the slots.
    """
    orders = {label: in_random_order(dataset, label, seed) for label in range(*classes)}
    for label, order in orders.items():
        if len(order) < slots[1]:
            raise ScddError(
                f"class {dataset.info.classes[label]!r} has {len(order)} training images, but "
                f"recover.start is real for the slots {slots[0]} to {slots[1] - 1}. "
                f"Lower ipc to {most_slots(len(order))}, or set recover.start to noise."
            )

    def start(classes: Range, slots: Range) -> Tensor:
        index = torch.cat([orders[label][slice(*slots)] for label in range(*classes)])
        return normalise(dataset.train.images(index), info)

    return start


def stored(images: Tensor, info: DatasetInfo, storage: str) -> Tensor:
    """Normalised float32 [..., 3, R, R] on the CPU as the uint8 pixels that are kept.

    'lossless': rounded. 'jpeg': as the released code of SC-DD and SRe2L has them when it reads its
    files: truncated, then through JPEG with half the colour resolution.
    """
    if storage == "lossless":
        return denormalise(images, info)
    mean, std = (torch.tensor(one)[:, None, None] for one in (info.mean, info.std))
    pixels = ((images * std + mean).clamp(0, 1) * 255).byte()
    kept = [_through_jpeg(image) for image in pixels.flatten(0, -4)]
    return torch.stack(kept).view_as(pixels)


def _through_jpeg(image: Tensor) -> Tensor:
    """uint8 [3, R, R] after it was encoded and decoded once."""
    file = BytesIO()
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(file, "JPEG", quality=QUALITY)
    with Image.open(file) as decoded:
        return torch.from_numpy(np.asarray(decoded).copy()).permute(2, 0, 1)
