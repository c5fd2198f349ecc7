"""Crop, resize and flip of whole batches on the device, each image with its own box.

A bilinear resize is a product with one small matrix for each axis, so that a batch of different
crops is two batched matrix products: no Python loop, no kernels for single images, the same code on
every device.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from scdd.params.views import View
from scdd.views.products import exact_products

# torchvision's RandomResizedCrop: tries to find a box that fits, and its range of width / height
TRIES = 10
RATIO = (3 / 4, 4 / 3)


def _axis_weights(start: Tensor, length: Tensor, extent: int, size: int, antialias: bool) -> Tensor:
    """[n, size, extent] weights that resample [start, start + length) of an axis to `size`."""
    start, length = start[:, None, None].float(), length[:, None, None].float()
    scale = length / size
    support = scale.clamp(min=1.0) if antialias else torch.ones_like(scale)
    out = torch.arange(size, device=start.device)[None, :, None] + 0.5
    pixel = torch.arange(extent, device=start.device)[None, None, :] + 0.5
    # without antialiasing the sample point is clamped to the crop, as in torch's interpolate
    centre = start + (out * scale)
    if not antialias:
        centre = torch.minimum(torch.maximum(centre, start + 0.5), start + length - 0.5)
    weights = (1.0 - ((pixel - centre) / support).abs()).clamp(min=0.0)
    weights = weights * ((pixel > start) & (pixel < start + length))
    return weights / weights.sum(-1, keepdim=True).clamp(min=1e-12)


@exact_products()
def crop_resize(
    images: Tensor,
    boxes: Tensor,
    size: int,
    flip: Tensor | None = None,
    *,
    antialias: bool = True,
) -> Tensor:
    """Crop each image to its own box, resize it to `size` x `size`, and mirror it where `flip`.

    images: float [n, c, H, W]; boxes: integer [n, 4] = (top, left, height, width) in pixels;
    flip: bool [n]. Returns float [n, c, size, size]. Equals torchvision's `resized_crop`
    (bilinear) followed by `hflip`. A box of `size` x `size` may reach outside the image, where
    pixels are zero: a crop after zero padding.
    """
    top, left, height, width = boxes.to(images.device).unbind(1)
    rows = _axis_weights(top, height, images.shape[2], size, antialias)
    columns = _axis_weights(left, width, images.shape[3], size, antialias)
    if flip is not None:
        mirror = flip.to(images.device)[:, None, None]
        columns = torch.where(mirror, columns.flip(1), columns)
    rows, columns = rows.to(images.dtype)[:, None], columns.to(images.dtype)[:, None]
    return rows @ images @ columns.transpose(-1, -2)


def resized(images: Tensor, size: int) -> Tensor:
    """Float [..., c, H, W] brought to `size` x `size` pixels, bilinearly and without antialiasing,
    as OpenCV does; images of that size as they are."""
    if images.shape[-2:] == (size, size):
        return images
    flat = images.reshape(-1, *images.shape[-3:])
    made = F.interpolate(flat, size=(size, size), mode="bilinear", align_corners=False)
    return made.view(*images.shape[:-2], size, size)


def whole_boxes(n: int, resolution: int) -> Tensor:
    """Boxes int64 [n, 4] of whole square images."""
    return torch.tensor([0, 0, resolution, resolution]).repeat(n, 1)


def padded_crop_boxes(n: int, resolution: int, pad: int, draw: torch.Generator) -> Tensor:
    """Boxes int64 [n, 4] of `resolution`-sized crops from images padded by `pad` on each side."""
    corner = torch.randint(-pad, pad + 1, (n, 2), generator=draw)
    return torch.cat([corner, torch.full((n, 2), resolution)], dim=1)


def draw_chances(
    n: int,
    scale: tuple[float, float],
    draw: torch.Generator,
    ratio: tuple[float, float] = RATIO,
) -> Tensor:
    """Random numbers from which `fit_boxes` places random resized crops in images of any size.

    float32 [n, 2 TRIES + 2]: the share of the area of each try, its width / height, then the place.
    scale, ratio: the ranges of the share and of width / height.
    """
    share = torch.empty(n, TRIES).uniform_(*scale, generator=draw)
    aspect = torch.empty(n, TRIES).uniform_(*map(math.log, ratio), generator=draw).exp()
    return torch.cat([share, aspect, torch.rand(2, n, generator=draw).T], dim=1)


def fit_boxes(
    chances: Tensor, height: int, width: int, ratio: tuple[float, float] = RATIO
) -> Tensor:
    """Boxes int64 [n, 4] (top, left, height, width) in images of `height` x `width` pixels, made of
    `chances` as torchvision's RandomResizedCrop does: the first try that fits; where none does, the
    largest centred box within `ratio`."""
    area, aspect, place = chances.split([TRIES, TRIES, 2], dim=1)
    area = height * width * area
    wide, high = (area * aspect).sqrt().round().long(), (area / aspect).sqrt().round().long()
    fits = (wide > 0) & (wide <= width) & (high > 0) & (high <= height)
    first = fits.long().argmax(1, keepdim=True)
    wide, high = wide.gather(1, first)[:, 0], high.gather(1, first)[:, 0]
    top = (place[:, 0] * (height - high + 1)).long()
    left = (place[:, 1] * (width - wide + 1)).long()
    boxes = torch.stack([top, left, high, wide], dim=1)
    most = min(height, round(width / ratio[0])), min(width, round(height * ratio[1]))
    centred = torch.tensor([(height - most[0]) // 2, (width - most[1]) // 2, *most])
    return torch.where(fits.any(1)[:, None], boxes, centred)


def draw_views(
    view: View, n: int, resolution: int, draw: torch.Generator
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Boxes int64 [n, 4] and flips bool [n] (CPU) of `n` square images for `crop_resize`; for
    resized crops also the chances from which the boxes were made, else None."""
    chances = None
    match view.crop:
        case "padded":
            boxes = padded_crop_boxes(n, resolution, view.pad, draw)
        case "resized":
            chances = draw_chances(n, view.scale, draw)
            boxes = fit_boxes(chances, resolution, resolution)
        case _:
            boxes = whole_boxes(n, resolution)
    flips = torch.rand(n, generator=draw) < 0.5
    return boxes, flips & view.flip, chances
