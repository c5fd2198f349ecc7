"""Soft labels of a shard by their principal components: the form pca:N, N bits for a view.

A row is a view's logits less their mean, which no softmax depends on. What is left of the rows when
what is expected of them is taken off (scdd.labels.prediction) has principal components, and the
first K of them get bits, N in all: dealt out so that the sum over the components of s D is the
least, s the standard deviation, and D the share of its variance that a normal distribution loses.
With s^2 D, the mean square, small components would get no bits, and students would miss them
(docs/results/modern.md). A trellis finds the bits that give the rows back best
(scdd.labels.trellis). (Transform coding: Gersho and Gray 1992, chapter 8.)

    logits_packed           uint8 [E, ceil(n N / 8)], the bits of all rows one after the other, the
                            first one the highest of its byte. Those of each RING rows are a ring;
                            the last ring has the rows that remain too

and what all epochs of the shard share:

    logits_shared_basis     float16 [K, C], the components
    logits_shared_bits      uint8 [K], how many bits each has in a row, one after the other
    logits_shared_classes   float16 [C or 2C, C], W and G of what is expected
    logits_shared_image_packed, _basis, _bits
                            m of what is expected, in the same way: a row of 2N bits for each image
"""

import heapq
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from scdd.artifacts.labels import SHARED
from scdd.artifacts.sizes import pca_bits
from scdd.labels import trellis
from scdd.labels.prediction import (
    TINY,
    Rows,
    Seen,
    by_classes,
    by_images,
    expecting,
    least_squares,
)
from scdd.labels.trellis import LEFT, STATE
from scdd.views.products import exact_products

CLASSES = f"{SHARED}_classes"
PACKED = "logits_packed"
OF_VIEWS = (PACKED, f"{SHARED}_basis", f"{SHARED}_bits")
OF_IMAGES = (f"{SHARED}_image_packed", f"{SHARED}_image_basis", f"{SHARED}_image_bits")
FLAT = 1e-6  # of the largest spread: one below it is rounding
RING = 32  # rows; longer rings are hardly better, and rings are searched side by side
FAR_OUT = 10  # times the median: a row that is longer is shortened, or it would coarsen all others


class Coded(NamedTuple):
    """Rows as they are stored: packed uint8 [E, bytes], or [bytes] of one epoch; basis float16
    [K, C]; bits uint8 [K]."""

    packed: Tensor
    basis: Tensor
    bits: Tensor


@exact_products()
def encode(logits: Tensor, views: Sequence[Seen], form: str) -> dict[str, Tensor]:
    """The tensors that store the `logits` float16 [E, n, C] of a shard as pca, on the views'
    device. views: of each epoch."""
    count = pca_bits(form)
    assert count is not None
    rows = torch.empty(logits.shape, device=views[0].own.device)
    for epoch, given in enumerate(logits):
        rows[epoch] = given.float() - given.float().mean(1, keepdim=True)
    _shorten(rows)
    every = torch.arange(rows.shape[1], device=rows.device)
    table = by_classes(rows, views)
    for epoch, view in enumerate(views):
        rows[epoch] -= expecting(table, None, view)(every)
    images = _coded(by_images(rows, views)[None], 2 * count)
    images = images._replace(packed=images.packed[0])
    own = reader(images, len(every))(every)
    for epoch, view in enumerate(views):
        rows[epoch] -= view.mixed(own)
    of_views = zip(OF_VIEWS, _coded(rows, count), strict=True)
    return {CLASSES: table, **dict(of_views), **dict(zip(OF_IMAGES, images, strict=True))}


def _shorten(rows: Tensor) -> None:
    """Shorten, in place, the rows of [E, n, C] that are FAR_OUT times as long as the median one."""
    norms = rows.norm(dim=2)
    if (most := FAR_OUT * norms.median()) > 0:
        rows *= (most / norms.clamp(min=TINY)).clamp(max=1)[..., None]


def _coded(rows: Tensor, count: int) -> Coded:
    """Rows float32 [E, n, C] in `count` bits each. Their means, which are rounding, are lost."""
    rows -= rows.mean(2, keepdim=True)
    flat = rows.flatten(0, 1)
    variances, axes = torch.linalg.eigh((flat.T @ flat).double().cpu() / len(flat))
    spreads = variances.flip(0).clamp(min=0).sqrt()
    bits = bits_of(spreads.tolist(), count)
    least = max(TINY, FLAT * spreads[0].item())
    spread = spreads[: len(bits)].float().clamp(min=least).to(rows.device)
    values = rows @ axes.flip(1)[:, : len(bits)].float().to(rows.device) / spread
    states = _states(values, bits, (spread / spread[0]) ** 2)
    packed = torch.stack([_packed(state, bits) for state in states])
    entries = trellis.table(rows.device)
    basis = least_squares(
        (entries[state.long()], row) for state, row in zip(states, rows, strict=True)
    )
    return Coded(packed, basis, torch.tensor(bits, dtype=torch.uint8, device=rows.device))


def _states(values: Tensor, bits: Sequence[int], weights: Tensor) -> Tensor:
    """The trellis's states uint8 of the values [E, n, K]."""
    n = values.shape[1]
    last = last_ring(n)

    def searched(rings: Tensor, rows: int) -> Tensor:
        each = rings.reshape(-1, rows * len(bits))
        states = trellis.encode(each, rows * list(bits), weights.repeat(rows))
        return states.view(rings.shape)

    states = searched(values[:, last:], n - last)
    return torch.cat([searched(values[:, :last], RING), states], 1) if last else states


def last_ring(n: int) -> int:
    """Where the last ring of n rows begins: it has RING or more, but fewer than twice as many."""
    return max(0, n // RING - 1) * RING


def _packed(states: Tensor, bits: Sequence[int]) -> Tensor:
    """The own bits of states [n, K] in bytes, uint8 [ceil(n N / 8)]."""
    own = [states[:, place, None] >> _falling(each, states) for place, each in enumerate(bits)]
    digits = (torch.cat(own, 1) & 1).flatten()
    by_byte = F.pad(digits, (0, -len(digits) % 8)).view(-1, 8)
    return (by_byte << _falling(8, states)).sum(1).to(torch.uint8)


def _falling(count: int, like: Tensor) -> Tensor:
    return torch.arange(count - 1, -1, -1, dtype=like.dtype, device=like.device)


def bits_of(spreads: list[float], count: int) -> list[int]:
    """How many of `count` bits each component gets, as long as it gets any: so that the sum of
    spread * LEFT[bits] is the least. spreads: standard deviations, falling."""
    bits = [0] * len(spreads)
    gains = [(-spread * (LEFT[0] - LEFT[1]), place) for place, spread in enumerate(spreads)]
    heapq.heapify(gains)
    for _ in range(count):
        _, place = heapq.heappop(gains)
        bits[place] += 1
        if (following := bits[place] + 1) < len(LEFT):
            gain = spreads[place] * (LEFT[following - 1] - LEFT[following])
            heapq.heappush(gains, (-gain, place))
    return [each for each in bits if each]


def row_count(stored: Mapping[str, Tensor]) -> int:
    """How many rows an epoch has; fewer than 8 bits fill its last byte, and a row has 8 or more."""
    views = Coded(*(stored[name] for name in OF_VIEWS))
    return 8 * len(views.packed) // int(views.bits.sum())


def reader(coded: Coded, n: int) -> Rows:
    """The rows float32 [b, C] of images int64 [b], of the n that `coded` has, of one epoch."""
    device, count = coded.packed.device, int(coded.bits.sum())
    # its first numbers need the last bits of the row before, too
    window = torch.arange(-STATE, count, device=device)
    place = torch.arange(len(window), device=device)[:, None] - coded.bits.long().cumsum(0)
    powers = torch.where((place >= 0) & (place < STATE), 2.0 ** (STATE - 1 - place), 0.0)
    entries, basis = trellis.table(device), coded.basis.float()

    last = last_ring(n)

    def rows(index: Tensor) -> Tensor:
        first = (index // RING * RING).clamp(max=last)
        size = torch.where(first < last, RING, n - last) * count  # of the ring, in bits
        at = ((index - first)[:, None] * count + window) % size[:, None] + first[:, None] * count
        digits = coded.packed[at >> 3] >> (7 - (at & 7)) & 1
        return entries[(digits.float() @ powers).long()] @ basis

    return rows


def decoder(stored: Mapping[str, Tensor], view: Seen) -> Rows:
    """The logits float32 [b, C] of images int64 [b], less their means, of what an epoch has of
    `encode`'s tensors. view: the epoch's."""
    views, images = (Coded(*(stored[name] for name in names)) for names in (OF_VIEWS, OF_IMAGES))
    n = len(view.own)
    differ, expected = reader(views, n), expecting(stored[CLASSES], reader(images, n), view)
    return lambda index: expected(index) + differ(index)
