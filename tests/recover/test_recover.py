"""The recovery's units, settings and program."""

import copy
import csv
import dataclasses
import functools
import hashlib
import json
import math

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef
from torchvision.transforms import functional as tv
from toy import job, loss_of, recover_unit

from scdd import rng
from scdd.artifacts.dataset import DatasetInfo, save_info, save_split
from scdd.artifacts.frames import load_frames
from scdd.artifacts.network import Checkpoint, save_checkpoint
from scdd.data.source import open_dataset
from scdd.errors import ScddError
from scdd.jobs.saved import SavedState
from scdd.networks.resnet import build
from scdd.params.network import Network
from scdd.params.recover import Recover
from scdd.recover import __main__ as program
from scdd.recover.distance import StatisticsLoss
from scdd.recover.engine import FramePlan, Units, recover_units
from scdd.recover.matching import objective
from scdd.recover.targets import class_statistics
from scdd.recover.units import Views, draw_class_unit, draw_unit, least_share
from scdd.select.methods import random
from scdd.views.pixels import denormalise, normalise, valid_range

CLASSES, SIZE = 5, 8
PLAIN = Recover(
    iterations=4,
    lr=0.1,
    r_bn=0.05,
    shift=2,
    crop=None,
    flip=False,
    precision="float32",
)
INFO = DatasetInfo(
    name="dots",
    classes=tuple("abcde"),
    resolution=SIZE,
    mean=(0.5, 0.4, 0.3),
    std=(0.2, 0.25, 0.3),
    train=0,
    val=0,
    fingerprint="",
    digest="d",
)
VALID = valid_range(INFO, torch.device("cpu"))
LABELS = torch.arange(CLASSES)
NET = Network("resnet10", 0.125, "small")


@pytest.fixture
def network() -> nn.Module:
    made = build(NET, CLASSES, torch.Generator().manual_seed(0))
    draw = torch.Generator().manual_seed(1)
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1, generator=draw)
            module.running_var.uniform_(0.5, 1.5, generator=draw)
    return made.eval()


def unit_of(settings: Recover, slot: int = 0, seed: int = 3):
    return draw_unit(settings, LABELS, SIZE, seed=seed, block=0, slot=slot)


def recovered(network: nn.Module, settings: Recover, slot: int = 0) -> torch.Tensor:
    return recover_unit(network, unit_of(settings, slot), settings, VALID)[0]


def test_a_units_numbers_depend_on_seed_block_and_slot_alone():
    one = draw_unit(PLAIN, LABELS, SIZE, seed=1, block=2, slot=3)
    draw_unit(PLAIN, LABELS, SIZE, seed=1, block=2, slot=4)
    again = draw_unit(PLAIN, LABELS, SIZE, seed=1, block=2, slot=3)
    assert one.start.equal(again.start)
    assert one.shifts.equal(again.shifts)
    draw = rng.generator(1, "recover", 2, 3)
    assert one.start.equal(torch.randn(CLASSES, 3, SIZE, SIZE, generator=draw))
    for other in ({"seed": 2}, {"block": 1}, {"slot": 2}):
        key = {"seed": 1, "block": 2, "slot": 3, **other}
        assert not one.start.equal(draw_unit(PLAIN, LABELS, SIZE, **key).start)


def test_shifts_are_uniform_with_both_ends():
    unit = unit_of(dataclasses.replace(PLAIN, iterations=3000, shift=4))
    share = torch.bincount(unit.shifts.flatten(), minlength=5) / 6000
    assert len(share) == 5
    assert (share - 0.2).abs().max() < 0.03


@pytest.mark.parametrize("group", [3, 10])
def test_jobs_of_several_units_give_the_bits_of_units_alone(network, group):
    def units(slots):
        return recover_units(
            [network], Units(slots, CLASSES, lambda s: unit_of(PLAIN, s)), PLAIN, VALID
        )

    alone = [units(range(slot, slot + 1)) for slot in range(10)]
    grouped = [units(range(i, min(i + group, 10))) for i in range(0, 10, group)]
    for part in ("images", "losses"):
        one, other = (torch.cat([getattr(m, part) for m in made]) for made in (alone, grouped))
        assert one.equal(other)


CROPPED = dataclasses.replace(PLAIN, crop=(0.3, 1.0), flip=True)


@pytest.mark.parametrize("settings", [PLAIN, CROPPED])
def test_units_that_share_a_pass_are_those_alone_but_for_rounding(network, settings):
    def units(width):
        draw = functools.partial(unit_of, settings)
        return recover_units(
            [network], Units(range(5), CLASSES, draw), settings, VALID, width=width
        )

    alone, together = units(1), units(3)
    assert (alone.widths, together.widths) == ([1] * 5, [3, 2])
    torch.testing.assert_close(together.losses[:, 0], alone.losses[:, 0], rtol=1e-5, atol=0)
    torch.testing.assert_close(together.images, alone.images, rtol=0, atol=1e-3)


def test_each_unit_of_a_pass_has_its_own_gradient(network):
    """Against units alone, in one step: within float32's rounding."""
    settings = dataclasses.replace(CROPPED, tv_l2=0.01, l2_scale=0.01)
    units = [unit_of(settings, slot) for slot in range(3)]

    def gradient(some):
        leaf = torch.stack([unit.start for unit in some]).requires_grad_()
        with StatisticsLoss(network.requires_grad_(False), settings) as bn:
            views = Views(some, torch.device("cpu")).of(leaf, 1)
            parts = objective(network, bn, views, LABELS.expand(len(some), -1), settings)
        return parts, torch.autograd.grad(parts[:, 0].sum(), leaf)[0]

    losses, gradients = gradient(units)
    for row, unit in enumerate(units):
        loss, own = gradient([unit])
        torch.testing.assert_close(losses[row], loss[0], rtol=1e-5, atol=0)
        assert (gradients[row] - own[0]).norm() / own.norm() < 1e-5


def test_a_pass_that_runs_out_of_memory_is_halved_and_goes_on(network):
    """As with a GPU that holds two units of five images each, found out in the second iteration."""
    draw, passes = functools.partial(unit_of, PLAIN), []

    def full(_, inputs):
        passes.append(len(inputs[0]) // CLASSES)
        if len(passes) > 1 and passes[-1] > 2:
            raise torch.OutOfMemoryError

    plain = recover_units([network], Units(range(5), CLASSES, draw), PLAIN, VALID, width=2)
    hook = network.register_forward_pre_hook(full)
    made = recover_units([network], Units(range(5), CLASSES, draw), PLAIN, VALID, width=5)
    hook.remove()
    assert passes == [5, 5, 3, 2, 2, 2, 1, 1, 1, 2, 2, 2]
    assert made.widths == [2, 1, 2]
    torch.testing.assert_close(made.losses, plain.losses, rtol=1e-4, atol=0)
    torch.testing.assert_close(made.images, plain.images, rtol=0, atol=1e-3)


def test_a_pass_that_runs_out_of_memory_leaves_nothing_there(network):
    """Nor in the last teacher of a committee, which the next pass reaches last."""
    other = build(NET, CLASSES, torch.Generator().manual_seed(7)).eval()
    seen, left = [], []

    def see(_, inputs):
        seen.append(StorageWeakRef(inputs[0].untyped_storage()))

    def full(*_):
        if len(seen) == 1:
            raise torch.OutOfMemoryError

    other.bn1.register_forward_pre_hook(see)
    other.fc.register_forward_pre_hook(full)
    network.register_forward_pre_hook(lambda *_: left.append([x.expired() for x in seen]))
    draw = functools.partial(unit_of, PLAIN)
    recover_units([network, other], Units(range(2), CLASSES, draw), PLAIN, VALID, width=2)
    assert left[:2] == [[], [True]]


def test_a_unit_too_large_for_the_memory_is_an_error_of_one_line(network):
    def full(*_):
        raise torch.OutOfMemoryError

    network.register_forward_pre_hook(full)
    with pytest.raises(ScddError, match="the GPU's memory does not hold a unit of 5 images"):
        recovered(network, PLAIN)


def test_a_committees_loss_and_gradient_are_the_mean_of_its_teachers(network):
    """The first step of Adam, by hand: each pixel moves by lr towards less loss."""
    other = build(NET, CLASSES, torch.Generator().manual_seed(7)).eval()
    settings = dataclasses.replace(PLAIN, iterations=1, shift=0)
    unit = unit_of(settings)
    leaf = unit.start.clone().requires_grad_()
    each = [loss_of(one, 10.0, leaf, LABELS, settings) for one in (network, other)]
    (gradient,) = torch.autograd.grad((each[0][0] + each[1][0]) / 2, leaf)
    expected = (leaf.detach() - 0.1 * gradient / (gradient.abs() + 1e-8)).clamp(*VALID)
    draw = functools.partial(unit_of, settings)
    made = recover_units([network, other], Units([0], CLASSES, draw), settings, VALID)
    torch.testing.assert_close(made.losses[0, 0], (each[0] + each[1]).detach() / 2)
    sure = gradient.abs() > 1e-6  # elsewhere rounding may turn the sign
    assert sure.float().mean() > 0.9
    torch.testing.assert_close(made.images[0][sure], expected[sure], atol=1e-3, rtol=0)


def test_a_committee_of_the_same_teacher_twice_is_that_teacher(network):
    draw = functools.partial(unit_of, CROPPED)
    alone = recover_units([network], Units([0, 1], CLASSES, draw), CROPPED, VALID)
    same = copy.deepcopy(network)
    twice = recover_units([network, same], Units([0, 1], CLASSES, draw), CROPPED, VALID)
    assert twice.images.equal(alone.images)
    assert twice.losses.equal(alone.losses)


def test_the_units_start_is_left_as_it_was(network):
    unit = unit_of(PLAIN)
    recover_unit(network, unit, PLAIN, VALID)
    assert unit.start.equal(unit_of(PLAIN).start)


def test_the_same_unit_twice_gives_the_same_bits(network):
    assert recovered(network, PLAIN).equal(recovered(network, PLAIN))


def test_nothing_of_the_teacher_moves(network):
    before = {key: value.clone() for key, value in network.state_dict().items()}
    recovered(network.train(), PLAIN)
    assert all(value.equal(before[key]) for key, value in network.state_dict().items())
    assert not any(module._forward_pre_hooks for module in network.modules())


def test_images_end_on_valid_pixels(network):
    images = recovered(network, dataclasses.replace(PLAIN, lr=5.0))
    pixels = images * torch.tensor(INFO.std)[:, None, None]
    pixels = pixels + torch.tensor(INFO.mean)[:, None, None]
    assert pixels.min() >= -1e-6
    assert pixels.max() <= 1 + 1e-6


def exact_views(x, unit, t):
    """The views of iteration t image by image, by torchvision."""
    views = []
    for i in range(len(x)):
        view, own = x[i], i % unit.flips.shape[1]
        if unit.boxes is not None:
            box = unit.boxes[t, own].tolist()
            view = tv.resized_crop(view, *box, [SIZE, SIZE], antialias=True)
        view = view.flip(2) if unit.flips[t, own] else view
        views.append(view.roll(tuple(unit.shifts[t].tolist()), dims=(1, 2)))
    return torch.stack(views)


def exact_loss(network, views, settings):
    """By the formula, in the precision of network and views."""
    inputs, layers = {}, [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
    hooks = [
        layer.register_forward_pre_hook(lambda layer, given: inputs.update({layer: given[0]}))
        for layer in layers
    ]
    loss = -network(views).log_softmax(1)[LABELS, LABELS].mean()
    for layer in layers:
        x, first = inputs[layer], layer is layers[0]
        var, mean = x.var((0, 2, 3), correction=0), x.mean((0, 2, 3))
        off = (layer.running_var - var).norm() + (layer.running_mean - mean).norm()
        loss = loss + settings.r_bn * off * (settings.first_bn_multiplier if first else 1)
    for hook in hooks:
        hook.remove()
    return loss


OWN = dataclasses.replace(CROPPED, crop_by="image")


@pytest.mark.parametrize(
    "settings",
    [
        PLAIN,
        CROPPED,
        OWN,
        dataclasses.replace(CROPPED, curriculum="cosine"),
        dataclasses.replace(OWN, curriculum="linear", milestone=0.5),
    ],
)
def test_steps_are_adams_on_a_cosine(network, settings):
    """After each step against float64: views, loss, Adam's update with bias correction, clamp."""
    unit, steps = unit_of(settings), settings.iterations
    exact = copy.deepcopy(network).double()
    x = unit.start.double()
    m, v = torch.zeros_like(x), torch.zeros_like(x)
    made = recover_units(
        [network],
        Units([0], CLASSES, lambda _: unit),
        settings,
        VALID,
        frames=FramePlan(range(1, steps + 1)),
    )
    for t in range(steps):
        leaf = x.clone().requires_grad_()
        loss = exact_loss(exact, exact_views(leaf, unit, t), settings)
        grad = torch.autograd.grad(loss, leaf)[0]
        m, v = 0.5 * m + 0.5 * grad, 0.9 * v + 0.1 * grad**2
        lr = 0.5 * 0.1 * (1 + math.cos(math.pi * t / steps))
        x = x - lr * (m / (1 - 0.5 ** (t + 1))) / ((v / (1 - 0.9 ** (t + 1))).sqrt() + 1e-8)
        x = x.clamp(VALID[0].double(), VALID[1].double())
        assert made.losses[0, t, 0] == pytest.approx(loss.item(), rel=1e-4)
        assert (made.frames[t] - x).abs().max() < 1e-3


def term(network, views, **changes) -> float:
    """The loss of `views` under changed settings minus the loss under the plain ones."""
    changed = dataclasses.replace(PLAIN, **changes)
    plain, other = (loss_of(network, 10.0, views, LABELS, s)[0] for s in (PLAIN, changed))
    return (other - plain).item()


def test_l2_scale_weighs_the_mean_norm_of_the_images(network):
    views = unit_of(PLAIN).start
    expected = sum((image.double() ** 2).sum().sqrt().item() for image in views) / CLASSES
    assert term(network, views, l2_scale=0.1) == pytest.approx(0.1 * expected, rel=1e-4)


def test_tv_l2_weighs_the_differences_to_four_neighbours(network):
    views = unit_of(PLAIN).start
    expected = 0.0
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        squares = 0.0
        for i in range(SIZE - down):
            for j in range(max(0, -right), SIZE - max(0, right)):
                step = views[:, :, i, j] - views[:, :, i + down, j + right]
                squares += (step.double() ** 2).sum().item()
        expected += math.sqrt(squares)
    assert term(network, views, tv_l2=0.01) == pytest.approx(0.01 * expected, rel=1e-4)


def test_r_bn_weighs_the_distance(network):
    views = unit_of(PLAIN).start
    loss, ce, distance = loss_of(network, 10.0, views, LABELS, PLAIN).tolist()
    assert loss == pytest.approx(ce + 0.05 * distance, rel=1e-6)
    assert distance > 0


def test_first_bn_multiplier_weighs_the_first_layer_only(network):
    def distance(weight: float) -> float:
        return loss_of(network, weight, views, LABELS, PLAIN)[2].item()

    views = unit_of(PLAIN).start
    x = network.conv1(views).double()
    var, mean = x.var((0, 2, 3), correction=0), x.mean((0, 2, 3))
    layer = network.bn1
    first = (layer.running_var - var).norm() + (layer.running_mean - mean).norm()
    assert distance(3.0) - distance(0.0) == pytest.approx(3 * first.item(), rel=1e-4)


def seen_views(network, settings: Recover):
    """What the teacher is shown at each iteration, with the unit, at learning rate 0."""
    settings = dataclasses.replace(settings, lr=0.0)
    unit, seen = unit_of(settings), []
    hook = network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    recover_unit(network, unit, settings, VALID)
    hook.remove()
    return unit, seen


def shifted(image, shift):
    return image.roll(tuple(shift.tolist()), dims=(2, 3))


def test_jitter_rolls_the_whole_batch_and_the_start_is_not_clamped_before(network):
    unit, seen = seen_views(network, PLAIN)
    assert seen[0].equal(shifted(unit.start, unit.shifts[0]))
    clamped = unit.start.clamp(*VALID)
    for step in range(1, 4):
        assert seen[step].equal(shifted(clamped, unit.shifts[step]))


def test_shifts_are_from_0_or_go_both_ways():
    many = dataclasses.replace(PLAIN, shift=4, iterations=500)
    assert unit_of(many).shifts.unique().tolist() == [*range(5)]
    both = unit_of(dataclasses.replace(many, shift_both_ways=True))
    assert both.shifts.unique().tolist() == [*range(-4, 5)]


def test_flip_mirrors_half_of_the_views(network):
    unit, seen = seen_views(network, dataclasses.replace(PLAIN, flip=True, iterations=12))
    assert 0 < unit.flips.sum() < 12
    clamped = unit.start.clamp(*VALID)
    for step in range(1, 12):
        image = clamped.flip(3) if unit.flips[step] else clamped
        assert seen[step].equal(shifted(image, unit.shifts[step]))


def test_crop_resizes_one_box_of_the_whole_batch_as_torchvision(network):
    unit, seen = seen_views(network, dataclasses.replace(PLAIN, crop=(0.2, 0.6), flip=True))
    clamped = unit.start.clamp(*VALID)
    for step in range(1, 4):
        box = unit.boxes[step, 0].tolist()
        assert 0.15 < box[2] * box[3] / SIZE**2 < 0.7
        image = tv.resized_crop(clamped, *box, [SIZE, SIZE], antialias=True)
        image = image.flip(3) if unit.flips[step] else image
        assert torch.allclose(seen[step], shifted(image, unit.shifts[step]), atol=1e-5)


def test_crop_by_image_crops_and_mirrors_each_image_by_itself(network):
    unit, seen = seen_views(network, dataclasses.replace(OWN, crop=(0.2, 0.6)))
    clamped = unit.start.clamp(*VALID)
    for step in range(1, 4):
        assert len(set(map(tuple, unit.boxes[step].tolist()))) > 1
        assert torch.allclose(seen[step], exact_views(clamped, unit, step), atol=1e-5)
    assert 0 < unit.flips[1:].sum() < unit.flips[1:].numel()


def test_flips_without_a_crop_may_be_each_images_own(network):
    settings = dataclasses.replace(PLAIN, flip=True, crop_by="image")
    unit, seen = seen_views(network, settings)
    assert unit.flips.any(1).logical_and(~unit.flips.all(1)).any()
    clamped = unit.start.clamp(*VALID)
    for step in range(1, 4):
        assert seen[step].equal(exact_views(clamped, unit, step))


@pytest.mark.parametrize(
    ("curriculum", "milestone", "least"),
    [
        ("none", 1.0, [0.2, 0.2, 0.2, 0.2]),
        ("step", 1.0, [1.0, 1.0, 1.0, 1.0]),
        ("step", 0.5, [1.0, 1.0, 0.2, 0.2]),
        ("linear", 1.0, [1.0, 0.8, 0.6, 0.4]),
        ("linear", 0.5, [1.0, 0.6, 0.2, 0.2]),
        ("cosine", 1.0, [1.0, 0.8828427, 0.6, 0.3171573]),
        ("cosine", 0.75, [1.0, 0.8, 0.4, 0.2]),
    ],
)
def test_a_curriculum_lets_the_least_area_of_the_crops_fall(curriculum, milestone, least):
    """CDA's .2 + .8 (1 - t) and .2 + .8 (1 + cos(pi t)) / 2, with t = step / (4 milestone).

    A crop of all of the area that is not square does not fit, and the whole image takes its place.
    """
    settings = dataclasses.replace(OWN, crop=(0.2, 1.0), curriculum=curriculum, milestone=milestone)
    found = [least_share(settings, step) for step in range(4)]
    assert found == pytest.approx(least, abs=1e-6)
    unit = draw_unit(settings, torch.arange(300), 64, seed=0, block=0, slot=0)
    areas = (unit.boxes[..., 2] * unit.boxes[..., 3] / 64**2).amin(1)
    for area, bound in zip(areas.tolist(), least, strict=True):
        assert bound - 0.02 < area < bound + 0.05


def test_bf16_stays_near_float32_and_keeps_float32_images(network):
    settings = dataclasses.replace(PLAIN, precision="bf16")
    images, losses = recover_unit(network, unit_of(PLAIN), settings, VALID)
    exact = recover_unit(network, unit_of(PLAIN), PLAIN, VALID)[1]
    assert images.dtype == losses.dtype == torch.float32
    assert losses[0].tolist() == pytest.approx(exact[0].tolist(), rel=0.02)
    assert not losses.equal(exact)


def test_a_teacher_without_batch_norm_is_refused():
    with pytest.raises(ScddError, match="BatchNorm2d"):
        StatisticsLoss(nn.Sequential(nn.Flatten(), nn.Linear(3, 2)), PLAIN)


def test_a_loss_that_is_not_finite_names_unit_and_iteration(network):
    calls = []

    def spoil(_, inputs):
        calls.append(1)
        return (inputs[0] * float("nan"),) if len(calls) > 2 else None

    network.register_forward_pre_hook(spoil)
    with pytest.raises(ScddError, match=r"block 0, slot 7 .* iteration 2"):
        recovered(network, PLAIN, slot=7)


def test_units_that_were_finished_before_a_divergence_are_saved(network, tmp_path):
    def draw(slot):
        unit = unit_of(PLAIN, slot)
        return dataclasses.replace(unit, start=unit.start * math.nan) if slot == 2 else unit

    saved = SavedState(tmp_path, {}, every=1e9)
    with (
        saved.locked(),
        saved.attempt(str),
        pytest.raises(ScddError, match=r"slot 2 .* iteration 0"),
    ):
        recover_units([network], Units(range(4), CLASSES, draw), PLAIN, VALID, saved=saved)
    again = SavedState(tmp_path, {}, every=1e9)
    with again.locked(), again.attempt(str):
        made = recover_units(
            [network],
            Units(range(4), CLASSES, functools.partial(unit_of, PLAIN)),
            PLAIN,
            VALID,
            saved=again,
        )
    assert again.content["finished"] == [0, 1]
    assert made.images[1].equal(recovered(network, PLAIN, slot=1))


def test_frames_are_the_images_after_so_many_iterations(network):
    def after(iterations):
        draw = functools.partial(unit_of, PLAIN)
        return recover_units(
            [network], Units([4, 5], CLASSES, draw), PLAIN, VALID, frames=FramePlan(iterations)
        ).frames

    frames = after((0, 2, 4))
    assert frames[0].equal(unit_of(PLAIN, 4).start)
    assert frames[1].equal(after((2,))[0])
    assert frames[2].equal(recovered(network, PLAIN, slot=4))
    assert not frames[1].equal(frames[2])


def test_frames_may_be_of_the_first_classes_alone(network):
    units = Units([4, 5], CLASSES, functools.partial(unit_of, PLAIN))
    of_all, of_two = (
        recover_units([network], units, PLAIN, VALID, width=2, frames=frames)
        for frames in (FramePlan((0, 4)), FramePlan((0, 4), 1, 2))
    )
    assert of_two.frames.equal(of_all.frames[:, :2])
    assert of_two.images.equal(of_all.images)


def test_recovery_lowers_the_loss(network):
    settings = dataclasses.replace(PLAIN, iterations=60, shift=0)
    losses = recover_unit(network, unit_of(settings), settings, VALID)[1]
    assert losses[-1, 0] < 0.8 * losses[0, 0]


# --- the program


@pytest.fixture
def folder(tmp_path, network):
    save_info(tmp_path / "dataset.json", INFO, {})
    state = {key: value.clone() for key, value in network.state_dict().items()}
    teacher = Checkpoint("classifier", NET, INFO.classes, state, "teacher1")
    save_checkpoint(tmp_path / "probe.safetensors", teacher, {})
    write_config(tmp_path)
    return tmp_path


def write_config(folder, **changes):
    params = {**dataclasses.asdict(PLAIN), "block": 3, "seed": 3, **changes}
    config = {
        "stage": "recover",
        "version": 1,
        "label": "sc-dd",
        "digest": "abc",
        "params": params,
        "parents": {"teacher": "teacher1"},
    }
    (folder / "config.json").write_text(json.dumps(config))


def recover(folder, classes: str, slots: str, committee=(), **more: object) -> int:
    given = {
        "config": folder / "config.json",
        "data": folder / "dataset.json",
        "classes": classes,
        "slots": slots,
        "out": folder / "out",
        "device": "cpu",
        **job(folder),
        **more,
    }
    teachers = ["--teacher", *map(str, [folder / "probe.safetensors", *committee])]
    return program.main([*(f"--{key}={value}" for key, value in given.items()), *teachers])


def shard(folder, slots: str, index: int) -> torch.Tensor:
    """The images that the program has left."""
    file = folder / "out" / f"slots_{slots}" / f"class_{index:04d}.safetensors"
    with safe_open(file, framework="pt") as opened:
        return opened.get_tensor("images")


def expected_images(network, info=INFO) -> torch.Tensor:
    """Classes 3 and 4, slot 0, float32 [2, 3, R, R]."""
    unit = draw_unit(PLAIN, torch.tensor([3, 4]), SIZE, seed=3, block=1, slot=0)
    valid = valid_range(info, torch.device("cpu"))
    return recover_unit(network, unit, PLAIN, valid)[0]


def test_program_writes_shards_that_are_the_engines_images(folder, network):
    assert recover(folder, "3:5", "1:3") == 0
    made = folder / "out" / "slots_0001-0002"
    assert sorted(path.name for path in made.iterdir()) == [
        "class_0003.safetensors",
        "class_0004.safetensors",
        "losses_0003-0004.csv",
        "shards_0003-0004.sha256",
    ]
    unit = draw_unit(PLAIN, torch.tensor([3, 4]), SIZE, seed=3, block=1, slot=2)
    expected, _ = recover_unit(network, unit, PLAIN, VALID)
    with safe_open(made / "class_0004.safetensors", framework="pt") as file:
        images = file.get_tensor("images")
        header = json.loads(file.metadata()["scdd"])
    assert images.dtype == torch.uint8
    assert images.shape == (2, 3, SIZE, SIZE)
    assert images[1].equal(denormalise(expected, INFO)[1])
    file_hash = hashlib.sha256((made / "class_0004.safetensors").read_bytes()).hexdigest()
    sums = (made / "shards_0003-0004.sha256").read_text().splitlines()
    assert sums[1] == f"{file_hash}  class_0004.safetensors"
    assert header["class"] == "e"
    assert header["slots"] == [1, 3]
    assert header["teacher"] == "teacher1"
    assert header["seed"] == 3


@pytest.mark.parametrize(
    ("iterations", "expected"),
    [
        (2, [0, 2]),
        (10, [0, 10]),
        (200, [0, 10, 30, 100, 200]),
        (4000, [0, 10, 30, 100, 300, 1000, 3000, 4000]),
    ],
)
def test_frames_come_at_ever_longer_distances_and_at_the_end(iterations, expected):
    assert program.moments(iterations) == expected


def test_frames_of_the_first_block_are_the_engines_iterates(folder, network):
    """Of two slots that are recovered, the first's."""
    write_config(folder, iterations=12)
    settings = dataclasses.replace(PLAIN, iterations=12)
    assert recover(folder, "0:3", "1:3") == 0
    found = load_frames(folder / "out" / "slots_0001-0002" / "frames_0000-0002.safetensors")
    assert (found.iterations, found.classes) == ([0, 10, 12], ["a", "b", "c"])
    unit = draw_unit(settings, torch.arange(3), SIZE, seed=3, block=0, slot=1)
    after = (0, 10, 12)
    made = recover_units(
        [network], Units([1], 3, lambda _: unit), settings, VALID, frames=FramePlan(after)
    )
    assert found.images.equal(denormalise(made.frames, INFO))
    assert found.images[0].equal(denormalise(unit.start, INFO))
    with safe_open(folder / "out/slots_0001-0002/class_0001.safetensors", framework="pt") as file:
        assert found.images[2, 1].equal(file.get_tensor("images")[0])


def test_losses_are_thinned_and_keep_the_last(folder):
    write_config(folder, iterations=251)
    assert recover(folder, "0:3", "0:1") == 0
    file = folder / "out" / "slots_0000-0000" / "losses_0000-0002.csv"
    rows = list(csv.DictReader(file.open()))
    steps = [int(row["iteration"]) for row in rows]
    assert steps == [*range(0, 251, 3), 250]
    for row in rows:
        loss, ce, bn = float(row["loss"]), float(row["ce"]), float(row["bn"])
        assert loss == pytest.approx(ce + 0.05 * bn, rel=1e-4)


def test_a_committee_is_read_in_its_order(folder, network, capsys):
    config = json.loads((folder / "config.json").read_text())
    config["parents"]["teacher_2"] = "teacher2"
    (folder / "config.json").write_text(json.dumps(config))
    assert recover(folder, "0:3", "0:1") == 1
    assert "--teacher: 2 checkpoints are needed: teacher, teacher_2." in capsys.readouterr().err
    other = build(NET, CLASSES, torch.Generator().manual_seed(7))
    second = Checkpoint("classifier", NET, INFO.classes, other.state_dict(), "teacher2")
    save_checkpoint(folder / "second.safetensors", second, {})
    assert recover(folder, "0:3", "0:1", committee=[folder / "probe.safetensors"]) == 1
    assert "probe.safetensors" in capsys.readouterr().err
    assert recover(folder, "0:3", "0:1", committee=[folder / "second.safetensors"]) == 0
    unit = draw_unit(PLAIN, torch.arange(3), SIZE, seed=3, block=0, slot=0)
    made = recover_units([network, other], Units([0], 3, lambda _: unit), PLAIN, VALID)
    assert shard(folder, "0000-0000", 1)[0].equal(denormalise(made.images[0], INFO)[1])


@pytest.mark.parametrize("classes", ["0:2", "0:5", "3:6"])
def test_classes_that_are_no_block_are_refused(folder, classes, capsys):
    assert recover(folder, classes, "0:1") == 1
    assert "block" in capsys.readouterr().err


def test_a_block_larger_than_the_class_count_is_refused(folder, capsys):
    write_config(folder, block=6)
    assert recover(folder, "0:5", "0:1") == 1
    assert "recover.block is 6, but there are 5 classes" in capsys.readouterr().err


def test_a_teacher_of_other_classes_is_refused_naming_both(folder, capsys):
    other = dataclasses.replace(INFO, classes=tuple("abced"))
    save_info(folder / "dataset.json", other, {})
    assert recover(folder, "0:3", "0:1") == 1
    error = capsys.readouterr().err
    assert "probe.safetensors" in error
    assert "dataset.json" in error
    assert not (folder / "out").exists()


# the released code's, for CIFAR-100 too
CIFAR_10 = {"mean": (0.4914, 0.4822, 0.4465), "std": (0.2023, 0.1994, 0.2010)}


def test_mean_and_std_may_be_others_than_the_datasets(folder, network):
    write_config(folder, **CIFAR_10)
    assert recover(folder, "3:5", "0:1") == 0
    other = dataclasses.replace(INFO, **CIFAR_10)
    images = expected_images(network, other)
    assert shard(folder, "0000-0000", 4)[0].equal(denormalise(images, other)[1])
    own = denormalise(expected_images(network), INFO)
    assert not shard(folder, "0000-0000", 4)[0].equal(own[1])


def test_jpeg_storage_truncates_and_goes_through_a_file(folder, network, tmp_path):
    """As the released code: (pixels * 255) as integers, Pillow's own quality."""
    write_config(folder, storage="jpeg")
    assert recover(folder, "3:5", "0:1") == 0
    images = expected_images(network)
    for row, index in enumerate((3, 4)):
        pixels = images[row].numpy().transpose(1, 2, 0) * np.float32(INFO.std)
        pixels = (pixels + np.float32(INFO.mean)).clip(0, 1)
        Image.fromarray((pixels * 255).astype(np.uint8)).save(tmp_path / "image.jpg")
        read = torch.from_numpy(np.array(Image.open(tmp_path / "image.jpg"))).permute(2, 0, 1)
        assert shard(folder, "0000-0000", index)[0].equal(read)
        assert not read.equal(denormalise(images, INFO)[row])


@pytest.fixture
def photos(folder):
    """Twelve training images a class beside dataset.json, each with a grey that no other has."""
    greys = torch.arange(12 * CLASSES, dtype=torch.uint8)
    pixels = greys[:, None, None, None].repeat(1, 3, SIZE, SIZE)
    save_split(folder / "train.safetensors", torch.arange(5).repeat(12), pixels, INFO.classes)
    return folder


def test_a_compiled_pass_is_the_same_but_for_rounding(network, monkeypatch):
    """Captured whole, with its gradient; by a backend that needs no C++ compiler."""
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    draw, key = functools.partial(unit_of, CROPPED), {"width": 2}
    plain, compiled = (
        recover_units(
            [network], Units(range(3), CLASSES, draw), CROPPED, VALID, compiled=yes, **key
        )
        for yes in ("none", "full")
    )
    torch.testing.assert_close(compiled.losses[:, 0], plain.losses[:, 0], rtol=1e-5, atol=0)
    torch.testing.assert_close(compiled.images, plain.images, rtol=0, atol=1e-3)


def test_a_start_from_real_images_is_that_of_the_random_baseline(photos, network):
    """At learning rate 0 the start is what is left; its mean and std are the recovery's."""
    write_config(photos, start="real", lr=0.0, **CIFAR_10)
    assert recover(photos, "3:5", "1:10", root=photos) == 0
    dataset = open_dataset(photos / "dataset.json", photos)
    picked = list(random.make(dataset, (1, 10), seed=3))
    for index in (3, 4):
        assert shard(photos, "0001-0009", index).equal(picked[index])


@pytest.mark.parametrize("statistics", ["dataset", "class"])
def test_a_pool_has_the_first_starts_of_the_class(photos, statistics):
    """At learning rate 0, and where nothing of the image is kept, one of them is what is left."""
    residual = {"alpha": 0.0, "every": 2, "pool": 3}
    write_config(photos, start="real", lr=0.0, residual=residual, statistics=statistics)
    assert recover(photos, "3:5", "1:10", root=photos) == 0
    dataset = open_dataset(photos / "dataset.json", photos)
    first = list(random.make(dataset, (0, 3), seed=3))
    for index in (3, 4):
        for image in shard(photos, "0001-0009", index):
            assert any(image.equal(other) for other in first[index])


def test_a_start_from_real_images_leaves_views_as_they_are():
    start = torch.zeros(CLASSES, 3, SIZE, SIZE)
    key = {"seed": 1, "block": 0, "slot": 0}
    noise = draw_unit(OWN, LABELS, SIZE, **key)
    real = draw_unit(OWN, LABELS, SIZE, **key, start=start)
    assert real.start.equal(start)
    assert real.shifts.equal(noise.shifts)
    assert real.boxes.equal(noise.boxes)


def test_a_start_from_real_images_needs_the_root(photos, capsys):
    write_config(photos, start="real")
    assert recover(photos, "3:5", "0:1") == 1
    assert (
        "recover.start needs real images: --root must name the data root" in capsys.readouterr().err
    )


def test_a_start_from_fewer_images_than_slots_is_refused(photos, capsys):
    write_config(photos, start="real")
    assert recover(photos, "3:5", "10:20", root=photos) == 1
    error = capsys.readouterr().err
    assert "class 'd' has 12 training images" in error
    assert "slots 10 to 19. Lower ipc to 10, or set recover.start to noise." in error
    assert not (photos / "out").exists()


def exact_statistics(network, images) -> list[list[torch.Tensor]]:
    """Means and variances of what the BatchNorm layers see of the images, in float64."""
    exact = copy.deepcopy(network).double().eval()
    layers = [part for part in exact.modules() if isinstance(part, nn.BatchNorm2d)]
    seen = {}
    for layer in layers:
        layer.register_forward_pre_hook(
            lambda layer, inputs: seen.update({layer: inputs[0].transpose(0, 1).flatten(1)})
        )
    exact(images.double())
    return [
        [seen[layer].mean(1) for layer in layers],
        [seen[layer].var(1, correction=0) for layer in layers],
    ]


def test_class_statistics_are_those_of_all_its_images_at_once(network):
    images = torch.randn(7, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(4))
    found = class_statistics(network, images.split(3))
    for one, expected in zip(found, exact_statistics(network, images), strict=True):
        torch.testing.assert_close(one.double(), torch.cat(expected), rtol=1e-5, atol=1e-6)


def test_by_class_the_images_of_a_class_are_matched_with_its_own(photos, network):
    """The first loss of class 3 against the formula in float64, from its real images."""
    write_config(photos, statistics="class", shift=0)
    assert recover(photos, "3:5", "1:10", root=photos) == 0
    file = photos / "out" / "slots_0001-0009" / "losses_0003-0004.csv"
    first = next(csv.DictReader(file.open()))
    settings = dataclasses.replace(PLAIN, shift=0)
    unit = draw_class_unit(settings, 3, SIZE, seed=3, slots=(1, 10), targets=[])
    train = open_dataset(photos / "dataset.json", photos).train
    own = normalise(train.pixels[train.labels == 3], INFO)
    goal, seen = exact_statistics(network, own), exact_statistics(network, unit.start)
    distance = sum(
        (10.0 if row == 0 else 1.0) * (goal[part][row] - seen[part][row]).norm()
        for part in (0, 1)
        for row in range(len(goal[0]))
    )
    assert first["class"] == "3"
    assert float(first["bn"]) == pytest.approx(distance.item(), rel=1e-5)
    logits = copy.deepcopy(network).double()(unit.start.double())
    ce = -logits.log_softmax(1)[:, 3].mean()
    assert float(first["ce"]) == pytest.approx(ce.item(), rel=1e-5)


def test_by_class_the_shards_are_those_of_the_engine(photos, network):
    write_config(photos, statistics="class", iterations=12)
    settings = dataclasses.replace(PLAIN, iterations=12)
    assert recover(photos, "0:3", "1:10", root=photos) == 0
    train = open_dataset(photos / "dataset.json", photos).train
    targets = [
        [class_statistics(network, [normalise(train.pixels[train.labels == label], INFO)])]
        for label in range(3)
    ]
    for label in range(3):
        unit = draw_class_unit(settings, label, SIZE, seed=3, slots=(1, 10), targets=targets[label])
        images = denormalise(recover_unit(network, unit, settings, VALID)[0], INFO)
        assert shard(photos, "0001-0009", label).equal(images)
        frames = load_frames(photos / "out/slots_0001-0009/frames_0000-0002.safetensors")
        assert frames.images[0, label].equal(denormalise(unit.start, INFO)[0])
        assert frames.images[-1, label].equal(images[0])


def test_by_class_units_may_share_a_pass(network):
    draw = torch.Generator().manual_seed(4)
    goals = [
        class_statistics(network, [torch.randn(4, 3, SIZE, SIZE, generator=draw)]) for _ in "ab"
    ]

    def unit(label):
        key = {"seed": 3, "slots": (1, 4), "targets": [goals[label]]}
        return draw_class_unit(PLAIN, label, SIZE, **key)

    alone, together = (
        recover_units([network], Units([0, 1], 3, unit), PLAIN, VALID, width=width)
        for width in (1, 2)
    )
    torch.testing.assert_close(together.losses[:, 0], alone.losses[:, 0], rtol=1e-5, atol=0)
    torch.testing.assert_close(together.images, alone.images, rtol=0, atol=1e-3)


def test_start_images_of_another_class_order_are_refused_naming_both(photos, capsys):
    labels, pixels = torch.arange(5), torch.zeros(5, 3, SIZE, SIZE, dtype=torch.uint8)
    save_split(photos / "train.safetensors", labels, pixels, tuple("abced"))
    write_config(photos, start="real")
    assert recover(photos, "3:5", "0:1", root=photos) == 1
    error = capsys.readouterr().err
    assert "train.safetensors" in error
    assert "dataset.json" in error
    assert not (photos / "out").exists()
