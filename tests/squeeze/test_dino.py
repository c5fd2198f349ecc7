"""DINO against naive float64 arithmetic."""

from typing import Any

import naive
import pytest
import torch
from torch import Tensor, nn

from scdd.networks.resnet import build
from scdd.params.squeeze import DINO
from scdd.rng import generator
from scdd.squeeze import engine
from scdd.squeeze.methods import dino

PARAMS: dict[str, Any] = {
    "target_momentum": 0.9,
    "centre_momentum": 0.8,
    "temperature": 0.2,
    "teacher_temperatures": (0.05, 0.1),
    "temperature_epochs": 3,
    "freeze_epochs": 1,
    "clip": 0.0,
    "outputs": 7,
    "hidden": 10,
    "bottleneck": 5,
    "head_bn": False,
    "bn_groups": 1,
}


def make(**changes: Any) -> dino.DINO:
    draw = generator(0)
    return dino.make(DINO.of({**PARAMS, **changes}), build(naive.ARCHITECTURE, 2, draw), draw)


def views(step: int) -> list[Tensor]:
    """Two large ones and a small one."""
    draw = generator("views", step)
    return [torch.randn(8, 3, size, size, generator=draw) for size in (8, 8, 6)]


@torch.no_grad()
def outputs(encoder: nn.Module, images: list[Tensor]) -> list[Tensor]:
    """[8, 7] of each view: those of one size share their BatchNorm statistics."""
    seen = [naive.features(encoder.network, torch.cat(images[:2]))]
    seen += [naive.features(encoder.network, view) for view in images[2:]]
    x = torch.cat(seen)
    for layer in encoder.head.mlp:
        match layer:
            case nn.Linear():
                x = naive.linear(x, layer)
            case nn.BatchNorm1d():
                x = naive.batch_norm(x, layer)
            case nn.GELU():
                x = naive.gelu(x)
    directions = naive.unit(encoder.head.last.weight.double())
    return list((naive.unit(x) @ directions.T).split(8))


@pytest.mark.parametrize("head_bn", [True, False])
def test_loss_centre_and_teacher_equal_a_naive_loop(head_bn: bool) -> None:
    """Over five steps of eight: two epochs of the temperature's warm-up, and one after it."""
    method = make(head_bn=head_bn)
    with torch.no_grad():  # heads start almost alike for all images
        for layer in (*method.student.head.mlp, *method.teacher.head.mlp):
            if isinstance(layer, nn.Linear):
                layer.weight.mul_(20)
    optimizer = torch.optim.SGD(method.student.parameters(), lr=0.5)
    centre = torch.zeros(7, dtype=torch.float64)
    slow = {name: w.detach().double() for name, w in method.teacher.named_parameters()}
    temperatures = [0.05, 0.05, 0.075, 0.075, 0.1]
    for step, temperature in enumerate(temperatures):
        images, now = views(step), engine.Now(step, 2, 4)
        given, wanted = outputs(method.student, images), outputs(method.teacher, images[:2])
        targets = [((one - centre) / temperature).softmax(1) for one in wanted]
        expected = naive.swapped(targets, [one / 0.2 for one in given])
        centre = 0.8 * centre + 0.2 * torch.cat(wanted).mean(0)
        loss = method.loss(images, torch.zeros(8), now)
        assert loss.item() == pytest.approx(expected, rel=1e-5)
        torch.testing.assert_close(method.centre.double(), centre, atol=1e-6, rtol=1e-5)
        optimizer.zero_grad()
        loss.backward()
        method.after_backward(now)
        assert (method.student.head.last.weight.grad is None) == (step < 2)
        optimizer.step()
        method.after_step(now)
        m = naive.cosine(0.9, 1.0, step / 8)
        for name, weight in method.student.named_parameters():
            slow[name] = m * slow[name] + (1 - m) * weight.detach().double()
            found = method.teacher.get_parameter(name).double()
            torch.testing.assert_close(found, slow[name], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(("epochs", "expected"), [(0, 0.1), (1, 0.05), (5, 0.05)])
def test_the_first_epochs_temperature(epochs: int, expected: float) -> None:
    method = make(temperature_epochs=epochs)
    assert method.teacher_temperature(engine.Now(0, 10, 9)) == pytest.approx(expected)
    assert method.teacher_temperature(engine.Now(89, 10, 9)) == pytest.approx(0.1)


def test_clipping_shortens_each_gradient_by_itself() -> None:
    gradients = [torch.tensor([3.0, 4.0]), torch.tensor([[0.3], [0.4]])]
    dino.clip(gradients, 2.0)
    torch.testing.assert_close(gradients[0], torch.tensor([1.2, 1.6]))
    torch.testing.assert_close(gradients[1], torch.tensor([[0.3], [0.4]]))


def test_the_backbone_that_is_exported_is_the_teachers() -> None:
    network = build(naive.ARCHITECTURE, 2, generator(0))
    method = dino.make(DINO.of(PARAMS), network, generator(1))
    assert method.teacher.network is network
    assert not any(weight.requires_grad for weight in network.parameters())
    assert all(weight.requires_grad for weight in method.student.parameters())
