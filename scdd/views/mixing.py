"""Mixed views of whole batches on the device: drawn by epoch, stored, and replayed bit for bit.

The teacher that labels an epoch and the student that trains on it both take their pixels from
`mixed`. On the CPU the bits do not depend on the batch size (tests/labels/test_relabel.py). On a
GPU that is certain for crops without resizing, where every sum has one term; a resized crop may
round differently in another batch size.
"""

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from scdd.params.views import Transform
from scdd.rng import generator
from scdd.views.geometry import crop_resize, draw_views
from scdd.views.patches import draw_patches, shuffle_patches
from scdd.views.pixels import Scale, standardise, unit
from scdd.views.randaugment import draw_operations, randaugment


@dataclass(frozen=True)
class Draws:
    """The random draws of one epoch's views of `n` images, in the types that the label store has.

    crop: int16 [n, 4] and box: int16 [n, 4] (the pixels that CutMix takes from the partner), both
    (top, left, height, width); flip: bool [n]; partner: int32 [n], an index into the whole set;
    lam: float32 [n], the image's own share in (0, 1]. Only where the transform has them: patches,
    uint8 [n, 2, patches a side], and RandAugment's ops, int8 [n, k], and their magnitudes bins,
    uint8 [n, k]. chances: the numbers from which the crops were made, on the CPU, for image files
    of any shape; not stored.
    """

    crop: Tensor
    flip: Tensor
    partner: Tensor
    lam: Tensor
    box: Tensor
    patches: Tensor | None = None
    ops: Tensor | None = None
    bins: Tensor | None = None
    chances: Tensor | None = None

    def stored(self) -> dict[str, Tensor]:
        """The tensors that the label store holds, by name."""
        names = [field.name for field in fields(self) if field.name != "chances"]
        tensors = {name: getattr(self, name) for name in names}
        return {name: tensor for name, tensor in tensors.items() if tensor is not None}

    def to(self, device: torch.device) -> "Draws":
        moved = {name: t.to(device, non_blocking=True) for name, t in self.stored().items()}
        return replace(self, **moved)


def cutmix_boxes(lam: Tensor, resolution: int, draw: torch.Generator) -> Tensor:
    """Boxes int64 [n, 4] with a share 1 - lam of the area around a uniform centre, cut at the
    image's edges (CutMix, arXiv 1905.04899, section 3.1, with the rounding of its code)."""
    half = (resolution * (1 - lam).sqrt()).long() // 2
    centre = torch.randint(resolution, (2, len(lam)), generator=draw)
    low, high = (centre - half).clamp(min=0), (centre + half).clamp(max=resolution)
    return torch.cat([low, high - low]).T


def draw_epoch(transform: Transform, n: int, resolution: int, seed: int, epoch: int) -> Draws:
    """The draws (CPU) of one epoch of `n` images, a function of the arguments alone.

    The partners are a permutation of the whole set.
    """
    draw = generator(seed, "views", epoch)
    crop, flip, chances = draw_views(transform.view, n, resolution, draw)
    partner, lam, box = torch.arange(n), torch.ones(n), torch.zeros(n, 4)
    if transform.mix != "none":
        partner = torch.randperm(n, generator=draw)
        # torch's Beta takes no generator
        numbers = np.random.default_rng(int(torch.randint(2**62, (), generator=draw)))
        lam = torch.from_numpy(numbers.beta(transform.alpha, transform.alpha, n)).float()
    if transform.mix == "cutmix":
        box = cutmix_boxes(lam, resolution, draw)
        lam = 1 - box[:, 2] * box[:, 3] / resolution**2
    patches = ops = bins = None
    if transform.patches > 1:
        patches = draw_patches(n, transform.patches, generator(seed, "patches", epoch))
    if transform.randaugment:
        operations, magnitude = transform.randaugment.operations, transform.randaugment.magnitude
        draw = generator(seed, "randaugment", epoch)
        ops, bins = draw_operations(n, operations, magnitude, draw)
    return Draws(crop.short(), flip, partner.int(), lam, box.short(), patches, ops, bins, chances)


def mixed(images: Tensor, pick: Tensor, draws: Draws, mix: str, scale: Scale) -> Tensor:
    """Normalised views float32 [b, 3, R, R] of `images`, those of the indices `pick`.

    images: uint8 [..., 3, R, R], or floats in their scale, black 0 and white 1, beyond it too.
    pick: int64 [b], or with mixing [2b]: the images, then the partner of each. mix: 'none', 'mixup'
    or 'cutmix'. Do not call this under autocast, which would round the pixels.
    """
    views = unit(images)
    if draws.patches is not None:
        views = shuffle_patches(views, draws.patches[pick])
    if draws.ops is not None and draws.bins is not None:
        # its operations are of pixels: what was learned beyond black and white is clipped
        views = randaugment(views.clamp(0, 1), draws.ops[pick], draws.bins[pick])
    views = crop_resize(views, draws.crop[pick], images.shape[-1], draws.flip[pick])
    views = standardise(views, scale)
    if mix == "none":
        return views
    own, other = views.chunk(2)
    rows = pick[: len(own)]
    if mix == "mixup":
        lam = draws.lam[rows][:, None, None, None]
        return lam * own + (1 - lam) * other
    at = torch.arange(images.shape[-1], device=images.device)
    top, left, height, width = draws.box[rows].unbind(1)
    inside = [
        (at >= start[:, None]) & (at < (start + length)[:, None])
        for start, length in ((top, height), (left, width))
    ]
    return torch.where(inside[0][:, None, :, None] & inside[1][:, None, None, :], other, own)
