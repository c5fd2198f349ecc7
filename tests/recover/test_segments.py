"""A recovery in segments: sizes, budgets, and the start that is mixed in between."""

import copy
import dataclasses
import functools

import pretended
import pytest
import torch
from pretended import GPU
from torch import nn
from toy import TEACHER, info

from scdd.errors import ScddError
from scdd.jobs.capture import Compiled
from scdd.networks.resnet import build
from scdd.params.recover import Recover, Residual, Segment
from scdd.plan.config import parse
from scdd.recover.engine import FramePlan, Recovered, Units, recover_units
from scdd.recover.residuals import nearest
from scdd.recover.units import Unit, draw_unit
from scdd.views.geometry import resized
from scdd.views.pixels import valid_range

LABELS, SIZE = torch.arange(3), 8
VALID = valid_range(info(SIZE), torch.device("cpu"))
WHOLE = Recover(iterations=5, lr=0.1, r_bn=0.05, shift=1, start="real")
SIZED = dataclasses.replace(WHOLE, sizes=(6, 8), budgets=(3, 2))
MIXED = dataclasses.replace(WHOLE, residual=Residual(0.3, every=2))
BOTH = dataclasses.replace(SIZED, residual=Residual(0.3), crop=(0.3, 1.0), flip=True)


@pytest.fixture
def network() -> nn.Module:
    return build(TEACHER, 3, torch.Generator().manual_seed(0)).eval()


def unit_of(settings: Recover, slot: int = 0) -> Unit:
    unit = draw_unit(settings, LABELS, SIZE, seed=0, block=0, slot=slot)
    return dataclasses.replace(unit, start=unit.start.clamp(*VALID))


def recovered(
    network: nn.Module,
    settings: Recover,
    slots: int = 1,
    width: int = 1,
    frames: tuple[int, ...] = (),
) -> Recovered:
    units = Units(range(slots), len(LABELS), functools.partial(unit_of, settings))
    plan = FramePlan(frames)
    return recover_units([network], units, settings, VALID, width=width, frames=plan)


def test_without_sizes_and_residual_there_is_a_single_segment() -> None:
    assert WHOLE.segments(32) == (Segment(0, 5, 32),)


def test_sizes_and_budgets_say_where_segments_end() -> None:
    assert SIZED.segments(8) == (Segment(0, 3, 6), Segment(3, 5, 8))


def test_a_residual_makes_segments_of_equal_length_and_perhaps_a_shorter_last() -> None:
    assert MIXED.segments(8) == (Segment(0, 2, 8), Segment(2, 4, 8), Segment(4, 5, 8))


def test_crops_are_of_images_as_large_as_in_their_segment() -> None:
    settings = dataclasses.replace(BOTH, iterations=400, budgets=(200, 200), sizes=(40, 8))
    boxes = unit_of(settings).boxes
    assert boxes is not None
    ends = boxes[..., :2] + boxes[..., 2:]
    assert (ends[:200].max(), ends[200:].max()) == (40, 8)


def test_the_random_numbers_are_those_of_a_single_segment() -> None:
    whole = unit_of(dataclasses.replace(WHOLE, crop=(0.3, 1.0), flip=True))
    parts = unit_of(BOTH)
    assert parts.boxes is not None
    assert whole.boxes is not None
    assert parts.start.equal(whole.start)
    assert parts.shifts.equal(whole.shifts)
    assert parts.flips.equal(whole.flips)
    assert parts.boxes[3:].equal(whole.boxes[3:])


def test_the_network_sees_the_segments_sizes(network: nn.Module) -> None:
    sizes = []
    network.register_forward_pre_hook(lambda _, seen: sizes.append(seen[0].shape[-1]))
    made = recovered(network, SIZED, frames=(0, 4, 5))
    assert sizes == [6, 6, 6, 8, 8]
    assert made.images.shape[-1] == made.frames.shape[-1] == 8
    assert made.frames[0].equal(resized(resized(unit_of(SIZED).start, 6), 8))


def test_the_start_is_mixed_in_between_segments_and_not_after_the_last(network: nn.Module) -> None:
    """Without movement, and from a start that is not valid: only the mixing, and the clamp of the
    iteration after it, change images."""
    still = dataclasses.replace(MIXED, lr=1e-12)
    start = 3 * torch.randn(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    unit = dataclasses.replace(unit_of(still), start=start)
    after = FramePlan((1, 2, 3, 5))
    made = recover_units(
        [network], Units([0], 3, lambda _: unit), still, VALID, frames=after
    ).frames
    valid = start.clamp(*VALID)
    torch.testing.assert_close(made[0], valid)
    torch.testing.assert_close(made[1], 0.3 * valid + 0.7 * start)  # not clamped yet
    torch.testing.assert_close(made[2], (0.3 * valid + 0.7 * start).clamp(*VALID))
    torch.testing.assert_close(made[3], (0.3 * made[2] + 0.7 * start).clamp(*VALID))


def test_each_segment_has_a_new_adam_on_the_cosine_of_them_all(network: nn.Module) -> None:
    """An Adam's first step moves each pixel by the learning rate, whatever the gradient; in
    iteration 2 of 5 that is (1 + cos(2 pi / 5)) / 2 of its peak."""
    made = recovered(network, dataclasses.replace(MIXED, lr=0.01), frames=(0, 1, 2, 3, 4))
    first = (made.frames[1] - made.frames[0]).abs()
    later = (made.frames[3] - made.frames[2]).abs()
    assert first.median() == pytest.approx(0.01, rel=1e-3)
    assert later.median() == pytest.approx(0.01 * 0.6545085, rel=1e-3)


@pytest.mark.parametrize("settings", [MIXED, BOTH])
def test_units_that_share_a_pass_are_those_alone(network: nn.Module, settings: Recover) -> None:
    alone, together = (recovered(network, settings, 3, width) for width in (1, 3))
    torch.testing.assert_close(together.losses[:, 0], alone.losses[:, 0], rtol=1e-5, atol=0)
    torch.testing.assert_close(together.images, alone.images, rtol=0, atol=1e-3)


def test_a_pass_that_runs_out_of_memory_in_a_larger_segment_is_halved(network: nn.Module) -> None:
    plain, passes = recovered(network, BOTH, 2), []

    def full(_: nn.Module, inputs: tuple[torch.Tensor]) -> None:
        passes.append((len(inputs[0]) // 3, inputs[0].shape[-1]))
        if passes[-1] == (2, 8):
            raise torch.OutOfMemoryError

    network.register_forward_pre_hook(full)
    made = recovered(network, BOTH, 2, width=2)
    assert passes == [(2, 6)] * 3 + [(2, 8)] + [(1, 8)] * 4
    assert made.widths == [1, 1]
    torch.testing.assert_close(made.images, plain.images, rtol=0, atol=1e-3)


def test_the_nearest_of_the_own_class_is_chosen() -> None:
    """Two images of each of two classes, and three to choose from; their means are the features."""
    images = torch.tensor([1.0, 5.0, 5.0, 1.0]).view(4, 1, 1, 1).expand(4, 3, 2, 2)
    pool = torch.tensor([[4.0, 0.5, 9.0], [0.0, 1.25, 100.0]]).view(2, 3, 1, 1, 1)
    pool, sizes = pool.expand(2, 3, 3, 2, 2), []

    def features(some: torch.Tensor) -> torch.Tensor:
        sizes.append(len(some))
        return some.mean((1, 2, 3))[:, None]

    chosen = nearest(features, images, pool)
    assert chosen[:, 0, 0, 0].tolist() == [0.5, 4.0, 1.25, 1.25]
    assert max(sizes) == 4  # no more than a pass has


def test_with_a_pool_the_start_is_chosen_anew(network: nn.Module) -> None:
    """Without movement an image's nearest is itself, wherever it is in the pool."""
    still = dataclasses.replace(MIXED, lr=1e-12, residual=Residual(0.3, 2, pool=2))
    unit, other = unit_of(still), unit_of(still, 1).start
    pool = torch.stack([other, unit.start], dim=1)
    own, others = (
        dataclasses.replace(unit, pool=each) for each in (pool, torch.stack([other, other], dim=1))
    )
    made = [
        recover_units([network], Units([0], 3, lambda _, u=u: u), still, VALID).images[0]
        for u in (own, others)
    ]
    torch.testing.assert_close(made[0], unit.start)
    torch.testing.assert_close(made[1], 0.09 * unit.start + 0.91 * other)  # mixed in twice


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"sizes": [6, 8]}, "sizes and budgets belong together"),
        ({"sizes": [6, 8], "budgets": [3]}, "sizes .6, 8. and budgets .3. are of unequal length"),
        ({"sizes": [6, 8], "budgets": [3, 3]}, "are 6 iterations together, and iterations is 5"),
        ({"sizes": [0, 8], "budgets": [3, 2]}, "recover.sizes.0: .* greater than or equal to 1"),
        ({"residual": {"every": 2}, "start": "noise"}, "and start is noise"),
        ({"residual": {}}, "residual needs the segments' lengths once"),
        (
            {"residual": {"every": 2}, "sizes": [6, 8], "budgets": [3, 2]},
            "residual needs the segments' lengths once",
        ),
        ({"residual": {"every": 5}}, "5 iterations are a single one"),
        ({"residual": {"every": 2, "alpha": 1.5}}, "recover.residual.alpha"),
    ],
)
def test_what_segments_cannot_be(keys: dict[str, object], message: str) -> None:
    with pytest.raises(ScddError, match=message):
        parse(Recover, {"iterations": 5, "start": "real", **keys}, "recover")


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that has 1,000 bytes, of which a unit needs 300."""
    numbers = {"memory_allocated": 0, "max_memory_allocated": 300, "reset_peak_memory_stats": None}
    for name, value in {**numbers, "mem_get_info": (1000, 1000)}.items():
        monkeypatch.setattr(torch.cuda, name, lambda _, value=value: value)


@pytest.mark.usefixtures("memory")
def test_the_width_of_a_pass_is_measured_at_the_largest_size(network: nn.Module) -> None:
    """That of the second segment, before anything else passes through the network."""
    sizes = []
    network.register_forward_pre_hook(lambda _, seen: sizes.append(seen[0].shape[-1]))
    with pretended.gpu():
        units = Units(range(3), len(LABELS), functools.partial(unit_of, BOTH))
        made = recover_units([network.to(GPU)], units, BOTH, valid_range(info(SIZE), GPU))
    assert sizes[:2] == [8, 6]
    assert made.widths == [2, 1]


@pytest.mark.usefixtures("memory")
def test_captured_teachers_share_the_memory_and_others_take_turns(
    network: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    def widths(compiled: Compiled) -> list[int]:
        units = Units(range(2), len(LABELS), functools.partial(unit_of, WHOLE))
        with pretended.gpu(), pretended.graphs(monkeypatch):
            networks = [copy.deepcopy(network).to(GPU) for _ in range(2)]
            valid = valid_range(info(SIZE), GPU)
            return recover_units(networks, units, WHOLE, valid, compiled=compiled).widths

    assert widths("none") == [2]
    assert widths("graphs") == [1, 1]
