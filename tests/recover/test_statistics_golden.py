"""Convolution, patch and class statistics, moving averages, flatness and densification against runs
of G-VBSM's and EDC's programs."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn import functional

from scdd.artifacts.statistics import Real
from scdd.params.recover import Recover
from scdd.params.statistics import Statistics
from scdd.recover import engine
from scdd.recover.densification import densification
from scdd.recover.distance import StatisticsLoss
from scdd.recover.engine import FramePlan, Pass, Units, recover_units
from scdd.recover.matching import flatness
from scdd.recover.targets import of_batch, real_statistics
from scdd.recover.units import Unit, Views

FOLDER = Path(__file__).parent / "golden"
MEAN = torch.tensor([0.5071, 0.4867, 0.4408])[:, None, None]
STD = torch.tensor([0.2675, 0.2565, 0.2761])[:, None, None]
VALID = -MEAN / STD, (1 - MEAN) / STD
LAYERS = ("conv1", "bn1", "conv2", "bn2")
STEPS = 4
BOTH = Recover(
    iterations=STEPS,
    lr=0.05,
    r_bn=0.01,
    first_bn_multiplier=10.0,
    convolutions="patches",
    momentum=0.8,
    teachers="turn",
)
GVBSM = replace(BOTH, densification=1.0)
EDC = replace(BOTH, class_share=0.5, class_patches="code")


class Small(nn.Module):
    """The networks of the golden runs."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        super().__init__()
        first, second = (len(state[f"conv{n}.weight"]) for n in (1, 2))
        self.conv1 = nn.Conv2d(3, first, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        self.conv2 = nn.Conv2d(first, second, 3, 2, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(second)
        self.fc = nn.Linear(second, 100)
        self.load_state_dict(state, strict=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn1(self.conv1(x)).relu()
        return self.fc(self.bn2(self.conv2(x)).relu().mean((2, 3)))


class Run(NamedTuple):
    """What one run of ours was: its losses, gradients and images by iteration, and the weighted
    terms' norms of each layer."""

    golden: dict[str, Tensor]
    networks: list[nn.Module]
    unit: Unit
    losses: Tensor
    gradients: list[Tensor]
    images: list[Tensor]
    terms: list[dict[str, float]]


def read(name: str) -> tuple[dict[str, Tensor], list[nn.Module]]:
    with safe_open(FOLDER / f"{name}.safetensors", framework="pt") as file:
        golden = {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118
    states = [
        {key[5:]: t for key, t in golden.items() if key.startswith(f"net{k}.")} for k in (0, 1)
    ]
    return golden, [Small(state).eval() for state in states]


def gathered(golden: dict[str, Tensor], network: nn.Module) -> Real:
    """The statistics of the golden file's 200 real images, in order, by batches of 64."""
    images = (golden["real"].permute(0, 3, 1, 2) / 255 - MEAN) / STD

    def batches(skip: int) -> list[tuple[Tensor, Tensor]]:
        pairs = list(zip(golden["real_classes"].split(64), images.split(64), strict=True))
        return pairs[skip:]

    params = Statistics("patches", 4)
    return real_statistics(
        network, batches, params, images=200, size=64, classes=100, shape=(3, 32, 32)
    )


def kept(golden: dict[str, Tensor], number: int, like: Real) -> Real:
    """Those that the file has in place of the images."""
    means, variances, *by_class = (
        golden[f"{key}.{number}"]
        for key in ("means", "variances", "class_means", "class_variances")
    )
    return Real(like.rows, (means, variances), (by_class[0], by_class[1]))


def ours(name: str, params: Recover, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The engine on a golden file's unit. Networks stay contiguous, as they were there."""
    golden, networks = read(name)
    own, others = read("edc")
    shapes = [gathered(own, network) for network in others]
    real = shapes if name == "edc" else [kept(golden, k, like) for k, like in enumerate(shapes)]
    labels = golden["targets_slots"][0]
    targets = [of_batch(each, labels, params) for each in real] if params.class_share else None
    shifts = golden.get("shifts", torch.zeros(STEPS, 2, dtype=torch.int64))
    if name == "gvbsm":
        flips, boxes = golden["flips"], golden["padded_crops"] - torch.tensor([4, 4, 0, 0])
    else:  # the first flips are of the start; then each is used twice, for images and average
        flips, boxes = golden["flips"][10::2], golden["crops"][::2]
    views = shifts, flips.bool()[:, None], boxes.long()[:, None]
    unit = Unit(0, "the authors'", labels, golden["start"], *views, targets)

    monkeypatch.setattr(engine, "frozen", lambda network, _: network.requires_grad_(False))
    gradients: list[Tensor] = []
    step = Pass.step

    def noting_step(self: Pass, gradient: Tensor, *more: object) -> None:
        gradients.append(gradient[0].clone())
        step(self, gradient, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(Pass, "step", noting_step)
    terms: list[dict[str, float]] = [dict.fromkeys(LAYERS, 0.0) for _ in range(STEPS)]
    share = 0.5 if params.class_share else 1.0
    norms = StatisticsLoss._norms

    def noting_norms(self: StatisticsLoss, off: Tensor) -> Tensor:
        values = norms(self, off)
        for row, value in zip(self.rows, values[0].tolist(), strict=True):
            terms[len(gradients)][row.layer] += share * value
        return values

    monkeypatch.setattr(StatisticsLoss, "_norms", noting_norms)
    units, frames = Units([0], 10, lambda _: unit), FramePlan(range(STEPS + 1))
    made = recover_units(networks, units, params, VALID, real=real, frames=frames)
    return Run(golden, networks, unit, made.losses[0], gradients, list(made.frames), terms)


@pytest.mark.parametrize(("name", "params"), [("gvbsm", GVBSM), ("edc", EDC)])
def test_a_run_is_the_authors(name: str, params: Recover, monkeypatch: pytest.MonkeyPatch) -> None:
    run = ours(name, params, monkeypatch)
    assert ((run.losses[:, 0] - run.golden["loss"]) / run.golden["loss"]).abs().max() < 1.5e-7
    terms = torch.tensor([[each[layer] for layer in LAYERS] for each in run.terms])
    expected = run.golden["features"].view(STEPS, len(LAYERS))
    assert ((terms - expected) / expected).abs().max() < 1.4e-7
    for step in (0, 3):
        gradient = run.golden[f"grad.{step}"]
        off = (run.gradients[step][: len(gradient)] - gradient).norm() / gradient.norm()
        assert off < 6e-7
    # Adam's first step divides gradients by their size: where one is 1e-8, rounding shows
    off = (run.images[STEPS][:4] - run.golden["after.3"]).abs().flatten()
    assert off.sort().values[-2] < 6.5e-5
    assert off.max() < 2e-4


def test_flatness_is_the_authors(monkeypatch: pytest.MonkeyPatch) -> None:
    params = Recover.of({**EDC.dump(), "flatness": 1.0})
    run = ours("edc_flat", params, monkeypatch)
    assert ((run.losses[:, 0] - run.golden["loss"]) / run.golden["loss"]).abs().max() < 1.5e-7
    views = Views([run.unit], torch.device("cpu"))
    average = run.images[0]
    for step in range(STEPS):
        network = run.networks[step % 2]
        own, other = (
            network(views.of(x[None], step)[0])[None] for x in (run.images[step], average)
        )
        value = flatness(own, other)
        torch.testing.assert_close(
            value.double(), run.golden["kl"][step : step + 1], rtol=0, atol=5e-10
        )
        average = 0.99 * average + 0.01 * run.images[step]


def test_the_spread_of_eigenvalues_is_of_each_class_alone() -> None:
    """Against torch's own divergence, class by class."""
    views = torch.randn(2, 6, 3, 8, 8, generator=torch.Generator().manual_seed(0)) / 10
    expected = []
    for unit in views:
        total = 0.0
        for rows in unit.flatten(1).split(2):
            values = torch.linalg.svdvals(rows).square()
            total += functional.kl_div(
                values.log_softmax(0), (values / 4).softmax(0), reduction="sum"
            )
        expected.append(total)
    torch.testing.assert_close(densification(views, 3), torch.tensor(expected))
