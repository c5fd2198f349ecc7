"""Shuffled patches of an image, as in RDED's training (arXiv 2312.03526, its code)."""

import torch
from torch import Tensor


def draw_patches(n: int, count: int, draw: torch.Generator) -> Tensor:
    """uint8 [n, 2, count]: for each image the order of its rows and of its columns of patches."""
    return torch.rand(n, 2, count, generator=draw).argsort(2).to(torch.uint8)


def shuffle_patches(images: Tensor, order: Tensor) -> Tensor:
    """Cut [n, c, H, W] into rows and columns of patches, and put these in each image's own order.

    order: uint8 [n, 2, count], of `draw_patches`, on the device: the place that each row or column
    comes from. Where `count` does not divide a side, the last row or column is larger.
    """
    height, width = images.shape[2:]
    rows, columns = _sources(order[:, 0], height), _sources(order[:, 1], width)
    images = images.gather(2, rows[:, None, :, None].expand_as(images))
    return images.gather(3, columns[:, None, None, :].expand_as(images))


def _sources(order: Tensor, size: int) -> Tensor:
    """int64 [n, size]: where each line of pixels comes from."""
    count = order.shape[1]
    order, side = order.long(), size // count
    lengths = torch.where(order == count - 1, size - side * (count - 1), side)
    ends = lengths.cumsum(1)
    line = torch.arange(size, device=order.device).expand(len(order), -1).contiguous()
    patch = torch.searchsorted(ends, line, right=True)
    return line - (ends - lengths).gather(1, patch) + side * order.gather(1, patch)
