"""Numbers of a normal distribution in a few bits each: trellis-coded quantisation.

The bits of a run of numbers form a ring, those of a number the highest one first. Its value is the
entry in a table of 256 at the index of the eight bits that end with its last one: its own, and
those before them. So each bit helps to give several numbers, and Viterbi's algorithm finds the ring
with the least squared error. One bit a number leaves 0.29 of the variance, where the best two
levels leave 0.36; two bits leave 0.08 in place of 0.12. Any number can be read by itself.

Trellis codes for numbers: Marcellin and Fischer 1990 (IEEE Trans. Commun. 38, 82-93). Overlapping
bits as their states: QTIP, arXiv 2406.11235, section 3.
"""

from collections.abc import Sequence
from statistics import NormalDist

import torch
from torch import Tensor

STATE = 8  # bits that give a number, of which the last are its own
STATES = 2**STATE
SPREAD = 109  # odd; of those that were tried it leaves least at one to three bits a number
TABLE = tuple(NormalDist().inv_cdf((s * SPREAD % STATES + 0.5) / STATES) for s in range(STATES))
# What b = 0, 1, 2, ... bits for each of many numbers leave of their variance. Measured:
# tests/labels/test_trellis.py does it again.
LEFT = (1.0, 0.290, 0.0794, 0.0214, 0.0071, 0.0024, 0.0011, 0.0008, 0.0007)
AT_ONCE = 2**26  # numbers times states that are searched at once: bytes, or fewer
FAR = 1e30


def table(device: torch.device) -> Tensor:
    """What each state stands for, float32 [STATES]."""
    return torch.tensor(TABLE, device=device)


def encode(values: Tensor, bits: Sequence[int], weights: Tensor) -> Tensor:
    """The states uint8 [m, t] of m rings of the `values` float32 [m, t], whose weighted squared
    error is about the least that a ring can have.

    bits: of each of the t numbers, from 1 to STATE, STATE or more in all; weights: float32 [t].
    """
    size = max(1, AT_ONCE // (STATES * len(bits)))
    return torch.cat([_ring(part, bits, weights) for part in values.split(size)])


def _ring(values: Tensor, bits: Sequence[int], weights: Tensor) -> Tensor:
    """A free path through the ring, begun half-way round, tells the state in which the ring should
    begin and end; the best path of those is the answer."""
    half = len(bits) // 2
    turned = values.roll(-half, 1), [*bits[half:], *bits[:half]], weights.roll(-half)
    start = _path(*turned, None)[:, len(bits) - half - 1]
    return _path(values, bits, weights, start).to(torch.uint8)


def _path(values: Tensor, bits: Sequence[int], weights: Tensor, start: Tensor | None) -> Tensor:
    """The best states int64 [m, t]. start: int64 [m], the state before the first number and after
    the last; None: any."""
    m, entries = len(values), table(values.device)
    cost = values.new_zeros(m, STATES)
    if start is not None:
        cost = torch.full_like(cost, FAR).scatter_(1, start[:, None], 0.0)
    # a state is the end of the one before it, and the number's own bits: the 2^b states before it
    # differ in their first b bits alone
    came = []
    for place, count in enumerate(bits):
        least, first = cost.view(m, 2**count, -1).min(1)
        came.append(first.to(torch.uint8))
        error = weights[place] * (values[:, place, None] - entries) ** 2
        cost = least.repeat_interleave(2**count, 1) + error
    state = cost.argmin(1) if start is None else start
    path = []
    for count, first in zip(reversed(bits), reversed(came), strict=True):
        path.append(state)
        rest = state >> count
        state = first.gather(1, rest[:, None])[:, 0].long() << STATE - count | rest
    return torch.stack(path[::-1], 1)
