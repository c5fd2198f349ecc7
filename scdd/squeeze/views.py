"""The views that a squeeze is trained on: drawn for an epoch, made batch by batch on the device."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from scdd.artifacts.dataset import DatasetInfo
from scdd.data.source import Split
from scdd.params.squeeze import Training
from scdd.params.views import View
from scdd.rng import generator
from scdd.squeeze import processes
from scdd.views.colour import (
    Jitter,
    blur,
    colour,
    draw_factors,
    draw_order,
    draw_sigmas,
    solarise,
)
from scdd.views.geometry import crop_resize, draw_views, whole_boxes


@dataclass(frozen=True)
class Crop:
    """How one view of each image is made: cropped to `size` pixels a side and mirrored, jittered,
    turned grey, blurred and solarised, in this order."""

    size: int
    view: View
    jitter: Jitter
    blur_p: float = 0.0
    solarise_p: float = 0.0


def crops_of(params: Training, large: int, resolution: int) -> tuple[Crop, ...]:
    """`large` views of the whole resolution, then the small ones."""
    jitter = Jitter(params.colour_jitter, params.colour_jitter_p, params.grey_p)
    chances = list(zip(params.blurs, params.solarises, strict=True))[:large]
    crops = [Crop(resolution, params.view, jitter, *ps) for ps in chances]
    if small := params.multi_crop:
        inner = View("resized", 0, small.scale, params.view.flip)
        crops += [Crop(small.side(resolution), inner, jitter, small.blur_p)] * small.count
    return tuple(crops)


@dataclass(frozen=True)
class Draws:
    """One view's random numbers for images of an epoch, in their order, on the device.

    sigmas, solarised: None where no image is blurred or solarised. chances: what the boxes were
    made of, on the CPU; None where the crops are not resized.
    """

    crop: Crop
    boxes: Tensor
    flips: Tensor
    factors: Tensor
    sigmas: Tensor | None
    solarised: Tensor | None
    chances: Tensor | None

    @classmethod
    def make(
        cls,
        crop: Crop,
        n: int,
        resolution: int,
        draw: torch.Generator,
        device: torch.device,
        rows: slice = slice(None),
    ) -> "Draws":
        """Numbers for `n` images, of which `rows` are kept."""
        boxes, flips, chances = draw_views(crop.view, n, resolution, draw)
        factors = draw_factors(crop.jitter, n, draw)
        sigmas = solarised = None
        if crop.blur_p > 0:
            sigmas = draw_sigmas(crop.blur_p, n, draw)[rows].to(device)
        if crop.solarise_p > 0:
            solarised = (torch.rand(n, generator=draw) < crop.solarise_p)[rows].to(device)
        boxes, flips, factors = (numbers[rows].to(device) for numbers in (boxes, flips, factors))
        chances = None if chances is None else chances[rows]
        return cls(crop, boxes, flips, factors, sigmas, solarised, chances)

    def apply(self, images: Tensor, rows: slice, order: list[int]) -> Tensor:
        """Views in [0, 1] of float `images` in [0, 1], which are the draws' `rows`."""
        views = crop_resize(images, self.boxes[rows], self.crop.size, self.flips[rows])
        views = colour(views, self.factors[rows], order)
        if self.sigmas is not None:
            views = blur(views, self.sigmas[rows])
        if self.solarised is not None:
            views = solarise(views, self.solarised[rows])
        return views


def batches(
    crops: tuple[Crop, ...],
    size: int,
    seed: int,
    split: Split,
    info: DatasetInfo,
    epoch: int,
    skip: int,
    device: torch.device,
) -> Iterator[tuple[list[Tensor], Tensor]]:
    """An epoch's full batches of `size` but the first `skip`: normalised views, and labels; of
    several processes, this one's share.

    The numbers of an epoch come from (seed, epoch): after a break they are drawn again.
    """
    draw = generator(seed, "squeeze", epoch)
    order = torch.randperm(len(split), generator=draw)[: len(split) // size * size]
    own = processes.own()
    draws = [Draws.make(c, len(order), info.resolution, draw, device, own) for c in crops]
    order, size = order[own], size // processes.count()
    for _ in range(skip):
        for crop in crops:
            draw_order(crop.jitter, draw)
    labels = split.labels[order].to(device)
    mean, std = torch.tensor([info.mean, info.std], device=device)[:, :, None, None]
    order = order[skip * size :]
    chances = [of_view.chances for of_view in draws if of_view.chances is not None]
    if split.pixels is None and len(chances) == len(draws):
        whole = [whole_boxes(len(labels), crop.size).to(device) for crop in crops]
        chances_left = torch.stack(chances, dim=1)[skip * size :]
        draws = [replace(each, boxes=boxes) for each, boxes in zip(draws, whole, strict=True)]
        sizes = [crop.size for crop in crops]
        read = (
            [view.float() / 255 for view in views]
            for views in split.crops(order, size, sizes, chances_left, device)
        )
    else:
        # pixels on the device are indexed there, files on the CPU
        where = order if split.pixels is None else order.to(device)
        read = (
            [images.float() / 255] * len(draws) for _, images in split.batches(where, size, device)
        )
    for step, seen in enumerate(read, skip):
        rows = slice(step * size, (step + 1) * size)
        pairs = zip(draws, seen, strict=True)
        views = [each.apply(x, rows, draw_order(each.crop.jitter, draw)) for each, x in pairs]
        yield [(view - mean) / std for view in views], labels[rows]
