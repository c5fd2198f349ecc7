"""Which teachers of a committee act, and with what weight.

Teachers are numbered in the committee's order: the method's own is 0.
"""

import math
from itertools import combinations

import torch

from scdd import rng
from scdd.params.recover import Recover


def teachers_of(params: Recover, count: int, *, block: int, slot: int) -> tuple[int, ...]:
    """Those of `count` teachers that the unit (block, slot) is recovered from, in order: all, or,
    with `pairs`, two (CV-DD). It depends on (seed, block, slot) alone."""
    everyone = range(count)
    match params.pairs:
        case "drawn":
            draw = rng.generator(params.seed, "recover from", block, slot)
            return tuple(sorted(torch.randperm(count, generator=draw)[:2].tolist()))
        case "listed":
            pairs = list(combinations(everyone, 2))
            return pairs[slot % len(pairs)]
        case "best":
            return params.best_pair
    return tuple(everyone)


def shares(params: Recover, teachers: tuple[int, ...], iteration: int) -> list[tuple[int, float]]:
    """The teachers that act in an iteration of a unit that has `teachers`, and the weights of their
    losses, whose sum is 1."""
    if params.teachers == "turn":
        return [(teachers[iteration % len(teachers)], 1.0)]
    if params.teachers == "vote":
        assert isinstance(params.priors, tuple)  # a list in the committee's order by now
        own = [params.priors[number] for number in teachers]
        votes = [math.exp((prior - max(own)) / params.prior_temperature) for prior in own]
    else:
        votes = [1.0] * len(teachers)
    return [(number, vote / sum(votes)) for number, vote in zip(teachers, votes, strict=True)]
