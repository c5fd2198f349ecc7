"""Crops of real images of any size, cut on the device."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from scdd.views.geometry import crop_resize, fit_boxes
from scdd.views.pixels import unit

SQUARE = (1.0, 1.0)  # the range of width / height


def _by_size(images: Sequence[Tensor]) -> Iterator[tuple[Tensor, int, int]]:
    """Places int64 [k] of the images of each size, which is height and width."""
    sizes: dict[tuple[int, int], list[int]] = {}
    for place, image in enumerate(images):
        sizes.setdefault((image.shape[1], image.shape[2]), []).append(place)
    for (height, width), places in sizes.items():
        yield torch.tensor(places), height, width


def fitted(images: Sequence[Tensor], chances: Tensor) -> Tensor:
    """Boxes int64 [b, m, 4] (CPU) of square crops in images [3, H, W] of any size.

    chances: float32 [b, m, ...], as `draw_chances` makes them.
    """
    boxes = torch.empty(*chances.shape[:2], 4, dtype=torch.int64)
    for places, height, width in _by_size(images):
        own = fit_boxes(chances[places].flatten(0, 1), height, width, SQUARE)
        boxes[places] = own.view(len(places), -1, 4)
    return boxes


def cut(images: Sequence[Tensor], boxes: Tensor, size: int, device: torch.device) -> Tensor:
    """Crops of images uint8 [3, H, W] of any size, resized with antialiasing: float32
    [b, m, 3, size, size] in [0, 1], on the device.

    boxes: int64 [b, m, 4]. Images of one size are cut together.
    """
    boxes = boxes.to(device)
    crops = torch.empty(*boxes.shape[:2], 3, size, size, device=device)
    for places, _, _ in _by_size(images):
        there = places.to(device)
        pixels = unit(torch.stack([images[place] for place in places.tolist()]).to(device))
        own = boxes[there]
        views = [crop_resize(pixels, own[:, number], size) for number in range(own.shape[1])]
        crops[there] = torch.stack(views, dim=1)
    return crops
