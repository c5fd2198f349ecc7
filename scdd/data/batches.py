"""Batches of mixed views, from images on the device or in their files."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from scdd.artifacts.dataset import DatasetInfo
from scdd.data.source import Split
from scdd.views.geometry import whole_boxes
from scdd.views.mixing import Draws, mixed


def batch_count(n: int, size: int) -> int:
    """How many batches `views` makes of `n` images."""
    return max(1, n // size) if n % size == 1 else -(-n // size)


def cut_batches(order: Tensor, size: int) -> list[Tensor]:
    """The batches of `views`: a last one of one image joins the one before."""
    parts = list(order.split(size))
    if len(order) % size == 1 and len(parts) > 1:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts


def views(
    split: Split, order: Tensor, size: int, draws: Draws, mix: str, info: DatasetInfo
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of index int64 [b] and mixed views float32 [b, 3, R, R], in `order`, on the draws'
    device. A last batch of one image joins the one before: BatchNorm cannot train on one value.
    """
    device = draws.lam.device
    parts = cut_batches(order, size)
    if mix != "none":
        partner = draws.partner.to(order.device)
        parts = [torch.cat([part, partner[part].long()]) for part in parts]
    # what comes before the crop needs the whole image
    whole = draws.patches is not None or draws.ops is not None
    chances = draws.chances if split.files and not whole else None
    if chances is not None:
        draws = replace(draws, crop=whole_boxes(len(draws.crop), split.resolution).to(device))
    # the joined part is longer than the rest and read by itself
    for group in (parts[:-1], parts[-1:]):
        if group:
            wanted, length = torch.cat(group), len(group[0])
            there = wanted.to(device, non_blocking=True)  # at once: each copy would be waited for
            read = (
                split.crops(wanted, length, [split.resolution], chances[wanted, None], device)
                if chances is not None
                else ([images] for _, images in split.batches(wanted, length, device))
            )
            for pick, (images,) in zip(there.split(length), read, strict=True):
                count = len(pick) if mix == "none" else len(pick) // 2
                yield pick[:count], mixed(images, pick, draws, mix, info)
