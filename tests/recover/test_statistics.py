"""What is matched beside running statistics: those of convolutions, tiles, classes; averages."""

import copy
import dataclasses
import functools
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from toy import TEACHER, info

from scdd.artifacts.slots import slots_together
from scdd.artifacts.statistics import Real, load_statistics, save_statistics
from scdd.errors import ScddError
from scdd.networks.resnet import build
from scdd.params.recover import Recover
from scdd.params.statistics import Statistics
from scdd.recover.blocks import block_units
from scdd.recover.distance import NOTHING, StatisticsLoss
from scdd.recover.matching import frozen, objective
from scdd.recover.targets import of_batch, real_statistics
from scdd.recover.units import Unit, Views, draw_unit
from scdd.recover.watching import Watch, in_tiles, layers_of
from scdd.views.pixels import valid_range

SIZE, CLASSES = 8, 3
CPU = torch.device("cpu")
PLAIN = Recover(iterations=4, lr=0.1, r_bn=0.05, shift=2, block=CLASSES)
TILES = dataclasses.replace(PLAIN, convolutions="patches", patch=4)
ALL = dataclasses.replace(
    TILES, momentum=0.8, drop=0.4, class_share=0.5, flatness=2.0, densification=1.0, slots=3
)
VALID = valid_range(info(SIZE), CPU)


@pytest.fixture
def network() -> nn.Module:
    """Its first layers see 8 x 8 pixels, the last ones 1 x 1: with tiles of 4, 2 x 2 and 1 x 1
    pixels are resized."""
    made = build(TEACHER, CLASSES, torch.Generator().manual_seed(0))
    draw = torch.Generator().manual_seed(1)
    for part in made.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1, generator=draw)
            part.running_var.uniform_(0.5, 1.5, generator=draw)
    return made.eval().requires_grad_(False)


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def gather(network: nn.Module) -> Real:
    """Of twelve real images, in batches of 5, 5 and 2."""
    n = 12
    images, labels = numbers(n, 3, SIZE, SIZE, seed=9), torch.arange(n) % CLASSES

    def batches(skip: int) -> Iterable[tuple[Tensor, Tensor]]:
        return list(zip(labels.split(5), images.split(5), strict=True))[skip:]

    params = Statistics("patches", 4)
    shape = (3, SIZE, SIZE)
    return real_statistics(network, batches, params, images=n, size=5, classes=CLASSES, shape=shape)


def exact_tiles(x: Tensor, patch: int) -> tuple[Tensor, Tensor]:
    """Mean and variance of each tile of a batch, tile by tile, in float64."""
    x = x.double()
    sides = [-(-side // patch) * patch for side in x.shape[2:]]
    x = functional.interpolate(x, sides, mode="bilinear", align_corners=False)
    tiles = [
        x[:, :, top : top + patch, left : left + patch].flatten()
        for top in range(0, sides[0], patch)
        for left in range(0, sides[1], patch)
    ]
    return torch.stack([t.mean() for t in tiles]), torch.stack([t.var(False) for t in tiles])


@pytest.mark.parametrize("side", [8, 6])
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_a_convolution_has_the_statistics_of_its_input_and_their_gradient(
    side: int, memory: torch.memory_format
) -> None:
    """Two units, by channel and by tile; the gradient against autograd in float64."""
    layer = nn.Conv2d(5, 2, 3).requires_grad_(False)
    x = numbers(6, 5, side, side).contiguous(memory_format=memory)
    leaf, exact = x.clone().requires_grad_(), x.double().requires_grad_()
    with Watch([("0", layer)], 4, units=2) as watch:
        output = layer(leaf)
    seen = [*watch.seen[0, "channel"], *watch.seen[0, "patch"]]
    expected: list[list[Tensor]] = [[], [], [], []]
    for own in exact.chunk(2):
        flat = own.transpose(0, 1).flatten(1)
        for place, value in enumerate((flat.mean(1), flat.var(1, False), *exact_tiles(own, 4))):
            expected[place].append(value)
    total, exact_total = output.sum(), copy.deepcopy(layer).double()(exact).sum()
    for number, (value, values) in enumerate(zip(seen, expected, strict=True)):
        torch.testing.assert_close(value.double(), torch.stack(values), rtol=1e-5, atol=1e-6)
        factors = numbers(*value.shape, seed=number)
        total = total + (factors * value).sum()
        exact_total = exact_total + (factors * torch.stack(values)).sum()
    (gradient,) = torch.autograd.grad(total, leaf)
    (exact_gradient,) = torch.autograd.grad(exact_total, exact)
    torch.testing.assert_close(gradient.double(), exact_gradient, rtol=1e-5, atol=1e-6)


def test_images_are_resized_as_by_torch_but_not_where_tiles_fit() -> None:
    x = numbers(2, 3, 8, 8)
    assert in_tiles(x, 4) is x
    torch.testing.assert_close(in_tiles(x, 3), functional.interpolate(x, 9, mode="bilinear"))


def test_layers_are_in_the_modules_order(network: nn.Module) -> None:
    names = [name for name, _ in layers_of(network, convolutions=True)]
    assert names[:4] == ["conv1", "bn1", "layer1.0.conv1", "layer1.0.bn1"]
    assert names == [
        name
        for name, part in network.named_modules()
        if isinstance(part, nn.Conv2d | nn.BatchNorm2d)
    ]


def test_the_factor_is_that_of_the_first_layer_a_convolution(network: nn.Module) -> None:
    real, views, labels = gather(network), numbers(1, 6, 3, SIZE, SIZE), torch.arange(6)[None] % 3

    def distance(first: float, rows: Real) -> float:
        settings = dataclasses.replace(TILES, first_bn_multiplier=first)
        with StatisticsLoss(network, settings, rows) as matched:
            return objective(network, matched, views, labels, settings)[0, 2].item()

    of_first = sum(row.layer == "conv1" for row in real.rows)
    assert of_first == 2
    more = distance(3.0, real) - distance(1.0, real)
    means, variances = real.dataset
    width = sum(row.width for row in real.rows[:of_first])
    x = views[0]
    flat = x.transpose(0, 1).flatten(1)
    tiles = exact_tiles(x, 4)
    parts = (means[:3] - flat.mean(1), variances[:3] - flat.var(1, False))
    parts += (means[3:width] - tiles[0], variances[3:width] - tiles[1])
    assert more == pytest.approx(2 * sum(part.norm().item() for part in parts), rel=1e-4)


def test_units_that_share_a_pass_are_those_alone_but_for_rounding(network: nn.Module) -> None:
    units = [unit_of(network, ALL, slot) for slot in (0, 3, 6)]
    together = one_step(network, ALL, units)
    for row, unit in enumerate(units):
        alone = one_step(network, ALL, [unit])
        for a, b in zip(together, alone, strict=True):
            torch.testing.assert_close(a[row], b[0], rtol=1e-4, atol=1e-6)


def unit_of(network: nn.Module, settings: Recover, slot: int) -> Unit:
    labels = torch.arange(CLASSES).repeat_interleave(settings.slots)
    targets = [of_batch(gather(network), labels, settings)]
    draw = functools.partial(draw_unit, settings, labels, SIZE, seed=1, block=0, slot=slot)
    convolutions = len(layers_of(network, True)) - len(layers_of(network, False))
    return draw(targets=targets, convolutions=(1, convolutions))


def one_step(
    network: nn.Module, settings: Recover, units: list[Unit]
) -> tuple[Tensor, Tensor, Tensor]:
    """Losses, gradients, and averages of the variances after the first iteration."""
    views, count = Views(units, CPU), len(units)
    leaf = torch.stack([unit.start for unit in units]).requires_grad_()
    assert views.targets is not None
    with StatisticsLoss(network, settings, gather(network)) as matched:
        beside = NOTHING._replace(
            targets=views.targets[0],
            kept=views.kept(0, 0),
            averages=matched.start(count),
            average=views.of(leaf.detach() + 0.1, 0),
        )
        losses = objective(network, matched, views.of(leaf, 0), views.labels(0), settings, beside)
        (gradient,) = torch.autograd.grad(losses[:, 0].sum(), leaf)
    assert matched.averages is not None
    return losses.detach(), gradient, matched.averages[1]


def test_averages_begin_at_zero_and_have_the_gradient_of_the_current_statistics() -> None:
    """One channel: the distance of m a + (1 - m) x from the running mean."""
    network = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(4, 2))
    frozen(network, "float32")
    network[0].running_mean.fill_(5.0)
    settings = dataclasses.replace(PLAIN, momentum=0.75, first_bn_multiplier=1.0)
    labels = torch.zeros(1, 2, dtype=torch.int64)
    with StatisticsLoss(network, settings) as matched:
        averages = matched.start(1)
        for expected in (0.25, 0.4375):  # of a mean that is 1
            views = (1 + 0.5 * numbers(1, 2, 1, 2, 2).sign()).requires_grad_()
            views = (views - views.mean() + 1).detach().requires_grad_()
            beside = NOTHING._replace(averages=averages)
            objective(network, matched, views, labels, settings, beside)
            averages = matched.averages
            assert averages is not None
            torch.testing.assert_close(averages[0], torch.tensor([[expected]]))
        # d|5 - mean| / dx is -1/8 for each of 8 values, whatever the average's share of them
        matched.begin(1, NOTHING._replace(averages=averages))
        network(views.flatten(0, 1))
        matched.real = torch.tensor([5.0]), torch.tensor([1e9])  # far: of the variance a constant
        slope = torch.autograd.grad(matched.take().sum(), views)[0]
    of_variance = -2 * (views - views.mean()) / 8
    torch.testing.assert_close(slope, of_variance - 1 / 8)


def test_a_convolution_that_is_left_out_has_no_term_and_keeps_its_average(
    network: nn.Module,
) -> None:
    settings = dataclasses.replace(TILES, momentum=0.5, drop=0.3)
    real, x = gather(network), numbers(2, 3, 3, SIZE, SIZE)
    with StatisticsLoss(network, settings, real) as matched:
        kept = torch.ones(2, matched.convolutions)
        kept[1] = 0  # of the second unit all are left out
        old = tuple(torch.full_like(t, 7.0) for t in matched.start(2) or ())
        for weights in (kept, None):
            beside = NOTHING._replace(kept=weights, averages=(old[0], old[1]))
            labels = torch.zeros(2, 3, dtype=torch.int64)
            losses = objective(network, matched, x, labels, settings, beside)
            if weights is not None:
                with_drops, averages = losses[:, 2], matched.averages
    widths = torch.tensor([row.width for row in real.rows])
    is_bn = torch.tensor([row.kind == "bn" for row in real.rows]).repeat_interleave(widths)
    assert averages is not None
    for average in averages:
        assert (average[1, ~is_bn] == 7).all()
        assert (average[1, is_bn] != 7).all()
        assert (average[0] != 7).all()
    assert with_drops[0] == losses[0, 2]
    only_bn = StatisticsLoss(network, dataclasses.replace(PLAIN, momentum=0.5))
    with only_bn:
        beside = NOTHING._replace(averages=(old[0][:, is_bn], old[1][:, is_bn]))
        objective(network, only_bn, x, labels, PLAIN, beside)
        # the first BatchNorm has the first layer's factor here, and 1 there
        only_bn.weights[0] = 1
        plain = objective(network, only_bn, x, labels, PLAIN, beside)[:, 2]
    torch.testing.assert_close(with_drops[1], plain[1])


def test_which_convolutions_are_left_out_is_the_units_own_choice() -> None:
    settings, labels = dataclasses.replace(TILES, drop=0.4, iterations=50), torch.arange(3)
    draw = functools.partial(draw_unit, settings, labels, SIZE, seed=1, block=0)
    first, again, other = (draw(slot=slot, convolutions=(2, 9)).drops for slot in (0, 0, 1))
    assert first is not None and again is not None and other is not None
    assert first.shape == (50, 2, 9)
    assert first.equal(again)
    assert not first.equal(other)
    assert first.float().mean().item() == pytest.approx(0.4, abs=0.05)


def test_nothing_else_moves_where_convolutions_are_left_out() -> None:
    labels, key = torch.arange(3), {"seed": 1, "block": 0, "slot": 2}
    plain = draw_unit(TILES, labels, SIZE, **key)
    dropped = draw_unit(
        dataclasses.replace(TILES, drop=0.4), labels, SIZE, **key, convolutions=(1, 9)
    )
    assert plain.start.equal(dropped.start)
    assert plain.shifts.equal(dropped.shifts)


def test_real_statistics_are_means_of_those_within_batches_and_images(network: nn.Module) -> None:
    """Of the first convolution, which sees the images: three batches, of 5, 5 and 2."""
    real = gather(network)
    images, labels = numbers(12, 3, SIZE, SIZE, seed=9).double(), torch.arange(12) % CLASSES
    assert [(row.layer, row.kind, row.width) for row in real.rows[:3]] == [
        ("conv1", "channel", 3),
        ("conv1", "patch", 4),
        ("bn1", "bn", network.bn1.num_features),
    ]

    def of(x: Tensor) -> Tensor:
        flat = x.transpose(0, 1).flatten(1)
        tiles = exact_tiles(x, 4)
        return torch.stack(
            [torch.cat([flat.mean(1), tiles[0]]), torch.cat([flat.var(1, False), tiles[1]])]
        )

    expected = sum(len(x) / 12 * of(x) for x in images.split(5))
    assert isinstance(expected, Tensor)
    torch.testing.assert_close(torch.stack(real.dataset)[:, :7].double(), expected)
    for label in range(CLASSES):
        own = torch.stack([of(x[None]) for x in images[labels == label]]).mean(0)
        got = torch.stack([part[label, :7] for part in real.classes])
        torch.testing.assert_close(got.double(), own)
    bn = slice(7, 7 + network.bn1.num_features)
    assert real.dataset[0][bn].equal(network.bn1.running_mean)
    assert real.dataset[1][bn].equal(network.bn1.running_var)


def test_targets_of_a_batch_are_the_mean_over_its_images(network: nn.Module) -> None:
    real = gather(network)
    labels = torch.tensor([0, 0, 2])
    means, variances = of_batch(real, labels, ALL)
    torch.testing.assert_close(means, (2 * real.classes[0][0] + real.classes[0][2]) / 3)
    torch.testing.assert_close(variances, (2 * real.classes[1][0] + real.classes[1][2]) / 3)
    code = dataclasses.replace(ALL, class_patches="code")
    swapped = of_batch(real, labels, code)
    tiles, others = slice(3, 7), slice(0, 3)
    assert swapped[0][tiles].equal(variances[tiles])
    assert swapped[1][tiles].equal(means[tiles])
    assert swapped[0][others].equal(means[others])


@pytest.mark.parametrize(
    ("span", "most", "expected"),
    [((0, 1), 10, 1), ((1, 10), 10, 9), ((1, 10), 5, 3), ((10, 20), 7, 5), ((50, 100), 10, 10)],
)
def test_batches_of_a_range_have_equally_many_slots(
    span: tuple[int, int], most: int, expected: int
) -> None:
    assert slots_together(span, most) == expected


def needless() -> NoReturn:
    """Real images, in place of those that a recovery from noise does not read."""
    raise AssertionError


def test_a_batch_of_several_slots_is_class_by_class(network: nn.Module) -> None:
    settings = dataclasses.replace(PLAIN, slots=5)
    given = info(SIZE), 0, (0, 3), (10, 20), [network], needless, needless
    units = block_units(settings, *given)
    assert list(units.keys) == [10, 15]
    assert units.size == 15
    unit = units.draw(15)
    assert unit.labels.tolist() == [0] * 5 + [1] * 5 + [2] * 5
    again = block_units(settings, *given)
    assert unit.start.equal(again.draw(15).start)


def test_a_padded_crop_is_as_large_as_the_images_and_may_reach_beyond_them() -> None:
    settings = dataclasses.replace(PLAIN, pad=2, shift=0, iterations=200)
    unit = draw_unit(settings, torch.arange(3), SIZE, seed=1, block=0, slot=0)
    assert unit.boxes is not None
    assert unit.boxes[:, 0, :2].unique().tolist() == [-2, -1, 0, 1, 2]
    assert unit.boxes[:, 0, 2:].unique().tolist() == [SIZE]
    step = int((unit.boxes[:, 0, 0] == -2).nonzero()[0])
    seen = Views([unit], CPU).of(torch.ones(1, 3, 3, SIZE, SIZE), step)
    assert (seen[0, :, :, :2] == 0).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"patch": 8}, "patch 8 is that of tiles"),
        ({"drop": 0.5}, "drop 0.5 is of convolutions"),
        ({"class_patches": "code"}, "class_patches code is of classes' tiles"),
        ({"pad": 2, "crop": (0.5, 1.0)}, "crop and pad are two crops"),
        ({"statistics": "class", "slots": 2}, "slots 2 is for batches of several classes"),
        ({"convolutions": "channels", "r_bn": "auto"}, "r_bn auto is what suits"),
        (
            {"convolutions": "patches", "sizes": (6, 8), "budgets": (2, 2)},
            "images of another size have other tiles",
        ),
    ],
)
def test_what_cannot_act_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(PLAIN, **changes)


def test_statistics_of_another_network_are_refused(network: nn.Module) -> None:
    other = nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2))
    with pytest.raises(ScddError, match="those of another network: there is no conv1 here"):
        StatisticsLoss(other.eval(), TILES, gather(network))


def test_a_file_of_statistics_is_read_as_it_was_written(network: nn.Module, tmp_path: Path) -> None:
    real, path = gather(network), tmp_path / "statistics.safetensors"
    save_statistics(path, real, ("a", "b", "c"), "s1", {})
    read = load_statistics(path, digest="s1", classes=("a", "b", "c"), classes_of=tmp_path)
    assert read.rows == real.rows
    pairs = zip((*read.dataset, *read.classes), (*real.dataset, *real.classes), strict=True)
    assert all(a.equal(b) for a, b in pairs)
    with pytest.raises(ScddError, match="class order differs"):
        load_statistics(path, digest="s1", classes=("b", "a", "c"), classes_of=tmp_path)
