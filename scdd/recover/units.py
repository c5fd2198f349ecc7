"""What is random in a recovery, and the views of the images that result.

A unit is the images whose BatchNorm statistics are taken together: one image of each class of a
block, (class block, slot), or several, of consecutive slots; or, where the statistics are matched
by class, those of one class in a range of slots. Its random numbers come from (seed, block, first
slot), or (seed, class, first slot), alone: it does not matter where, and with which other units, it
is recovered.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from scdd import rng
from scdd.artifacts.slots import Range
from scdd.networks.schedules import half_cosine
from scdd.params.recover import Recover
from scdd.views.geometry import TRIES, crop_resize, draw_chances, fit_boxes, padded_crop_boxes

Statistics = tuple[Tensor, Tensor]  # means and variances, of all layers one after the other


def least_share(params: Recover, step: int) -> float:
    """The smallest share of the area that a crop of this iteration may have.

    CDA's curriculum (arXiv 2311.18838, section 3.2) from whole images to crop[0], which it reaches
    after `milestone` of the iterations: at once at their end ('step'), 'linear' or on half a
    'cosine'. 'none': crop[0] throughout.
    """
    assert params.crop is not None
    low, high = params.crop
    t = step / (params.milestone * params.iterations)
    if params.curriculum == "none" or t >= 1:
        return low
    share = {"step": 1.0, "linear": 1 - t, "cosine": half_cosine(t)}
    return low + (high - low) * share[params.curriculum]


@dataclass(frozen=True)
class Unit:
    """A unit of n images, on the CPU, with all that is random in it over T iterations.

    key: its own in a job, the slot or the class; name: for messages; labels: int64 [n]; start:
    float32 [n, 3, R, R]; shifts: int64 [T, 2], down and right; flips: bool [T, m]; boxes: int64
    [T, m, 4] crops of images as large as in their segment, None without; m is 1, or n where each
    image has its own; targets: what the statistics are matched with, by teacher, each float32
    [columns of all layers]; None: those of the dataset alone; drops: bool [T, teachers,
    convolutions], which of them are left out, None without; joins: of each image the iteration in
    which it joins the others, None: all are there from the beginning; pool: float32
    [classes, p, 3, R, R], what residuals choose from, None: they take the starts.
    """

    key: int
    name: str
    labels: Tensor
    start: Tensor
    shifts: Tensor
    flips: Tensor
    boxes: Tensor | None
    targets: Sequence[Statistics] | None = None
    drops: Tensor | None = None
    joins: Sequence[int] | None = None
    pool: Tensor | None = None


def draw_unit(
    params: Recover,
    labels: Tensor,
    resolution: int,
    *,
    seed: int,
    block: int,
    slot: int,
    start: Tensor | None = None,
    targets: Sequence[Statistics] | None = None,
    convolutions: tuple[int, int] = (0, 0),
    pool: Tensor | None = None,
) -> Unit:
    """Images of each class of a block, from (seed, block, slot) alone, the first of their slots.

    labels: int64 [n], class by class; start: normalised float32 [n, 3, R, R] in place of noise;
    targets, pool: see `Unit`; convolutions: how many teachers, and how many convolutions the
    largest one has, if some are left out.
    """
    draw = rng.generator(seed, "recover", block, slot)
    numbers = _draw(params, len(labels), resolution, draw, start)
    drops = None
    if params.drop:
        drops = torch.rand(params.iterations, *convolutions, generator=draw) < params.drop
    classes = len(labels.unique())
    joins = params.joins(len(labels) // classes) * classes if params.rounds > 1 else None
    return Unit(slot, f"block {block}, slot {slot}", labels, *numbers, targets, drops, joins, pool)


def draw_class_unit(
    params: Recover,
    label: int,
    resolution: int,
    *,
    seed: int,
    slots: Range,
    targets: Sequence[Statistics],
    start: Tensor | None = None,
    pool: Tensor | None = None,
) -> Unit:
    """The images of one class in a range of slots, which are matched with `targets`.

    start: normalised float32 [slots, 3, R, R] in place of noise; pool: see `Unit`.
    """
    draw = rng.generator(seed, "recover by class", label, slots[0])
    labels = torch.full((slots[1] - slots[0],), label)
    numbers = _draw(params, len(labels), resolution, draw, start)
    name = f"class {label}, slots {slots[0]} to {slots[1] - 1}"
    return Unit(label, name, labels, *numbers, targets, pool=pool)


def _draw(
    params: Recover, n: int, resolution: int, draw: torch.Generator, start: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """start, shifts, flips and boxes of a unit of n images."""
    steps, own = params.iterations, n if params.crop_by == "image" else 1
    noise = torch.randn(n, 3, resolution, resolution, generator=draw)
    least = -params.shift if params.shift_both_ways else 0
    shifts = torch.randint(least, params.shift + 1, (steps, 2), generator=draw)
    flips = (torch.rand(steps, own, generator=draw) < 0.5) & params.flip
    boxes = None
    if params.crop is not None:
        chances = draw_chances(steps * own, (0.0, 1.0), draw)
        low = torch.tensor([least_share(params, step) for step in range(steps)])
        low = low.repeat_interleave(own)[:, None]
        chances[:, :TRIES] = low + (params.crop[1] - low) * chances[:, :TRIES]
        fitted = [
            fit_boxes(chances[part.first * own : part.end * own], part.size, part.size)
            for part in params.segments(resolution)
        ]
        boxes = torch.cat(fitted).view(steps, own, 4)
    elif params.pad:
        padded = [
            padded_crop_boxes((part.end - part.first) * own, part.size, params.pad, draw)
            for part in params.segments(resolution)
        ]
        boxes = torch.cat(padded).view(steps, own, 4)
    return noise if start is None else start, shifts, flips, boxes


class Views:
    """The views of several units' images at each iteration, and what they are matched with: labels
    int64 [units, n], of so many `classes` in each; targets, by teacher float32 [units, columns], or
    None; joined: places of the images that are there, by the iteration from which on they are, if
    not all are from the beginning."""

    def __init__(self, units: Sequence[Unit], device: torch.device) -> None:
        self.all_labels = torch.stack([unit.labels for unit in units]).to(device)
        joins = units[0].joins or ()
        self.joined = {
            first: torch.tensor([n for n, own in enumerate(joins) if own <= first], device=device)
            for first in sorted(set(joins))
        }
        self.classes = len(units[0].labels.unique())
        self.targets: list[Statistics] | None = None
        if units[0].targets is not None:
            by_teacher = zip(*[unit.targets for unit in units if unit.targets], strict=True)
            stacked = [zip(*of_units, strict=True) for of_units in by_teacher]
            self.targets = [
                (torch.stack(means).to(device), torch.stack(variances).to(device))
                for means, variances in stacked
            ]
        self.shifts = torch.stack([unit.shifts for unit in units], dim=1).tolist()
        flips = torch.stack([unit.flips for unit in units], dim=1)
        self.flips = flips.to(device) if bool(flips.any()) else None
        boxes = [unit.boxes for unit in units if unit.boxes is not None]
        self.boxes = torch.stack(boxes, dim=1).to(device) if boxes else None
        drops = [unit.drops for unit in units if unit.drops is not None]
        self.drops = torch.stack(drops, dim=1).to(device) if drops else None

    def kept(self, step: int, teacher: int) -> Tensor | None:
        """float32 [units, convolutions]: 0 for those of a teacher that are left out, else 1; None
        where none is."""
        return None if self.drops is None else 1 - self.drops[step, :, teacher].float()

    def labels(self, step: int) -> Tensor:
        """int64 [units, n] of the images that are there."""
        return self._there(self.all_labels, step)

    def _there(self, by_image: Tensor, step: int) -> Tensor:
        """Of [units, n, ...] what belongs to the images that have joined by a step."""
        if not self.joined:
            return by_image
        latest = max(first for first in self.joined if first <= step)
        return by_image.index_select(1, self.joined[latest])

    def of(self, images: Tensor, step: int) -> Tensor:
        """Of the images that are there; images: float32 [units, n, 3, S, S] on the device, S the
        size of the step's segment; differentiable."""
        flips = None if self.flips is None else self.flips[step]
        if self.boxes is not None:
            boxes = self.boxes[step].flatten(0, 1)
            alike = images.reshape(len(boxes), -1, *images.shape[-2:])
            mirrored = None if flips is None else flips.flatten()
            images = crop_resize(alike, boxes, images.shape[-1], mirrored).view(images.shape)
        elif flips is not None:
            images = torch.where(flips[:, :, None, None, None], images.flip(4), images)
        pairs = zip(images, self.shifts[step], strict=True)
        moved = torch.stack([unit.roll(shift, dims=(2, 3)) for unit, shift in pairs])
        return self._there(moved, step)
