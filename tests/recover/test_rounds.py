"""Rounds in which the images of a class join a batch one after the other (DELT)."""

import dataclasses
import functools

import pytest
import torch
from torch import nn
from toy import TEACHER, info, loss_of

from scdd.errors import ScddError
from scdd.networks.resnet import build
from scdd.params.recover import Recover
from scdd.plan.config import parse
from scdd.recover.engine import FramePlan, Recovered, Units, recover_units
from scdd.recover.units import Unit, draw_unit
from scdd.views.pixels import valid_range

SIZE, EACH = 8, 3
LABELS = torch.arange(2).repeat_interleave(EACH)  # class by class
VALID = valid_range(info(SIZE), torch.device("cpu"))
SETTINGS = Recover(
    iterations=6, lr=0.1, r_bn=0.05, shift=1, start="real", slots=EACH, rounds=3, crop=(0.3, 1.0)
)


@pytest.fixture
def network() -> nn.Module:
    return build(TEACHER, 2, torch.Generator().manual_seed(0)).eval()


def unit_of(settings: Recover, slot: int = 0) -> Unit:
    unit = draw_unit(settings, LABELS, SIZE, seed=0, block=0, slot=slot)
    return dataclasses.replace(unit, start=unit.start.clamp(*VALID))


def recovered(
    network: nn.Module, settings: Recover, slots: int = 1, width: int = 1, frames: int = 0
) -> Recovered:
    units = Units(range(slots), len(LABELS), functools.partial(unit_of, settings))
    plan = FramePlan(range(frames))
    return recover_units([network], units, settings, VALID, width=width, frames=plan)


@pytest.mark.parametrize(
    ("together", "rounds", "joins"),
    [
        (3, 3, (0, 2, 4)),
        (1, 3, (0,)),
        (5, 3, (0, 0, 2, 2, 4)),  # two, two and one
        (4, 1, (0, 0, 0, 0)),
        (4, 2, (0, 0, 3, 3)),
    ],
)
def test_rounds_get_as_many_images_each_and_the_first_the_remainder(
    together: int, rounds: int, joins: tuple[int, ...]
) -> None:
    assert Recover(iterations=6, slots=9, rounds=rounds).joins(together) == joins


def test_delts_ten_images_are_recovered_for_4000_to_500_iterations() -> None:
    joins = Recover(iterations=4000, slots=10, rounds=8).joins(10)
    assert joins == (0, 0, 500, 500, 1000, 1500, 2000, 2500, 3000, 3500)


def test_the_network_sees_the_images_that_have_joined(network: nn.Module) -> None:
    seen = []
    network.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    made = recovered(network, SETTINGS, frames=7)
    assert seen == [2, 2, 4, 4, 6, 6]
    moved = (made.frames[1:] != made.frames[:-1]).flatten(2).any(2)
    for number in range(6):
        expected = [number >= join for join in (0, 2, 4, 0, 2, 4)]
        assert moved[number].tolist() == expected


def test_the_loss_is_that_of_the_images_that_have_joined(network: nn.Module) -> None:
    """Their statistics too."""
    still = dataclasses.replace(SETTINGS, lr=1e-12, shift=0, crop=None)
    made = recovered(network, still)
    start = unit_of(still).start
    for number, places in enumerate(([0, 3], [0, 1, 3, 4], [0, 1, 2, 3, 4, 5])):
        expected = loss_of(network, 10.0, start[places], LABELS[places], still).detach()
        torch.testing.assert_close(made.losses[0, 2 * number], expected)


def test_one_adam_goes_on_through_all_rounds(network: nn.Module) -> None:
    """An image that joins in iteration 2 has moments of one gradient g, .5 g and .1 g^2, which Adam
    takes for those of three: lr (.5 / (1 - .5^3)) / sqrt(.1 / (1 - .9^3))."""
    plain = dataclasses.replace(SETTINGS, lr=0.01)
    made = recovered(network, plain, frames=4)
    step = (made.frames[3] - made.frames[2])[1].abs()
    rate = 0.01 * 0.75  # (1 + cos(pi 2 / 6)) / 2
    expected = rate * (0.5 / (1 - 0.5**3)) / (0.1 / (1 - 0.9**3)) ** 0.5
    assert step.median() == pytest.approx(expected, rel=1e-3)


def test_units_that_share_a_pass_are_those_alone(network: nn.Module) -> None:
    alone, together = (recovered(network, SETTINGS, 3, width) for width in (1, 3))
    torch.testing.assert_close(together.losses[:, 0], alone.losses[:, 0], rtol=1e-5, atol=0)
    torch.testing.assert_close(together.images, alone.images, rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"rounds": 2}, "rounds 2 are for several images of a class in a batch, and there is one"),
        ({"rounds": 9, "slots": 9, "iterations": 8}, "rounds 9 are more than the 8 iterations"),
        ({"pairs": "drawn", "slots": 2}, "pairs drawn is by slot, and with slots 2"),
    ],
)
def test_what_rounds_cannot_be(keys: dict[str, object], message: str) -> None:
    with pytest.raises(ScddError, match=message):
        parse(Recover, keys, "recover")
