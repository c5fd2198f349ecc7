"""Soft labels of a shard by their principal components: the form pca:N, N bits for a view.

A row is a view's logits less their mean, which no softmax depends on. By the classes of its two
images alone it is `expected` to be lam W[a] + (1 - lam) W[b]. What it differs from that has
principal components over all rows of the shard, and the first K of them get bits, N in all.

A component with b bits is the nearest of 2^b levels. They are the best for the shard's labels by
the mean square (Lloyd and Max, doi 10.1109/TIT.1982.1056489): each is the mean of what it stands
for (transform coding, Gersho and Gray 1992, chapter 8). The bits are dealt out so that the sum over
the components of s D is the least: s is the standard deviation, and D the share of its variance
that a normal distribution would lose. With s^2 D, the mean square, small components would get no
bits, and students would miss them (docs/results/modern.md).

    logits_packed           uint8 [E, ceil(n N / 8)], the bits of all rows one after the other, the
                            first one the lowest of its byte

and what all epochs of the shard share:

    logits_shared_classes   float16 [C, C], W, the least-squares fit to the rows
    logits_shared_basis     float16 [C, K], the components
    logits_shared_levels    float16 [sum of 2^b], those of the first component in rising order, then
                            those of the second, ...
    logits_shared_owner     int16 [N], the component of each bit of a row, its lowest bit first; K
                            for bits that nobody needs
"""

import heapq
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from scdd.artifacts.labels import SHARED
from scdd.artifacts.sizes import pca_bits

CLASSES, BASIS, LEVELS, OWNER = (
    f"{SHARED}_{name}" for name in ("classes", "basis", "levels", "owner")
)
PACKED = "logits_packed"
HUGE = torch.finfo(torch.float16).max
SLACK = 1e-6  # of the fit's diagonal: without it a class that is never seen would have no row
BINS, ROUNDS = 4096, 200  # of the search for levels
# The mean square that the best 1, 2, 4, ... levels leave of a normal distribution's variance: Max
# 1960, table I (doi 10.1109/TIT.1960.1057548).
LEFT = (1.0, 0.3634, 0.1175, 0.03454, 0.009497, 0.002499)


def encode(logits: Tensor, partner: Tensor, lam: Tensor, form: str) -> dict[str, Tensor]:
    """The tensors that store the `logits` float16 [E, n, C] of a shard as pca. partner, lam: of the
    views, [E, n]."""
    count = pca_bits(form)
    assert count is not None
    epochs, n, _ = logits.shape
    rows = logits.float()
    rows -= rows.mean(2, keepdim=True)
    table, every = _by_classes(rows, partner, lam), torch.arange(n, device=rows.device)
    for epoch in range(epochs):
        rows[epoch] -= expected(table, partner[epoch], lam[epoch], every)
    rows = rows.flatten(0, 1)
    basis, bits = _principal(rows, count)
    levels, codes = [], []
    for place, each in enumerate(bits):
        part = rows @ basis[:, place].float()
        levels.append(best_levels(part, 2**each))
        exact = levels[-1].float()
        code = torch.bucketize(part, (exact[1:] + exact[:-1]) / 2)
        codes.append((code[:, None] >> torch.arange(each, device=code.device) & 1).to(torch.uint8))
    free = count - sum(bits)  # bits that nobody needs
    codes.append(codes[0].new_zeros(len(rows), free))
    owner = [place for place, each in enumerate(bits) for _ in range(each)] + free * [len(bits)]
    return {
        PACKED: _packed(torch.cat(codes, 1).view(epochs, n * count)),
        CLASSES: table,
        BASIS: basis,
        LEVELS: torch.cat(levels),
        OWNER: torch.tensor(owner, dtype=torch.int16, device=logits.device),
    }


def _principal(rows: Tensor, count: int) -> tuple[Tensor, list[int]]:
    """Of rows [m, C] the components that get bits, float16 [C, K], and how many of `count` each."""
    variances, basis = torch.linalg.eigh((rows.T @ rows).double().cpu() / len(rows))
    bits = bits_of(variances.flip(0).clamp(min=0).sqrt().tolist(), count)
    basis = basis.flip(1)[:, : len(bits)]
    # an eigenvector's sign is any; here its largest entry is positive
    largest = basis.gather(0, basis.abs().argmax(0, keepdim=True))
    return (basis * largest.sign()).half().contiguous().to(rows.device), bits


def _packed(bits: Tensor) -> Tensor:
    """Bits [E, m] in bytes, uint8 [E, ceil(m / 8)]."""
    bits = F.pad(bits, (0, -bits.shape[1] % 8)).unflatten(1, (-1, 8))
    places = torch.tensor([1 << place for place in range(8)], device=bits.device)
    return (bits * places).sum(2).to(torch.uint8)


def expected(table: Tensor, partner: Tensor, lam: Tensor, index: Tensor) -> Tensor:
    """What the views of the images `index` [b] of a set should have by their classes alone, float32
    [b, C]: lam times the row of the image's class in `table` float16 [C, C], and 1 - lam times that
    of its partner's. partner, lam: [n]. A set has its images class by class."""
    share = lam[index, None]
    own = _class_of(index, len(lam), len(table))
    other = _class_of(partner[index].long(), len(lam), len(table))
    return share * table[own].float() + (1 - share) * table[other].float()


def _class_of(image: Tensor, n: int, classes: int) -> Tensor:
    return image * classes // n


def _by_classes(rows: Tensor, partner: Tensor, lam: Tensor) -> Tensor:
    """The table by which rows [E, n, C] are `expected` with the least squared error."""
    n, classes = rows.shape[1:]
    gram = torch.zeros(classes, classes, dtype=torch.float64)
    cross = gram.clone()
    own = _class_of(torch.arange(n, device=rows.device), n, classes)[:, None]
    for row, other, share in zip(rows, partner.long(), lam[..., None], strict=True):
        shares = rows.new_zeros(n, classes).scatter_(1, own, share)
        shares.scatter_add_(1, _class_of(other, n, classes)[:, None], 1 - share)
        gram += (shares.T @ shares).double().cpu()
        cross += (shares.T @ row).double().cpu()
    gram += SLACK * gram.diagonal().mean() * torch.eye(classes)
    table: Tensor = torch.linalg.solve(gram, cross).clamp(-HUGE, HUGE)
    return table.half().to(rows.device)


def bits_of(spreads: list[float], count: int) -> list[int]:
    """How many of `count` bits each component gets, as long as it gets any: so that the sum of
    spread * LEFT[bits] is the least. spreads: standard deviations, falling."""
    bits = [0] * len(spreads)
    gains = [(-spread * (LEFT[0] - LEFT[1]), place) for place, spread in enumerate(spreads)]
    heapq.heapify(gains)
    for _ in range(count):
        if not gains:
            break
        _, place = heapq.heappop(gains)
        bits[place] += 1
        if (following := bits[place] + 1) < len(LEFT):
            gain = spreads[place] * (LEFT[following - 1] - LEFT[following])
            heapq.heappush(gains, (-gain, place))
    return [each for each in bits if each]


def best_levels(values: Tensor, count: int) -> Tensor:
    """The levels float16 [count], in rising order, with the least mean square of the distances
    between values and their nearest levels: a local minimum, from quantiles on, of the values as
    they fall into 4,096 bins. The same on every device."""
    low, high = values.min().double().cpu(), values.max().double().cpu()
    width = (high - low).clamp(min=torch.finfo(torch.float32).tiny) / (BINS - 1)
    bins = ((values.double() - low.to(values.device)) / width.to(values.device)).round().long()
    weights = torch.bincount(bins.flatten(), minlength=BINS).double().cpu()
    at = low + width * torch.arange(BINS)
    shares = weights.cumsum(0) / weights.sum()
    levels = at[torch.searchsorted(shares, (torch.arange(count) + 0.5) / count).clamp(max=BINS - 1)]
    for _ in range(ROUNDS):
        nearest = torch.bucketize(at, (levels[1:] + levels[:-1]) / 2)
        held = torch.zeros(count, dtype=torch.float64).index_add_(0, nearest, weights)
        sums = torch.zeros(count, dtype=torch.float64).index_add_(0, nearest, weights * at)
        means = torch.where(held > 0, sums / held, levels)
        if torch.equal(means, levels):
            break
        levels = means
    return levels.clamp(-HUGE, HUGE).half().to(values.device)


def row_count(stored: Mapping[str, Tensor]) -> int:
    """How many rows an epoch has; fewer than 8 bits fill its last byte, and a row has 8 or more."""
    return 8 * len(stored[PACKED]) // len(stored[OWNER])


def decode(stored: Mapping[str, Tensor], partner: Tensor, lam: Tensor, index: Tensor) -> Tensor:
    """The logits float32 [b, C] of the images `index` [b], less their means, of what an epoch has
    of `encode`'s tensors. partner, lam: of its views, [n]."""
    packed, owner = stored[PACKED], stored[OWNER]
    basis, levels = stored[BASIS].float(), stored[LEVELS].float()
    index, place = index.to(packed.device), torch.arange(len(owner), device=packed.device)
    at = index[:, None] * len(owner) + place
    bits = packed[at >> 3].int() >> (at & 7) & 1
    own = owner[:, None] == torch.arange(basis.shape[1], device=packed.device)
    places = torch.where(own, 2.0 ** (own.cumsum(0) - 1), 0.0)
    counts = 2 ** own.sum(0)
    codes = (bits.float() @ places).long() + counts.cumsum(0) - counts
    return expected(stored[CLASSES], partner, lam, index) + levels[codes] @ basis.T
