"""What is random in a recovery, and the views of the images that come of it.

A unit, (class block, slot), is one image of each class of a block. Its random numbers come from
(seed, block, slot) alone, so that it does not matter with which others, and where, it is recovered.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from scdd import rng
from scdd.data.geometry import TRIES, crop_resize, draw_chances, fit_boxes


@dataclass(frozen=True)
class Settings:
    """lr and betas are Adam's; the learning rate falls to 0 on a cosine, without warm-up.

    jitter: largest shift in pixels; crop: range of a RandomResizedCrop's share of the area, or
    None; crop_by: 'batch', one crop and flip for all images of a unit, or 'image', one for each;
    curriculum and milestone: see `least_share`; flip: mirror half of the views; precision:
    'float32' or 'bf16' (autocast, statistics in float32).
    """

    iterations: int
    lr: float
    betas: tuple[float, float]
    r_bn: float
    first_bn_multiplier: float
    tv_l2: float
    l2_scale: float
    jitter: int
    crop: tuple[float, float] | None
    flip: bool
    precision: str
    crop_by: str = "batch"
    curriculum: str = "none"
    milestone: float = 1.0


def settings_of(params: Mapping[str, Any]) -> Settings:
    """From a frozen config's parameters, of which r_bn must be a number."""
    names = [field.name for field in fields(Settings) if field.name in params]
    values = {name: params[name] for name in names}
    values["betas"] = tuple(values["betas"])
    values["crop"] = None if values["crop"] is None else tuple(values["crop"])
    return Settings(**values)


def least_share(settings: Settings, step: int) -> float:
    """The smallest share of the area that a crop of this iteration may have.

    CDA's curriculum (arXiv 2311.18838, section 3.2) from whole images to crop[0], which it reaches
    after `milestone` of the iterations: at once at their end ('step'), 'linear' or on half a
    'cosine'. 'none': crop[0] throughout.
    """
    assert settings.crop is not None
    low, high = settings.crop
    t = step / (settings.milestone * settings.iterations)
    if settings.curriculum == "none" or t >= 1:
        return low
    share = {"step": 1.0, "linear": 1 - t, "cosine": 0.5 * (1 + math.cos(math.pi * t))}
    return low + (high - low) * share[settings.curriculum]


@dataclass(frozen=True)
class Unit:
    """All that is random in one (block, slot), on the CPU, over T iterations.

    start: float32 [classes, 3, R, R]; shifts: int64 [T, 2], down and right; flips: bool [T, n];
    boxes: int64 [T, n, 4] crops, None without; n is 1, or the classes where each image has its own.
    """

    block: int
    slot: int
    start: Tensor
    shifts: Tensor
    flips: Tensor
    boxes: Tensor | None


def draw_unit(
    settings: Settings,
    classes: int,
    resolution: int,
    *,
    seed: int,
    block: int,
    slot: int,
    start: Tensor | None = None,
) -> Unit:
    """A unit's numbers, whoever recovers it with what else; `start`, normalised float32
    [classes, 3, R, R], in place of noise."""
    draw = rng.generator(seed, "recover", block, slot)
    steps, own = settings.iterations, classes if settings.crop_by == "image" else 1
    noise = torch.randn(classes, 3, resolution, resolution, generator=draw)
    shifts = torch.randint(0, settings.jitter + 1, (steps, 2), generator=draw)
    flips = (torch.rand(steps, own, generator=draw) < 0.5) & settings.flip
    boxes = None
    if settings.crop is not None:
        chances = draw_chances(steps * own, (0.0, 1.0), draw)
        low = torch.tensor([least_share(settings, step) for step in range(steps)])
        low = low.repeat_interleave(own)[:, None]
        chances[:, :TRIES] = low + (settings.crop[1] - low) * chances[:, :TRIES]
        boxes = fit_boxes(chances, resolution, resolution).view(steps, own, 4)
    return Unit(block, slot, noise if start is None else start, shifts, flips, boxes)


class Views:
    """The views that several units have of their images at each iteration."""

    def __init__(self, units: Sequence[Unit], device: torch.device) -> None:
        self.shifts = torch.stack([unit.shifts for unit in units], dim=1).tolist()
        flips = torch.stack([unit.flips for unit in units], dim=1)
        self.flips = flips.to(device) if bool(flips.any()) else None
        boxes = [unit.boxes for unit in units if unit.boxes is not None]
        self.boxes = torch.stack(boxes, dim=1).to(device) if boxes else None

    def of(self, images: Tensor, step: int) -> Tensor:
        """images: float32 [units, classes, 3, R, R] on the device; differentiable."""
        flips = None if self.flips is None else self.flips[step]
        if self.boxes is not None:
            boxes = self.boxes[step].flatten(0, 1)
            alike = images.reshape(len(boxes), -1, *images.shape[-2:])
            mirrored = None if flips is None else flips.flatten()
            images = crop_resize(alike, boxes, images.shape[-1], mirrored).view(images.shape)
        elif flips is not None:
            images = torch.where(flips[:, :, None, None, None], images.flip(4), images)
        pairs = zip(images, self.shifts[step], strict=True)
        return torch.stack([unit.roll(shift, dims=(2, 3)) for unit, shift in pairs])
