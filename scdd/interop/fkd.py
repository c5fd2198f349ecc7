"""SRe2L's label files (FKD), `epoch_<e>/batch_<b>.tar`: to and from the draws of whole epochs.

A file holds the list [coords, flip, mix_index, mix_lam, mix_bbox, logits] of one batch:
  coords     float32 [B, 4]: top / H, left / W, height / H, width / W of each crop
  flip       bool [B]
  mix_index  int64 [B]: each image's partner, its place in the batch; None without mixing
  mix_lam    float: the images' own share, one for the batch; None without mixing
  mix_bbox   [x1, y1, x2, y2] of CutMix, x down and y to the right; None for mixup
  logits     float16 [B, C], before softmax
The files do not say which images these are: batch b of epoch e is the b-th slice of the order that
a RandomSampler seeded with 42 gives the files of an ImageFolder in that epoch (sampler_orders).
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from scdd.errors import ScddError
from scdd.interop.unpickle import read_pickled
from scdd.views.mixing import Draws

SEED = 42
PARTS = ("coords", "flip", "mix_index", "mix_lam", "mix_bbox", "logits")
STORED = {"crop", "flip", "partner", "lam", "box"}  # the draws that these files can hold
TEACHER = "of others"  # the teacher of a store that was made from these files, which do not name it
NEAR = 0.01  # pixels that a crop's edge may be off a whole number: float32 is off by 1e-5
# a box's edges and lambda are NumPy numbers in the released program's files
NUMBERS = (
    (np.dtype, "numpy.dtype"),
    *((type(np.dtype(kind)), f"numpy.dtypes.{type(np.dtype(kind)).__name__}") for kind in "lqdf"),
    *(
        (np.float64(0).__reduce__()[0], f"numpy.{core}.multiarray.scalar")
        for core in ("core", "_core")
    ),
)


def read_batch(path: Path) -> dict[str, Any]:
    """The parts of one file by name. Raises ScddError, naming it, where it is not an FKD file."""
    content = read_pickled(path, NUMBERS)
    if not isinstance(content, list | tuple) or len(content) != len(PARTS):
        raise ScddError(
            f"{path} is not an FKD file: it does not hold a list of {', '.join(PARTS)}."
        )
    parts = dict(zip(PARTS, content, strict=True))
    wanted = {"coords": 2, "flip": 1, "logits": 2} | (
        {"mix_index": 1} if parts["mix_index"] is not None else {}
    )
    for name, dims in wanted.items():
        tensor = parts[name]
        if not isinstance(tensor, Tensor) or tensor.dim() != dims:
            raise ScddError(f"{path}: {name} is not a tensor of {dims} dimensions.")
    lam, box = parts["mix_lam"], parts["mix_bbox"]
    if parts["mix_index"] is not None and not (
        isinstance(lam, float | np.floating) and 0 <= lam <= 1
    ):
        raise ScddError(f"{path}: mix_lam is not a number from 0 to 1.")
    if box is not None and not (
        isinstance(box, list | tuple) and len(box) == 4 and all(map(_is_number, box))
    ):
        raise ScddError(f"{path}: mix_bbox is not a list of 4 numbers.")
    lengths = {len(parts[name]) for name in wanted}
    if len(lengths) > 1 or parts["coords"].shape[1] != 4:
        raise ScddError(f"{path}: its tensors are for {sorted(lengths)} images.")
    return parts


def _is_number(value: Any) -> bool:
    """Whether it is a finite number of Python, NumPy or torch."""
    if isinstance(value, Tensor) and value.numel() != 1:
        return False
    return isinstance(value, int | float | np.number | Tensor) and math.isfinite(value)


def mix_of(parts: Mapping[str, Any]) -> str:
    """How the views of a file are mixed: 'none', 'mixup' or 'cutmix'."""
    if parts["mix_index"] is None:
        return "none"
    return "mixup" if parts["mix_bbox"] is None else "cutmix"


def to_draws(
    batches: Sequence[tuple[Path, Mapping[str, Any]]], order: Tensor, resolution: int
) -> tuple[Draws, Tensor]:
    """The draws and the logits float16 [n, C] of one epoch, in the order of the image set.

    batches: an epoch's files with their parts; order: int64 [n], the epoch's order of the images.
    Raises ScddError, naming the file, where it does not fit these images or their size.
    """
    rows = [_of_batch(path, parts, resolution) for path, parts in batches]
    sizes = [len(row["flip"]) for row in rows]
    for row, images in zip(rows, order.split(sizes), strict=True):
        row["partner"] = images[row["partner"]].int()
    whole = {name: torch.cat([row[name] for row in rows]) for name in rows[0]}
    _require_own_pixels(batches[0][0].parent, whole["crop"], resolution)
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order))
    logits = whole.pop("logits")[place]
    return Draws(**{name: tensor[place] for name, tensor in whole.items()}), logits


def _require_own_pixels(folder: Path, crop: Tensor, size: int) -> None:
    """Raises ScddError where an epoch's crops [n, 4] are those of smaller images.

    Whole pixels of a small image are also whole pixels of any multiple of its size.
    """
    if bool((crop == torch.tensor([0, 0, size, size])).all()):
        return
    coarse = math.gcd(size, *crop.unique().tolist())
    if coarse > 1:
        raise ScddError(
            f"{folder}: its crops are all multiples of {coarse} pixels, so these labels are for "
            f"images of {size // coarse} pixels a side, but the set's have {size}."
        )


def _require_box_of_share(path: Path, box: Sequence[int], lam: float, size: int) -> None:
    """Raises ScddError where CutMix would not draw `box` (x1, y1, x2, y2) for the share `lam` in
    images of this size."""
    x1, y1, x2, y2 = box
    # exact in our exports; the released program's box may be cut at the image's edges
    if abs((1 - lam) * size**2 - (x2 - x1) * (y2 - y1)) < 0.5:
        return
    exact = size * math.sqrt(1 - lam)
    least, most = (2 * (int(exact + off) // 2) for off in (-NEAR, NEAR))
    for low, high in ((x1, x2), (y1, y2)):
        uncut = low > 0 and high < size
        if high - low > most or (uncut and high - low < least):
            raise ScddError(
                f"{path}: mix_bbox has a side of {high - low} pixels, but mix_lam {lam:.4g} makes "
                f"{most} in images of {size} pixels a side: these labels are for another size."
            )


def _of_batch(path: Path, parts: Mapping[str, Any], size: int) -> dict[str, Tensor]:
    """One file's draws and logits in the order of the file; partners are places in the batch."""
    exact = parts["coords"].float() * size
    crop, n = exact.round(), len(exact)
    if not bool(torch.isfinite(exact).all()) or bool(((exact - crop).abs() > NEAR).any()):
        raise ScddError(
            f"{path}: its crops are not whole pixels of images of {size} pixels a side."
        )
    start, sides = crop[:, :2], crop[:, 2:]
    if bool(((sides < 1) | (sides > size) | (start >= size) | (start + sides <= 0)).any()):
        raise ScddError(
            f"{path}: it has crops that are empty, or outside images of {size} pixels a side."
        )
    logits = parts["logits"].half()
    if not bool(torch.isfinite(logits).all()):
        raise ScddError(f"{path} has logits that are not finite in float16.")
    partner, lam, box = torch.arange(n), torch.ones(n), torch.zeros(n, 4)
    mix = mix_of(parts)
    if mix != "none":
        partner = parts["mix_index"].long()
        lam = torch.full((n,), float(parts["mix_lam"]))
        if not torch.equal(partner.sort().values, torch.arange(n)):
            raise ScddError(f"{path}: mix_index is not a permutation of its {n} images.")
    if mix == "cutmix":
        x1, y1, x2, y2 = map(int, parts["mix_bbox"])
        if not (0 <= x1 <= x2 <= size and 0 <= y1 <= y2 <= size):
            raise ScddError(f"{path}: mix_bbox is not a box in images of {size} pixels a side.")
        _require_box_of_share(path, (x1, y1, x2, y2), float(parts["mix_lam"]), size)
        box = torch.tensor([x1, y1, x2 - x1, y2 - y1]).repeat(n, 1)
        lam = 1 - box[:, 2] * box[:, 3] / size**2  # the file's lambda is of the box before the cut
    return {
        "crop": crop.short(),
        "flip": parts["flip"].bool(),
        "partner": partner,
        "lam": lam,
        "box": box.short(),
        "logits": logits,
    }


def to_batches(
    draws: Draws, logits: Tensor, order: Tensor, size: int, mix: str, resolution: int
) -> list[list[Any]]:
    """The contents of the files of one epoch, the inverse of `to_draws`; size: images per batch.

    Raises ScddError where the epoch was not mixed within batches of this size in this order, each
    with one lambda and box: these files hold nothing else.
    """
    if more := draws.stored().keys() - STORED:
        raise ScddError(f"FKD files cannot hold {', '.join(sorted(more))}, only crops and flips.")
    batches = []
    place = torch.empty_like(order)
    for images in order.split(size):
        index, lam, box = None, None, None
        if mix != "none":
            place.fill_(-1)
            place[images] = torch.arange(len(images))
            index = place[draws.partner[images].long()]
            shares, boxes = draws.lam[images], draws.box[images]
            if bool((index < 0).any() | (shares != shares[0]).any() | (boxes != boxes[0]).any()):
                raise ScddError(
                    f"these labels were not mixed within batches of {size} images in the order of "
                    f"seed {SEED}, with one lambda each, as FKD files need it. Label with that "
                    f"batch, mix_by: batch and seed: {SEED}, or with mix: none."
                )
            lam = shares[0].item()
        if mix == "cutmix":
            top, left, height, width = boxes[0].tolist()
            box = [top, left, top + height, left + width]
        coords = draws.crop[images].float() / resolution
        batches.append([coords, draws.flip[images], index, lam, box, logits[images].half()])
    return batches
