"""Pixels: uint8 as they are stored, and float32 as networks see them."""

from functools import cache
from io import BytesIO
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

QUALITY = 75  # of JPEG: Pillow's default, which the released code uses


class Scale(Protocol):
    """Mean and std by channel, by which pixels in [0, 1] are normalised; `DatasetInfo` has them."""

    @property
    def mean(self) -> tuple[float, ...]: ...

    @property
    def std(self) -> tuple[float, ...]: ...


@cache
def _columns(
    mean: tuple[float, ...], std: tuple[float, ...], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Mean and std, float32 [3, 1, 1] each, cached on the device: making them for each batch would
    wait for a copy."""
    with torch.inference_mode(False):  # cached tensors must serve training too
        columns = torch.tensor([mean, std], device=device)[:, :, None, None]
    return columns[0], columns[1]


def unit(images: Tensor) -> Tensor:
    """uint8 as float32 in [0, 1]; floats, which are in this scale already, as they are."""
    return images if images.is_floating_point() else images.float() / 255


def standardise(pixels: Tensor, scale: Scale) -> Tensor:
    """Float [n, 3, H, W] in [0, 1] with mean and std removed."""
    mean, std = _columns(scale.mean, scale.std, pixels.device)
    return (pixels - mean) / std


def normalise(images: Tensor, scale: Scale) -> Tensor:
    """uint8 [n, 3, H, W], or floats in their scale, as float with mean and std removed."""
    return standardise(unit(images), scale)


def in_unit(images: Tensor, scale: Scale) -> Tensor:
    """The inverse of `standardise`: float [..., 3, H, W] with black 0 and white 1, not clipped."""
    mean, std = _columns(tuple(scale.mean), tuple(scale.std), images.device)
    return images * std + mean


def in_bytes(pixels: Tensor) -> Tensor:
    """Floats with black 0 and white 1, clipped and rounded: uint8."""
    return (pixels.clamp(0, 1) * 255).round().to(torch.uint8)


def denormalise(images: Tensor, scale: Scale) -> Tensor:
    """The inverse of `normalise`, clamped to [0, 1] and rounded: uint8 [..., 3, H, W]."""
    return in_bytes(in_unit(images.float(), scale))


def valid_range(scale: Scale, device: torch.device) -> tuple[Tensor, Tensor]:
    """The normalised values of black and white, float32 [3, 1, 1] each."""
    mean = torch.tensor(scale.mean, device=device)[:, None, None]
    std = torch.tensor(scale.std, device=device)[:, None, None]
    return (0 - mean) / std, (1 - mean) / std


def in_bytes_truncated(pixels: Tensor) -> Tensor:
    """Floats with black 0 and white 1, clipped and truncated, as released programs have it: uint8
    that are darker than those of `in_bytes` by half a level in the mean."""
    return (pixels.clamp(0, 1) * 255).byte()


def kept(pixels: Tensor, storage: str) -> Tensor:
    """Float32 [..., 3, R, R] (CPU), black 0 and white 1, as the uint8 pixels that are stored.

    storage: 'lossless', rounded; 'truncated', as FADRM's code saves them; 'jpeg', as the released
    code of SC-DD, SRe2L and RDED reads them from its files: truncated, then encoded as JPEG with
    half the colour resolution.
    """
    if storage == "lossless":
        return in_bytes(pixels)
    levels = in_bytes_truncated(pixels)
    if storage == "truncated":
        return levels
    decoded = [_through_jpeg(image) for image in levels.flatten(0, -4)]
    return torch.stack(decoded).view_as(levels)


def stored(images: Tensor, scale: Scale, storage: str) -> Tensor:
    """Normalised float32 [..., 3, R, R] (CPU) as the uint8 pixels that are stored: see `kept`."""
    return kept(in_unit(images, scale), storage)


def _through_jpeg(image: Tensor) -> Tensor:
    """uint8 [3, R, R], encoded as JPEG and decoded again."""
    file = BytesIO()
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(file, "JPEG", quality=QUALITY)
    with Image.open(file) as decoded:
        return torch.from_numpy(np.asarray(decoded).copy()).permute(2, 0, 1)
