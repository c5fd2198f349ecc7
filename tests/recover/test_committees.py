"""How a committee of teachers acts: together, in turn, by votes, in pairs by slot."""

import dataclasses
import functools
import math
from itertools import combinations

import pytest
import torch
from torch import nn
from toy import TEACHER, info, loss_of

from scdd.errors import ScddError
from scdd.networks.resnet import build
from scdd.params.recover import Recover
from scdd.plan.config import parse
from scdd.recover.committees import shares, teachers_of
from scdd.recover.engine import Recovered, Units, recover_units
from scdd.recover.units import Unit, draw_unit
from scdd.views.pixels import valid_range

LABELS, SIZE = torch.arange(3), 8
PLAIN = Recover(iterations=4, lr=0.1, r_bn=0.05, shift=2)
TURN = dataclasses.replace(PLAIN, teachers="turn")
VOTE = dataclasses.replace(PLAIN, teachers="vote", priors=(60.0, 50.0, 55.0))
DRAWN = dataclasses.replace(PLAIN, pairs="drawn")
VALID = valid_range(info(SIZE), torch.device("cpu"))


@pytest.fixture
def networks() -> list[nn.Module]:
    return [build(TEACHER, 3, torch.Generator().manual_seed(seed)).eval() for seed in range(3)]


def unit_of(settings: Recover, slot: int) -> Unit:
    return draw_unit(settings, LABELS, SIZE, seed=settings.seed, block=0, slot=slot)


def units_of(settings: Recover, slots: range, count: int = 3) -> Units:
    def teachers(slot: int) -> tuple[int, ...]:
        return teachers_of(settings, count, block=0, slot=slot)

    draw = functools.partial(unit_of, settings)
    return Units(slots, len(LABELS), draw, teachers=teachers)


def recovered(networks: list[nn.Module], settings: Recover, slots: range, width: int) -> Recovered:
    units = units_of(settings, slots, len(networks))
    return recover_units(networks, units, settings, VALID, width=width)


def test_all_teachers_have_equal_shares_by_default() -> None:
    assert shares(PLAIN, (0, 1, 2, 3), 7) == [(0, 0.25), (1, 0.25), (2, 0.25), (3, 0.25)]


def test_in_turn_one_teacher_acts_in_an_iteration() -> None:
    acting = [shares(TURN, (0, 1, 2), t) for t in range(5)]
    assert acting == [[(0, 1.0)], [(1, 1.0)], [(2, 1.0)], [(0, 1.0)], [(1, 1.0)]]


def test_in_turn_within_a_pair() -> None:
    assert [shares(TURN, (1, 2), t)[0][0] for t in range(4)] == [1, 2, 1, 2]


def test_votes_are_the_softmax_of_the_priors_of_those_that_act() -> None:
    (first, a), (second, b) = shares(VOTE, (0, 2), 3)
    assert (first, second) == (0, 2)
    assert a == pytest.approx(1 / (1 + math.exp((55 - 60) / 5)))
    assert a + b == pytest.approx(1)


def test_the_temperature_of_votes_is_a_key() -> None:
    hot = dataclasses.replace(VOTE, prior_temperature=1e9)
    assert [weight for _, weight in shares(hot, (0, 1, 2), 0)] == pytest.approx([1 / 3] * 3)


def test_a_drawn_pair_depends_on_seed_block_and_slot_alone() -> None:
    def pairs(seed: int, block: int) -> list[tuple[int, ...]]:
        settings = dataclasses.replace(DRAWN, seed=seed)
        return [teachers_of(settings, 5, block=block, slot=slot) for slot in range(200)]

    drawn = pairs(0, 0)
    assert drawn == pairs(0, 0)
    assert drawn[100:] == [teachers_of(DRAWN, 5, block=0, slot=slot) for slot in range(100, 200)]
    assert len({tuple(drawn), tuple(pairs(1, 0)), tuple(pairs(0, 1))}) == 3
    counts = [drawn.count(pair) for pair in combinations(range(5), 2)]
    assert sum(counts) == 200
    assert min(counts) > 5


def test_listed_pairs_follow_the_committees_order_and_begin_again() -> None:
    listed = dataclasses.replace(PLAIN, pairs="listed")
    pairs = [teachers_of(listed, 3, block=4, slot=slot) for slot in range(4)]
    assert pairs == [(0, 1), (0, 2), (1, 2), (0, 1)]


def test_the_best_pair_has_the_highest_priors() -> None:
    best = dataclasses.replace(PLAIN, pairs="best", priors=(50.0, 60.0, 55.0))
    assert {teachers_of(best, 3, block=0, slot=slot) for slot in range(3)} == {(1, 2)}


def test_the_first_step_in_turn_is_the_first_teachers_alone(networks: list[nn.Module]) -> None:
    once = dataclasses.replace(TURN, iterations=1)
    made = recovered(networks, once, range(1), 1)
    alone = recovered(networks[:1], once, range(1), 1)
    assert made.images.equal(alone.images)
    assert made.losses.equal(alone.losses)


def test_each_iteration_in_turn_has_its_teachers_loss(networks: list[nn.Module]) -> None:
    """Without crops, shifts and movement each iteration sees the same images."""
    still = dataclasses.replace(TURN, shift=0, lr=1e-12)
    start = unit_of(still, 0).start.clamp(*VALID)
    unit = dataclasses.replace(unit_of(still, 0), start=start)
    made = recover_units(networks, Units([0], 3, lambda _: unit), still, VALID)
    by_teacher = [loss_of(network, 10.0, start, LABELS, still) for network in networks]
    expected = torch.stack([by_teacher[t % 3] for t in range(4)]).detach()
    torch.testing.assert_close(made.losses[0], expected)


def test_a_votes_loss_is_the_weighted_sum(networks: list[nn.Module]) -> None:
    made = recovered(networks, dataclasses.replace(VOTE, iterations=1, shift=0), range(1), 1)
    start = unit_of(VOTE, 0).start
    weights = torch.softmax(torch.tensor([60.0, 50.0, 55.0]) / 5, 0)
    parts = torch.stack([loss_of(network, 10.0, start, LABELS, VOTE) for network in networks])
    torch.testing.assert_close(made.losses[0, 0], weights @ parts.detach())


@pytest.mark.parametrize("settings", [TURN, VOTE, DRAWN])
def test_units_that_share_a_pass_are_those_alone(
    networks: list[nn.Module], settings: Recover
) -> None:
    alone, together = (recovered(networks, settings, range(6), width) for width in (1, 4))
    torch.testing.assert_close(together.losses[:, 0], alone.losses[:, 0], rtol=1e-5, atol=0)
    torch.testing.assert_close(together.images, alone.images, rtol=0, atol=1e-3)


def test_the_units_of_a_pass_have_the_same_pair(networks: list[nn.Module]) -> None:
    pairs = [teachers_of(DRAWN, 3, block=0, slot=slot) for slot in range(6)]
    made = recovered(networks, DRAWN, range(6), 6)
    assert sorted(made.widths) == sorted(pairs.count(pair) for pair in set(pairs))
    assert len(made.widths) > 1


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"teachers": "vote"}, "teachers vote needs priors, and there are none"),
        ({"pairs": "best"}, "pairs best needs priors"),
        ({"priors": [1, 2]}, "priors are for teachers vote and pairs best"),
        ({"pairs": "drawn", "statistics": "class"}, "pairs drawn is by slot"),
        ({"teachers": "vote", "priors": [1, 0]}, "recover.priors.1: .* greater than 0"),
        ({"teachers": "vote", "priors": {"resnet18": "x"}}, "recover.priors.resnet18"),
    ],
)
def test_what_a_committee_cannot_have(keys: dict[str, object], message: str) -> None:
    with pytest.raises(ScddError, match=message):
        parse(Recover, keys, "recover")
