"""RandAugment (arXiv 1909.13719) of whole batches on the device, as torchvision's on float tensors.

Every operation is computed for the whole batch and selected for the images that drew it. Only the
device knows what an image drew; reading that back would make the CPU wait.
"""

import math
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from scdd.views.colour import luminance

# in torchvision's order
OPERATIONS = (
    "Identity",
    "ShearX",
    "ShearY",
    "TranslateX",
    "TranslateY",
    "Rotate",
    "Brightness",
    "Color",
    "Contrast",
    "Sharpness",
    "Posterize",
    "Solarize",
    "AutoContrast",
    "Equalize",
)
(
    IDENTITY,
    SHEAR_X,
    SHEAR_Y,
    TRANSLATE_X,
    TRANSLATE_Y,
    ROTATE,
    BRIGHTNESS,
    COLOR,
    CONTRAST,
    SHARPNESS,
    POSTERIZE,
    SOLARIZE,
    AUTO_CONTRAST,
    EQUALIZE,
) = range(len(OPERATIONS))
SIGNED = range(SHEAR_X, SHARPNESS + 1)  # operations whose magnitude has a sign
BINS = 31  # magnitudes are 0 to 30


def draw_operations(
    n: int, operations: int, magnitude: int, draw: torch.Generator
) -> tuple[Tensor, Tensor]:
    """int8 [n, operations]: indices into OPERATIONS, negative where the magnitude is; and uint8 of
    the same shape: the magnitudes, 0 to 30, all equal to `magnitude`."""
    ops = torch.randint(len(OPERATIONS), (n, operations), generator=draw)
    negative = torch.rand(n, operations, generator=draw) < 0.5
    negative &= (ops >= SIGNED[0]) & (ops <= SIGNED[-1])
    bins = torch.full((n, operations), magnitude, dtype=torch.uint8)
    return torch.where(negative, -ops, ops).to(torch.int8), bins


@cache
def _strengths(height: int, width: int, device: torch.device) -> Tensor:
    """float32 [operations, BINS]: strengths by magnitude, as in torchvision's RandAugment."""
    table = torch.zeros(len(OPERATIONS), BINS)
    table[[SHEAR_X, SHEAR_Y]] = torch.linspace(0.0, 0.3, BINS)
    table[TRANSLATE_X] = torch.linspace(0.0, 150 / 331 * width, BINS).trunc()
    table[TRANSLATE_Y] = torch.linspace(0.0, 150 / 331 * height, BINS).trunc()
    table[ROTATE] = torch.linspace(0.0, 30.0, BINS)
    table[[BRIGHTNESS, COLOR, CONTRAST, SHARPNESS]] = torch.linspace(0.0, 0.9, BINS)
    table[POSTERIZE] = (8 - torch.arange(BINS) / ((BINS - 1) / 4)).round()
    table[SOLARIZE] = torch.linspace(1.0, 0.0, BINS)
    return table.to(device)


def randaugment(images: Tensor, ops: Tensor, bins: Tensor) -> Tensor:
    """Apply each image's operations, one after the other.

    images: float [n, 3, H, W] in [0, 1]; the result too. ops, bins: [n, operations], of
    `draw_operations`, on the device. Geometry takes the nearest pixel, 0 outside the image.
    """
    table = _strengths(images.shape[2], images.shape[3], images.device)
    for place in range(ops.shape[1]):
        signed = ops[:, place].long()
        op = signed.abs()
        strength = table[op, bins[:, place].long()] * torch.where(signed < 0, -1.0, 1.0)
        images = _moved(images, op, strength)
        images = _blended(images, op, strength)
        images = _toned(images, op, strength)
    return images


def _column(values: Tensor) -> Tensor:
    return values[:, None, None, None]


def _moved(images: Tensor, op: Tensor, strength: Tensor) -> Tensor:
    """Shears, translations and rotations; all other images keep their bits."""
    height, width = images.shape[2:]

    def only(which: int) -> Tensor:
        return torch.where(op == which, strength, 0.0)[:, None, None]

    y = torch.arange(height, device=images.device)[:, None] - (height - 1) / 2
    x = torch.arange(width, device=images.device) - (width - 1) / 2
    angle = only(ROTATE) * (math.pi / 180)
    # where each pixel comes from; shears fix the top left corner, rotations the centre. Not a
    # matrix product: its rounding, and so the nearest pixel, would depend on the batch size
    from_x = angle.cos() * x - angle.sin() * y
    from_x = from_x + only(SHEAR_X) * (y + height / 2) - only(TRANSLATE_X)
    from_y = angle.sin() * x + angle.cos() * y
    from_y = from_y + only(SHEAR_Y) * (x + width / 2) - only(TRANSLATE_Y)
    column, row = (from_x + (width - 1) / 2).round(), (from_y + (height - 1) / 2).round()
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    place = torch.where(inside, row * width + column, 0.0).long()
    moved = images.flatten(2).gather(2, place.flatten(1)[:, None].expand(-1, 3, -1))
    return moved.view_as(images) * inside[:, None]


def _blended(images: Tensor, op: Tensor, strength: Tensor) -> Tensor:
    """Brightness, colour, contrast and sharpness: blends of an image and a poorer one."""
    grey = luminance(images)
    poorer = torch.where(_column(op == COLOR), grey, 0.0)
    # in float64: a GPU's order of summation depends on the batch size, which must not show
    level = grey.double().mean((1, 2, 3), keepdim=True).to(grey)
    poorer = torch.where(_column(op == CONTRAST), level, poorer)
    if min(images.shape[2:]) > 2:
        smooth = images.clone()  # the edges stay as they are
        inner = smooth[:, :, 1:-1, 1:-1]
        inner.mul_(4 / 13).add_(functional.avg_pool2d(images, 3, 1), alpha=9 / 13)
    else:
        smooth = images
    poorer = torch.where(_column(op == SHARPNESS), smooth, poorer)
    factor = _column(1 + strength)
    blended = (factor * images + (1 - factor) * poorer).clamp(0, 1)
    return torch.where(_column((op >= BRIGHTNESS) & (op <= SHARPNESS)), blended, images)


def _toned(images: Tensor, op: Tensor, strength: Tensor) -> Tensor:
    """Posterise, solarise, auto-contrast and equalise."""
    levels = _column(torch.exp2(strength))
    posterised = (images * levels).floor().minimum(levels - 1) / levels
    toned = torch.where(_column(op == POSTERIZE), posterised, images)
    solarised = torch.where(images >= _column(strength), 1 - images, images)
    toned = torch.where(_column(op == SOLARIZE), solarised, toned)
    toned = torch.where(_column(op == AUTO_CONTRAST), _stretched(images), toned)
    return torch.where(_column(op == EQUALIZE), _equalised(images), toned)


def _stretched(images: Tensor) -> Tensor:
    """Each channel stretched to 0 to 1; a constant channel stays as it is."""
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    flat = low == high
    span = torch.where(flat, 1.0, high - low)
    return ((images - torch.where(flat, 0.0, low)) / span).clamp(0, 1)


def _equalised(images: Tensor) -> Tensor:
    """Each channel with its histogram of 256 levels equalised, with Pillow's rounding."""
    levels = (images * 255.999).long().flatten(2)  # torchvision's rounding to 256 levels
    counts = torch.zeros(*levels.shape[:2], 256, dtype=torch.int64, device=images.device)
    counts.scatter_add_(2, levels, torch.ones_like(levels))
    brightest = counts.gather(2, levels.amax(2, keepdim=True))
    step = (levels.shape[2] - brightest) // 255
    below = counts.cumsum(2) - counts
    table = ((below + step // 2) // step.clamp(min=1)).clamp(0, 255)
    table[:, :, 0] = 0
    even = torch.where(step > 0, table.gather(2, levels), levels)
    return (even / 255).to(images.dtype).view_as(images)
