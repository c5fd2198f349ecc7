"""Differentiable Siamese augmentation (DSA, arXiv 2102.08259) with its code's default strengths.

The classic methods train their students with it. Each batch draws one of six strategies, each image
its strength. As in the authors' code it works on normalised pixels, so that pixels from outside an
image have the dataset's mean.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from scdd.views.products import exact_products

STRATEGIES = ("color", "crop", "cutout", "flip", "scale", "rotate")
BRIGHTNESS, SATURATION, CONTRAST = 1.0, 2.0, 0.5
CROP, CUTOUT = 0.125, 0.5  # shares of a side: the largest shift, the hole
SCALE, ROTATE = 1.2, 15.0  # the largest factor; the largest angle in degrees
NUMBERS = 3  # random numbers that an image needs at most


def draw_dsa(n: int, draw: torch.Generator) -> tuple[str, Tensor]:
    """A batch's strategy, and each image's random numbers, float32 [n, NUMBERS] in [0, 1)."""
    strategy = STRATEGIES[int(torch.randint(len(STRATEGIES), (), generator=draw))]
    return strategy, torch.rand(n, NUMBERS, generator=draw)


def dsa(images: Tensor, strategy: str, chances: Tensor) -> Tensor:
    """Normalised float [n, 3, R, R] augmented by what `draw_dsa` drew. Gradients reach the images.

    chances: [n, NUMBERS], on the device, float as the images; equal rows make it siamese: the same
    for all images.
    """
    match strategy:
        case "color":
            return _coloured(images, chances)
        case "crop":
            return _cropped(images, chances)
        case "cutout":
            return _with_hole(images, chances)
        case "flip":
            return torch.where(chances[:, :1, None, None] < 0.5, images.flip(3), images)
        case "scale":
            factors = 1 / SCALE + chances[:, :2] * (SCALE - 1 / SCALE)
            return _resampled(images, torch.diag_embed(factors))
        case _:
            angle = (chances[:, 0] - 0.5) * 2 * math.radians(ROTATE)
            cos, sin = angle.cos(), angle.sin()
            turn = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)
            return _resampled(images, turn)


def _coloured(images: Tensor, chances: Tensor) -> Tensor:
    bright, saturated, contrasted = chances[:, :, None, None, None].unbind(1)
    images = images + (bright - 0.5) * BRIGHTNESS
    grey = images.mean(1, keepdim=True)
    images = torch.lerp(grey, images, saturated * SATURATION)
    mean = images.mean((1, 2, 3), keepdim=True)
    return torch.lerp(mean, images, contrasted + CONTRAST)


def _cropped(images: Tensor, chances: Tensor) -> Tensor:
    """Not by `crop_resize`, whose backward pass is a product in TF32 on a GPU."""
    size = images.shape[-1]
    most = int(size * CROP + 0.5)
    corner = (chances[:, :2] * (2 * most + 1)).long() - most
    place = corner[:, :, None] + torch.arange(size, device=images.device)
    inside = (place >= 0) & (place < size)
    rows, columns = place.clamp(0, size - 1).unbind(1)
    images = images.gather(2, rows[:, None, :, None].expand_as(images))
    images = images.gather(3, columns[:, None, None, :].expand_as(images))
    return images * (inside[:, 0, :, None] & inside[:, 1, None, :])[:, None]


def _with_hole(images: Tensor, chances: Tensor) -> Tensor:
    size = images.shape[-1]
    hole = int(size * CUTOUT + 0.5)
    start = (chances[:, :2] * (size + 1 - hole % 2)).long() - hole // 2
    line = torch.arange(size, device=images.device)
    hit = (line >= start[:, :, None]) & (line < start[:, :, None] + hole)
    return images * ~(hit[:, 0, :, None] & hit[:, 1, None, :])[:, None]


@exact_products()
def _resampled(images: Tensor, matrix: Tensor) -> Tensor:
    """Bilinear samples at `matrix` [n, 2, 2] times each pixel's place relative to the centre."""
    theta = functional.pad(matrix, (0, 1))
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)
