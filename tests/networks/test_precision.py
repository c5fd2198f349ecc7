"""bf16 on a CPU that has no instructions for it."""

import pytest
import torch
import torch.nn.functional as F

from scdd.networks import precision
from scdd.networks.precision import autocast

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def without_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_bf16", lambda: False)


def rounded(x: torch.Tensor) -> torch.Tensor:
    """float32 with bf16's 8 bits, to the nearest, ties to even."""
    bits = x.view(torch.int32)
    return (bits + 0x7FFF + (bits >> 16 & 1) & ~0xFFFF).view(torch.float32)


@pytest.mark.parametrize("bias", [True, False])
def test_products_are_float32_ones_of_rounded_numbers(bias: bool) -> None:
    draw = torch.Generator().manual_seed(0)
    x, w = torch.randn(2, 3, 5, 5, generator=draw), torch.randn(4, 3, 3, 3, generator=draw)
    b = torch.randn(4, generator=draw) if bias else None
    with autocast(CPU, "bf16"):
        result = F.conv2d(x, w, b, padding=1)
        linear = F.linear(x.flatten(1), w.flatten(1).repeat(1, 3)[:, :75])
    assert result.dtype == linear.dtype == torch.bfloat16
    exact = F.conv2d(rounded(x), rounded(w), None if b is None else rounded(b), padding=1)
    assert torch.equal(result.float(), rounded(exact))
    weights = rounded(w.flatten(1).repeat(1, 3)[:, :75])
    torch.testing.assert_close(linear.float(), rounded(rounded(x.flatten(1)) @ weights.T))


def test_gradients_are_those_of_torchs_autocast_but_for_rounding() -> None:
    draw = torch.Generator().manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(72, 2)
    )
    x = torch.randn(4, 3, 5, 5, generator=draw)
    gradients = []
    for context in (autocast(CPU, "bf16"), torch.autocast("cpu", torch.bfloat16)):
        network.zero_grad()
        with context:
            outputs = network(x)
        outputs.float().square().sum().backward()
        gradients.append([weight.grad.clone() for weight in network.parameters()])
    for ours, torchs in zip(*gradients, strict=True):
        assert (ours - torchs).norm() <= 2**-6 * torchs.norm()


def test_where_autocast_is_off_nothing_is_rounded() -> None:
    x = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
    with autocast(CPU, "bf16"), torch.autocast("cpu", enabled=False):
        inner = F.linear(x, x)
    with autocast(CPU, "float32"):
        outer = F.linear(x, x)
    assert torch.equal(inner, F.linear(x, x))
    assert torch.equal(outer, F.linear(x, x))
