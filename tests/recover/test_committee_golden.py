"""Recoveries from several teachers against runs of their authors' code: FADRM+ and CV-DD."""

import ast
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn
from toy import loss_of

from scdd.params.recover import Recover, Residual
from scdd.recover.committees import shares
from scdd.recover.engine import FramePlan, Units, recover_units
from scdd.recover.units import Unit, Views
from scdd.views.geometry import resized
from scdd.views.pixels import stored

FOLDER = Path(__file__).parent / "golden"
COMMON = {"lr": 0.25, "r_bn": 0.01, "shift": 4, "crop": (0.08, 1.0), "flip": True}


class Small(nn.Module):
    """A network of the golden runs."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        super().__init__()
        first, second = len(state["bn1.weight"]), len(state["bn2.weight"])
        self.conv1 = nn.Conv2d(3, first, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        self.conv2 = nn.Conv2d(first, second, 3, 2, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(second)
        self.fc = nn.Linear(second, len(state["fc.bias"]))
        self.load_state_dict(state, strict=False)
        self.eval().requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn1(self.conv1(x)).relu()
        x = self.bn2(self.conv2(x)).relu()
        logits: Tensor = self.fc(x.mean((2, 3)))
        return logits


@dataclass(frozen=True)
class Run:
    """A golden run: its tensors and networks; mean and std by channel; its settings here; the
    images that it starts from."""

    tensors: dict[str, Tensor]
    networks: list[Small]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    settings: Recover
    start: Tensor

    @property
    def unit(self) -> Unit:
        own = self.tensors
        flips, boxes = own["flips"].bool()[:, None], own["crops"].long()[:, None]
        labels = torch.arange(len(self.start))
        return Unit(0, "the authors'", labels, self.start, own["shifts"], flips, boxes)

    @property
    def valid(self) -> tuple[Tensor, Tensor]:
        mean, std = (torch.tensor(values)[:, None, None] for values in (self.mean, self.std))
        return (0 - mean) / std, (1 - mean) / std

    def before(self, iteration: int) -> Tensor:
        """The images that it sees in an iteration."""
        own, segments = self.tensors, self.settings.segments(self.start.shape[-1])
        begun = [number for number, part in enumerate(segments) if part.first == iteration]
        if iteration and begun:
            return own[f"segment.{begun[0]}"]
        return own[f"after.{iteration - 1}"] if iteration else own["start"]

    def loss(self, images: Tensor, iteration: int) -> Tensor:
        """Of normalised images [n, 3, S, S]; differentiable."""
        unit = self.unit
        seen = Views([unit], torch.device("cpu")).of(images[None], iteration)[0]
        total = torch.zeros(())
        for number, weight in shares(self.settings, (0, 1, 2)[: len(self.networks)], iteration):
            parts = loss_of(self.networks[number], 10.0, seen, unit.labels, self.settings)
            total = total + weight * parts[0]
        return total


def run_of(name: str) -> Run:
    with safe_open(FOLDER / f"{name}.safetensors", framework="pt") as file:
        meta = {key: text for key, text in file.metadata().items() if text}
        own = {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118
    order = ast.literal_eval(meta["order"])
    networks = [
        Small({key[5:]: value for key, value in own.items() if key.startswith(f"net{number}.")})
        for number in range(len(order))
    ]
    steps = len(own["loss"])
    if name == "fadrm":
        segments = {"sizes": (12, 16, 12, 16), "budgets": (3, 3, 3, 2), "residual": Residual(0.5)}
        settings = Recover(steps, teachers="turn", start="patches", **COMMON, **segments)
    else:
        priors = ast.literal_eval(meta["priors"])
        votes = {"teachers": "vote", "priors": tuple(priors[arch] for arch in order)}
        settings = Recover(steps, start="patches", **COMMON, **votes)
    start = own["patches" if name == "fadrm" else "start"]
    mean, std = ast.literal_eval(meta["mean"]), ast.literal_eval(meta["std"])
    return Run(own, networks, mean, std, settings, start)


@pytest.fixture(params=["fadrm", "cvdd"], scope="module")
def run(request: pytest.FixtureRequest) -> Run:
    return run_of(request.param)


def test_the_loss_of_each_iteration_is_the_authors(run: Run) -> None:
    """Theirs and this are each within 1.3e-7 of the loss in float64."""
    for iteration, expected in enumerate(run.tensors["loss"].tolist()):
        loss = run.loss(run.before(iteration), iteration).item()
        assert loss == pytest.approx(expected, rel=2.5e-7)


@pytest.mark.parametrize("which", ["first", "last"])
def test_the_gradient_is_the_authors(run: Run, which: str) -> None:
    iteration = 0 if which == "first" else run.settings.iterations - 1
    leaf = run.before(iteration).clone().requires_grad_()
    (gradient,) = torch.autograd.grad(run.loss(leaf, iteration), leaf)
    expected = run.tensors[f"grad.{iteration}"]
    assert (gradient - expected).norm() / expected.norm() < 6e-7


def test_a_run_passes_through_the_authors_images(run: Run) -> None:
    """Also where segments end: size, share of the start, a new Adam. Frames are enlarged."""
    steps = run.settings.iterations
    units = Units([0], len(run.start), lambda _: run.unit)
    frames = FramePlan(range(steps + 1))
    made = recover_units(run.networks, units, run.settings, run.valid, frames=frames)
    for iteration in range(steps):
        expected = resized(run.before(iteration), 16)
        assert (made.frames[iteration] - expected).abs().max() < 6.5e-5
    last = run.tensors[f"after.{steps - 1}"]
    assert (made.images[0] - last).abs().max() < 6.5e-5
    kept = stored(made.images[0], run, "truncated")
    assert kept.permute(0, 2, 3, 1).equal(run.tensors["saved"])
    assert (made.losses[0, :, 0] / run.tensors["loss"] - 1).abs().max() < 3e-7


def test_votes_are_cv_dds() -> None:
    run = run_of("cvdd")
    weights = [weight for _, weight in shares(run.settings, (0, 1), 0)]
    assert weights == pytest.approx(run.tensors["voter_weights"].tolist(), rel=1e-12)
