"""The trellis: a search of all rings, and what is left of a normal distribution."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from scdd.labels import trellis
from scdd.labels.trellis import LEFT, STATE, TABLE

CPU = torch.device("cpu")


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def read(ring: str, bits: list[int]) -> list[float]:
    """What a ring of '0' and '1' says: for each number the table's entry for the eight bits that
    end with its last one."""
    endless, said, end = 2 * ring, [], len(ring)
    for count in bits:
        end += count
        said.append(TABLE[int(endless[:end][-STATE:] if end > len(ring) else "", 2)])
    return said


def ring_of(states: list[int], bits: list[int]) -> str:
    """The own bits of the states, the highest one first."""
    pairs = zip(states, bits, strict=True)
    return "".join(format(state % 2**count, f"0{count}b") for state, count in pairs)


def error(said: list[float], values: Tensor, weights: Tensor) -> float:
    return (weights * (torch.tensor(said) - values) ** 2).sum().item()


def test_the_table_has_as_many_numbers_in_each_part_of_a_normal_distribution() -> None:
    """Numbers whose cumulative distribution is 0.5, 1.5, ... of 256."""
    shares = sorted(0.5 * (1 + math.erf(number / math.sqrt(2))) for number in TABLE)
    assert shares == pytest.approx([(place + 0.5) / 256 for place in range(256)])
    assert trellis.table(CPU).tolist() == pytest.approx(TABLE)


def least_error(values: list[float], bits: list[int], weights: list[float]) -> float:
    """The best ring's, by trying each state in which it may begin and end."""
    states, table = np.arange(256), np.array(TABLE)
    cost = np.where(np.eye(256, dtype=bool), 0.0, np.inf)  # [start, state]
    for value, count, weight in zip(values, bits, weights, strict=True):
        after = np.full((256, 256), np.inf)
        for own in range(2**count):
            to = (states << count | own) % 256
            for state in range(256):
                after[:, to[state]] = np.minimum(after[:, to[state]], cost[:, state])
        cost = after + weight * (table - value) ** 2
    return float(cost.diagonal().min())


@pytest.mark.parametrize("bits", [[1] * 40, [2, 1, 1] * 12, [3, 2, 2, 1] * 8])
def test_no_ring_is_much_better_than_the_one_that_is_chosen(bits: list[int]) -> None:
    values, weights = normal(4, len(bits)), 0.5 + normal(len(bits), seed=1).abs()
    states = trellis.encode(values, bits, weights)
    chosen = [
        error(read(ring_of(ring, bits), bits), row, weights)
        for row, ring in zip(values, states.tolist(), strict=True)
    ]
    best = [least_error(row, bits, weights.tolist()) for row in values.tolist()]
    assert all(one >= least - 1e-4 for one, least in zip(chosen, best, strict=True))
    assert sum(chosen) < 1.1 * sum(best), (sum(chosen), sum(best))


def test_states_are_what_a_reader_of_the_ring_sees() -> None:
    bits = [3, 1, 2, 1] * 10
    states = trellis.encode(normal(5, 40), bits, torch.ones(40))
    assert states.dtype == torch.uint8
    for ring in states.tolist():
        assert read(ring_of(ring, bits), bits) == [TABLE[state] for state in ring]


@pytest.mark.parametrize("count", range(1, 9))
def test_what_is_left_of_a_normal_distribution(count: int) -> None:
    values = normal(16, 300, seed=2)
    states = trellis.encode(values, [count] * 300, torch.ones(300))
    left = (trellis.table(CPU)[states.long()] - values).square().mean().item()
    # with many bits a few numbers far out make up most of it
    assert left == pytest.approx(LEFT[count], rel=0.05 if count < 5 else 0.25)


def test_one_and_two_bits_leave_less_than_the_best_levels() -> None:
    """Max 1960, table I (doi 10.1109/TIT.1960.1057548), and no less than Shannon's bound."""
    assert 2**-2 < LEFT[1] < 0.3634
    assert 2**-4 < LEFT[2] < 0.1175


def test_a_number_of_more_weight_is_said_better() -> None:
    values = normal(8, 200, seed=3)
    weights = torch.tensor([4.0, 1.0]).repeat(100)
    said = trellis.table(CPU)[trellis.encode(values, [1] * 200, weights).long()]
    lost = (said - values).square().view(8, 100, 2).mean((0, 1))
    assert lost[0] < 0.8 * lost[1]


def test_rings_do_not_depend_on_those_beside_them(monkeypatch: pytest.MonkeyPatch) -> None:
    values, bits, weights = normal(7, 30), [2, 1] * 15, torch.ones(30)
    together = trellis.encode(values, bits, weights)
    monkeypatch.setattr(trellis, "AT_ONCE", 1)
    assert torch.equal(trellis.encode(values, bits, weights), together)
