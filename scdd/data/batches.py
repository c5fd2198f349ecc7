"""Batches of mixed views, of images on the device or in their files."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from scdd.artifacts.dataset import DatasetInfo
from scdd.data.source import Split
from scdd.views.geometry import whole_boxes
from scdd.views.mixing import Draws, mixed


def batch_count(n: int, size: int) -> int:
    """How many batches of `size` the function `views` makes of `n` images."""
    return len(batch_sizes(n, size))


def batch_sizes(n: int, size: int) -> list[int]:
    """How many images the batches of `size` have that are made of n > 0: the last one has what is
    left over; a single image that is left over joins the batch before it."""
    sizes = [size] * (n // size) + [n % size] * (n % size > 0)
    return [*sizes[:-2], size + 1] if len(sizes) > 1 and sizes[-1] == 1 else sizes


def cut_batches(order: Tensor, size: int) -> list[Tensor]:
    """`order` in batches of `batch_sizes`."""
    return list(order.split(batch_sizes(len(order), size)))


def views(
    split: Split, order: Tensor, size: int, draws: Draws, mix: str, info: DatasetInfo
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of index int64 [b] and normalised mixed views float32 [b, 3, R, R], in `order`, on
    the draws' device.

    mix: 'none', 'mixup' or 'cutmix'. A single image at the end joins the batch before it, because
    BatchNorm cannot train on one value.
    """
    device = draws.lam.device
    parts = cut_batches(order, size)
    if mix != "none":
        partner = draws.partner.to(order.device)
        parts = [torch.cat([part, partner[part].long()]) for part in parts]
    # patches and RandAugment come before the crop and need the whole image
    needs_whole = draws.patches is not None or draws.ops is not None
    chances = draws.chances if split.files and not needs_whole else None
    if chances is not None:
        draws = replace(draws, crop=whole_boxes(len(draws.crop), split.resolution).to(device))
    # the last part may be longer than the others and is read by itself
    for group in (parts[:-1], parts[-1:]):
        if group:
            index, length = torch.cat(group), len(group[0])
            on_device = index.to(device, non_blocking=True)  # in one copy: each would be waited for
            batches = (
                split.crops(index, length, [split.resolution], chances[index, None], device)
                if chances is not None
                else ([images] for _, images in split.batches(index, length, device))
            )
            for pick, (images,) in zip(on_device.split(length), batches, strict=True):
                count = len(pick) if mix == "none" else len(pick) // 2
                yield pick[:count], mixed(images, pick, draws, mix, info)
