"""The order in which the released programs see images: that of SRe2L's label files (FKD)."""

from collections.abc import Iterator

import torch
from torch import Tensor


def sampler_orders(n: int, seed: int) -> Iterator[Tensor]:
    """For each epoch a permutation int64 [n]: those of torch's RandomSampler with one generator for
    the whole run, which draws two permutations an epoch and drops the second."""
    draw = torch.Generator().manual_seed(seed)
    while True:
        yield torch.randperm(n, generator=draw)
        torch.randperm(n, generator=draw)
