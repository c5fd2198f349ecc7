"""The squeeze's optimisers: LARS against a naive loop, and who is decayed."""

import pytest
import torch
from torch import nn

from scdd.rng import generator
from scdd.squeeze.optimizers import LARS, optimizer


def test_lars_equals_a_naive_loop() -> None:
    """Weights are adapted, and decayed, by their lengths; a vector has plain momentum."""
    draw = generator(0)
    matrix, vector = (torch.randn(shape, generator=draw) for shape in ((3, 2), (3,)))
    ours = [nn.Parameter(matrix.clone()), nn.Parameter(vector.clone())]
    theirs = [matrix.double(), vector.double()]
    speeds = [torch.zeros(3, 2).double(), torch.zeros(3).double()]
    made = LARS(ours, lr=0.5, momentum=0.9, decay=0.1)
    for _ in range(3):
        for weight, other, speed in zip(ours, theirs, speeds, strict=True):
            weight.grad = torch.randn(weight.shape, generator=draw)
            change = weight.grad.double()
            if weight.ndim == 2:
                change = change + 0.1 * other
                change = change * (0.001 * other.norm() / change.norm())
            speed.mul_(0.9).add_(change)
            other.sub_(0.5 * speed)
        made.step()
    for weight, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(weight.detach().double(), other, atol=1e-7, rtol=1e-6)


def test_lars_moves_weights_that_are_zero() -> None:
    weight = nn.Parameter(torch.zeros(2, 2))
    weight.grad = torch.ones(2, 2)
    LARS([weight], lr=0.5, momentum=0.9, decay=0.1).step()
    assert torch.equal(weight, torch.full((2, 2), -0.5))


@pytest.mark.parametrize("name", ["sgd", "adamw"])
@pytest.mark.parametrize("vectors", [True, False])
def test_vectors_are_decayed_only_if_asked(name: str, vectors: bool) -> None:
    module = nn.Linear(2, 2)
    nn.init.ones_(module.weight)
    nn.init.ones_(module.bias)
    made = optimizer(name, module, 0.5, 0.9, 0.1, vectors)
    for weight in module.parameters():
        weight.grad = torch.zeros_like(weight)
    made.step()
    assert torch.allclose(module.weight, torch.tensor(0.95))
    assert torch.allclose(module.bias, torch.tensor(0.95 if vectors else 1.0))


@pytest.mark.parametrize("name", ["sgd", "adamw", "lars"])
def test_a_weight_without_a_gradient_stays_and_may_get_one_later(name: str) -> None:
    module = nn.Linear(2, 2)
    made = optimizer(name, module, 0.5, 0.9, 0.1, True)
    before = module.bias.detach().clone()
    for step in range(2):
        module.weight.grad = torch.ones(2, 2)
        module.bias.grad = torch.ones(2) if step else None
        made.step()
        assert torch.equal(module.bias, before) == (step == 0)


def test_sgd_equals_torchs_from_its_first_step() -> None:
    modules = [nn.Linear(2, 2) for _ in range(2)]
    modules[1].load_state_dict(modules[0].state_dict())
    both = [
        optimizer("sgd", modules[0], 0.5, 0.9, 0.1, True),
        torch.optim.SGD(
            modules[1].parameters(), lr=0.5, momentum=0.9, weight_decay=0.1, fused=True
        ),
    ]
    for step in range(3):
        for module, made in zip(modules, both, strict=True):
            for weight in module.parameters():
                weight.grad = torch.randn(weight.shape, generator=generator(step))
            made.step()
        for one, other in zip(*(module.parameters() for module in modules), strict=True):
            assert torch.equal(one, other)
