"""The recovery against one run of the reference implementation, and against a naive float64 one."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn
from toy import loss_of

from scdd.params.recover import Recover
from scdd.recover.engine import Units, recover_units
from scdd.recover.units import Unit, draw_unit

FILE = Path(__file__).parent / "golden" / "recover_cifar.safetensors"
MEAN = torch.tensor([0.4914, 0.4822, 0.4465], dtype=torch.float64)[:, None, None]
STD = torch.tensor([0.2023, 0.1994, 0.2010], dtype=torch.float64)[:, None, None]
STEPS, R_BN, FIRST = 60, 0.005, 10.0
SETTINGS = Recover(
    iterations=STEPS,
    lr=0.4,
    betas=(0.5, 0.9),
    r_bn=R_BN,
    first_bn_multiplier=FIRST,
    tv_l2=0.0,
    l2_scale=0.0,
    shift=4,
    crop=None,
    flip=False,
    precision="float32",
)


class Small(nn.Module):
    """The network of the golden run."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 32, 3, 2, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(32)
        self.conv3 = nn.Conv2d(32, 32, 3, 2, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(32)
        self.fc = nn.Linear(32, 100)

    def forward(self, x: Tensor) -> Tensor:
        for conv, bn in (
            (self.conv1, self.bn1),
            (self.conv2, self.bn2),
            (self.conv3, self.bn3),
        ):
            x = bn(conv(x)).relu()
        return self.fc(x.mean((2, 3)))


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    with safe_open(FILE, framework="pt") as file:
        return {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118


@pytest.fixture(scope="module")
def network(golden: dict[str, Tensor]) -> Small:
    made = Small()
    made.load_state_dict({k[6:]: v for k, v in golden.items() if k.startswith("model.")})
    return made.eval().requires_grad_(False)


def naive(golden: dict[str, Tensor], views: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Loss, cross-entropy and BN term by the formula of the paper, in float64."""
    p = {k[6:]: v.double() for k, v in golden.items() if k.startswith("model.")}
    x, distance = views, torch.zeros((), dtype=torch.float64)
    for number, stride in ((1, 1), (2, 2), (3, 2)):
        x = torch.conv2d(x, p[f"conv{number}.weight"], stride=stride, padding=1)
        count = x.shape[0] * x.shape[2] * x.shape[3]
        mean = x.sum((0, 2, 3)) / count
        var = ((x - mean[:, None, None]) ** 2).sum((0, 2, 3)) / count
        running_mean, running_var = p[f"bn{number}.running_mean"], p[f"bn{number}.running_var"]
        off = (running_var - var).pow(2).sum().sqrt() + (running_mean - mean).pow(2).sum().sqrt()
        distance = distance + (FIRST if number == 1 else 1.0) * off
        scale = p[f"bn{number}.weight"] / (running_var + 1e-5).sqrt()
        x = (x - running_mean[:, None, None]) * scale[:, None, None]
        x = (x + p[f"bn{number}.bias"][:, None, None]).clamp(min=0)
    logits = x.mean((2, 3)) @ p["fc.weight"].T + p["fc.bias"]
    log_p = logits - logits.exp().sum(1, keepdim=True).log()
    ce = -log_p[torch.arange(len(views)), golden["targets"]].mean()
    return ce + R_BN * distance, ce, distance


@pytest.mark.parametrize("which", ["init", "final"])
def test_loss_and_gradient_of_a_step_equal_the_formula_in_float64(golden, network, which):
    images = golden[which].double()
    images = (images - MEAN) / STD if which == "final" else images
    shift = tuple(golden["jitter"][0, 7].tolist())

    exact = images.clone().requires_grad_()
    expected = naive(golden, exact.roll(shift, dims=(2, 3)))
    (expected_grad,) = torch.autograd.grad(expected[0], exact)

    single = images.float().requires_grad_()
    found = loss_of(network, FIRST, single.roll(shift, (2, 3)), golden["targets"], SETTINGS)
    (grad,) = torch.autograd.grad(found[0], single)

    for a, b in zip(found.tolist(), expected, strict=True):
        assert a == pytest.approx(b.item(), rel=1e-5)
    off = (grad.double() - expected_grad).norm() / expected_grad.norm()
    assert off < 1e-5


@pytest.mark.parametrize("width", [1, 2])
def test_sixty_iterations_follow_the_reference(golden, network, width):
    """Also as the second of two units that share a pass."""
    none = torch.zeros(STEPS, 1).bool()
    labels, shifts = golden["targets"], golden["jitter"][0]
    unit = Unit(1, "the reference's", labels, golden["init"], shifts, none, None)
    other = Unit(0, "another", labels, golden["init"].flip(0), shifts.flip(0), none, None)
    valid = ((0 - MEAN) / STD).float(), ((1 - MEAN) / STD).float()
    slots, units = range(2 - width, 2), [other, unit]

    def recovered():
        of_slots = Units(slots, len(labels), units.__getitem__)
        return recover_units([network], of_slots, SETTINGS, valid, width=width)

    made = recovered()
    assert made.widths == [width]

    ce, bn = golden["loss_ce"][0], golden["loss_bn"][0]
    expected = torch.stack([ce + R_BN * bn, ce, bn], dim=1)
    off = ((made.losses[-1] - expected) / expected).abs()
    assert off[:10].max() < 1e-4
    assert off.max() < 3e-3
    pixels = made.images[-1].double() * STD + MEAN
    assert pixels.min() > -1e-6
    assert pixels.max() < 1 + 1e-6
    # No nearer than rounding allows: it grows from step to step. How far does that of the start go?
    noise = torch.randn(unit.start.shape, generator=torch.Generator().manual_seed(0))
    units[1] = replace(unit, start=unit.start * (1 + 1e-7 * noise))
    spread = (recovered().images[-1].double() * STD + MEAN - pixels).abs().mean()
    assert spread < 0.04
    assert (pixels - golden["final"]).abs().mean() < 2 * spread


def test_shifts_are_drawn_from_the_same_numbers_as_the_references(golden):
    """From 0 to 4, both included, with `shift: 4`: a pair for each iteration."""
    reference = golden["jitter"][0]
    drawn = draw_unit(SETTINGS, golden["targets"], 32, seed=0, block=0, slot=0).shifts
    assert drawn.shape == reference.shape == (STEPS, 2)
    for ours, theirs in zip(drawn.unbind(1), reference.unbind(1), strict=True):
        assert ours.unique().tolist() == theirs.unique().tolist() == [0, 1, 2, 3, 4]
