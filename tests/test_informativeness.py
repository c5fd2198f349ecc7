"""Looks at backbones: statistics, signals, the suggested r_bn, the program, and who reads it."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toy import TEACHER, command, freeze, info, recover_unit, write

from scdd import informativeness
from scdd.artifacts import tensors
from scdd.artifacts.informativeness import (
    Informativeness,
    Layer,
    Signal,
    Spread,
    load_informativeness,
    save_informativeness,
)
from scdd.errors import ScddError
from scdd.networks.resnet import build
from scdd.params.recover import Recover
from scdd.recover import __main__ as recover
from scdd.recover.units import Unit, Views, draw_unit
from scdd.views.pixels import valid_range

CPU = torch.device("cpu")
LABELS = torch.arange(3)
SETTINGS = Recover(
    iterations=10,
    lr=0.1,
    r_bn=0.0,
    shift=2,
    crop=(0.3, 1.0),
    flip=True,
    precision="float32",
)
RECOVER = {
    "lr": 0.1,
    "betas": [0.5, 0.9],
    "first_bn_multiplier": 10.0,
    "tv_l2": 0.0,
    "l2_scale": 0.0,
    "shift": 1,
    "crop": None,
    "flip": False,
    "block": 3,
    "seed": 0,
    "precision": "float32",
}


@pytest.fixture
def network() -> torch.nn.Module:
    made = build(TEACHER, 3, torch.Generator().manual_seed(0))
    draw = torch.Generator().manual_seed(1)
    for part in made.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.5, generator=draw)
            part.running_var.uniform_(0.5, 1.5, generator=draw)
    return made.eval().requires_grad_(False)


def unit() -> Unit:
    return draw_unit(SETTINGS, LABELS, 8, seed=0, block=0, slot=0)


# ---- statistics --------------------------------------------------------------------------------


def naive_entropy(values: list[float]) -> float:
    """Counts bin by bin: below -3, [-3, -2.5), ..., [2.5, 3), 3 and above."""
    lows = [-math.inf, *(-3 + 0.5 * i for i in range(13))]
    counts = [
        sum(low <= value < high for value in values)
        for low, high in zip(lows, [*lows[1:], math.inf], strict=True)
    ]
    used = [count / len(values) for count in counts if count]
    correction = (len(used) - 1) / (2 * len(values) * math.log(2))
    return -sum(share * math.log2(share) for share in used) + correction


@pytest.mark.parametrize("channels", [1, 8, 64])
def test_entropy_is_that_of_the_histogram_with_its_correction(channels: int) -> None:
    values = 2 * torch.randn(channels, generator=torch.Generator().manual_seed(0)).double()
    values[0] = -math.inf  # a channel without variance, in logarithms
    assert informativeness.entropy(values) == pytest.approx(
        naive_entropy(values.tolist()), abs=1e-12
    )


def test_values_on_an_edge_belong_to_the_bin_above() -> None:
    assert informativeness.entropy(torch.tensor([0.0, 0.25, 0.49, 0.5]).double()) == pytest.approx(
        -(0.75 * math.log2(0.75) + 0.25 * math.log2(0.25)) + 1 / (8 * math.log(2))
    )


def test_spread_of_a_layer_by_hand() -> None:
    layer = torch.nn.BatchNorm2d(4)
    layer.running_mean.copy_(torch.tensor([1.0, -1.0, 3.0, 1.0]))  # mean 1, variance 8 / 4
    layer.running_var.copy_(torch.tensor([2.0, 4.0, 4.0, 6.0]))  # mean 4, variance 8 / 4
    (found,) = informativeness.layer_spreads(torch.nn.Sequential(layer))
    assert (found.name, found.channels) == ("0", 4)
    root = math.sqrt(2)
    assert (found.mean.std, found.mean.relative) == pytest.approx((root, root / 2))
    assert (found.var.std, found.var.relative) == pytest.approx((root, root / 4))
    assert found.mean.entropy == pytest.approx(naive_entropy([0.5, -0.5, 1.5, 0.5]))
    assert found.var.entropy == pytest.approx(naive_entropy([-1, 0, 0, math.log2(1.5)]))


def test_relative_spread_and_entropy_do_not_see_the_weights_scale(
    network: torch.nn.Module,
) -> None:
    before = informativeness.layer_spreads(network)
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean *= 8  # as if the convolution before it were 8 times as large
            part.running_var *= 64
    for old, new in zip(before, informativeness.layer_spreads(network), strict=True):
        assert (new.mean.std, new.var.std) == pytest.approx((8 * old.mean.std, 64 * old.var.std))
        for statistic in ("mean", "var"):
            one, other = getattr(old, statistic), getattr(new, statistic)
            assert (one.relative, one.entropy) == pytest.approx((other.relative, other.entropy))


def test_an_untrained_network_says_nothing() -> None:
    layers = informativeness.layer_spreads(build(TEACHER, 3, torch.Generator().manual_seed(0)))
    assert [layer.name for layer in layers][:2] == ["bn1", "layer1.0.bn1"]
    assert {(layer.mean, layer.var) for layer in layers} == {(Spread(0, 0, 0), Spread(0, 0, 0))}


def test_a_dead_layer_is_named(network: torch.nn.Module) -> None:
    network.layer2[0].bn1.running_var.zero_()
    with pytest.raises(ScddError, match=r"layer2\.0\.bn1: no channel varies"):
        informativeness.layer_spreads(network)


# ---- signals -----------------------------------------------------------------------------------


def test_a_signal_is_the_mean_over_views_of_losses_and_gradient_norms(
    network: torch.nn.Module,
) -> None:
    """In float64, hooks and all by hand."""
    one = unit()
    found = informativeness.signal(network, one.start, Views([one], CPU), range(3), SETTINGS)
    network, parts = network.double(), []
    layers = [part for part in network.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    for step in range(3):
        seen: dict[torch.nn.Module, torch.Tensor] = {}

        def keep(layer: torch.nn.Module, inputs: tuple[torch.Tensor], seen: dict = seen) -> None:
            seen[layer] = inputs[0]

        hooks = [layer.register_forward_pre_hook(keep) for layer in layers]
        x = one.start.double().requires_grad_()
        logits = network(Views([replace(one, boxes=one.boxes.double())], CPU).of(x[None], step)[0])
        ce = -logits.log_softmax(1)[LABELS, LABELS].mean()
        bn = torch.zeros((), dtype=torch.double)
        for index, layer in enumerate(layers):
            flat = seen[layer].transpose(0, 1).flatten(1)
            off_mean = (layer.running_mean - flat.mean(1)).square().sum().sqrt()
            off_var = (layer.running_var - flat.var(1, correction=0)).square().sum().sqrt()
            bn = bn + (1 if index else 10) * (off_mean + off_var)
        norms = [torch.autograd.grad(p, x, retain_graph=True)[0].norm().item() for p in (ce, bn)]
        parts.append([ce.item(), bn.item(), *norms])
        for hook in hooks:
            hook.remove()
    expected = torch.tensor(parts).mean(0).tolist()
    actual = [found.ce, found.bn, found.ce_gradient, found.bn_gradient]
    assert actual == pytest.approx(expected, rel=1e-4)


def test_the_suggestion_balances_the_gradients_on_noise(network: torch.nn.Module) -> None:
    valid = valid_range(info(8), CPU)
    start, _, r_bn = informativeness.examine(network, unit(), SETTINGS, valid, 0.5)
    assert r_bn * start.bn_gradient == pytest.approx(0.5 * start.ce_gradient, rel=5e-3)
    assert r_bn == float(f"{r_bn:.3g}")


def test_the_short_recovery_has_the_suggested_r_bn(network: torch.nn.Module) -> None:
    valid, one = valid_range(info(8), CPU), unit()
    _, end, r_bn = informativeness.examine(network, one, SETTINGS, valid, 0.5)
    images, _ = recover_unit(network, one, replace(SETTINGS, r_bn=r_bn), valid)
    last = informativeness.signal(network, images, Views([one], CPU), range(2, 10), SETTINGS)
    assert end == last


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (Signal(1, 1, 0, 1), "cross-entropy"),
        (Signal(1, 1, 1, math.nan), "BN loss"),
        (Signal(1, 1, math.inf, 1), "cross-entropy"),
    ],
)
def test_a_gradient_that_cannot_be_balanced_is_named(start: Signal, name: str) -> None:
    with pytest.raises(ScddError, match=f"the gradient of the {name}"):
        informativeness.suggestion(start, 1.0)


# ---- the file ----------------------------------------------------------------------------------

FOUND = Informativeness(
    layers=(Layer("bn1", 4, Spread(1.0, 0.5, 2.0), Spread(0.1, 0.2, 0.3)),),
    start=Signal(1.0, 2.0, 3.0, 4.0),
    end=Signal(0.1, 0.2, 0.3, 0.4),
    iterations=5,
    r_bn=0.05,
    digest="i1",
    teacher="t1",
)


def test_what_is_saved_is_read_back(tmp_path: Path) -> None:
    save_informativeness(tmp_path / "informativeness.json", FOUND, {"torch": "2"})
    assert load_informativeness(tmp_path / "informativeness.json", digest="i1") == FOUND


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": []}, "has no layers"),
        ({"layers": [{"name": "bn1"}]}, "is not an informativeness.json"),
        ({"r_bn": math.nan}, "a number that is not finite"),
        ({"r_bn": None}, "is not an informativeness.json"),
        ({"start": 3}, "is not an informativeness.json"),
        ({"digest": "i2"}, "made for artifact i1. Delete the file"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, change: dict, message: str) -> None:
    path = tmp_path / "informativeness.json"
    save_informativeness(path, FOUND, {})
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ScddError, match=message) as caught:
        load_informativeness(path, digest="i1")
    assert str(caught.value).startswith(str(path))


# ---- the program, and the recovery that reads its file -----------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What a look at the toy's probe needs; its file is informativeness.json."""
    write(tmp_path, 2)
    params = {"iterations": 3, "balance": 0.5, "recover": RECOVER}
    freeze(tmp_path / "frozen.json", "informativeness", params, teacher="t1")
    return tmp_path


def look(folder: Path) -> int:
    options = {"config": "frozen.json", "data": "data/dataset.json", "teacher": "probe.safetensors"}
    given = [text for key, name in options.items() for text in (f"--{key}", str(folder / name))]
    return informativeness.main(
        [*given, "--device", "cpu", "--out", str(folder / "informativeness.json")]
    )


def test_the_program_looks_and_says_what_it_suggests(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert look(folder) == 0
    found = load_informativeness(folder / "informativeness.json", digest="informativeness")
    assert (found.iterations, found.teacher, len(found.layers)) == (3, "t1", 12)
    said = capsys.readouterr().err
    assert f"suggested for resnet10, width 0.125, stem small: recover.r_bn {found.r_bn:g}" in said
    first = (folder / "informativeness.json").read_bytes()
    assert look(folder) == 0
    assert (folder / "informativeness.json").read_bytes() == first


def test_the_short_recovery_has_the_mean_and_std_of_the_one_it_is_for(folder: Path) -> None:
    assert look(folder) == 0
    plain = load_informativeness(folder / "informativeness.json")
    recover = {**RECOVER, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}
    params = {"iterations": 3, "balance": 0.5, "recover": recover}
    freeze(folder / "frozen.json", "informativeness", params, teacher="t1")
    assert look(folder) == 0
    other = load_informativeness(folder / "informativeness.json")
    assert other.start == plain.start
    assert other.end != plain.end


def recovered(folder: Path, r_bn: object, **options: object) -> int:
    freeze(
        folder / "recover.json",
        "recover",
        {**RECOVER, "iterations": 2, "r_bn": r_bn},
        teacher="t1",
        informativeness="informativeness",
    )
    given = {"teacher": folder / "probe.safetensors", "classes": "0:3", "slots": "0:1", **options}
    return recover.main(command(folder, "recover", **given, out=folder / f"of-{r_bn}"))


def test_an_automatic_r_bn_is_read_said_and_recorded(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    look(folder)
    suggested = load_informativeness(folder / "informativeness.json").r_bn
    assert recovered(folder, "auto", informativeness=folder / "informativeness.json") == 0
    assert f"r_bn {suggested:g}, as suggested by" in capsys.readouterr().err
    assert recovered(folder, suggested) == 0
    name = "slots_0000-0000/class_0001.safetensors"
    (one, header), (other, _) = (
        tensors.load(folder / f"of-{r_bn}" / name) for r_bn in ("auto", suggested)
    )
    assert header["r_bn"] == suggested
    assert all(one[key].equal(other[key]) for key in one)


def test_an_automatic_r_bn_without_its_file_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert recovered(folder, "auto") == 1
    assert "error: recover.r_bn is auto: --informativeness must name" in capsys.readouterr().err
    assert recovered(folder, "auto", informativeness=folder / "informativeness.json") == 1
    assert f"error: {folder}/informativeness.json does not exist." in capsys.readouterr().err
