"""Statistics that are matched in networks of other kinds than ResNets."""

import copy

import pytest
import torch
from torch import Tensor, nn

from scdd.networks.build import build
from scdd.params.network import Network
from scdd.params.recover import Recover
from scdd.recover.distance import StatisticsLoss
from scdd.recover.matching import frozen, objective
from scdd.rng import generator

KINDS = {
    "densenet21": 0.25,
    "shufflenet_v2_x0_5": 0.25,
    "mobilenet_v2": 0.25,
    "efficientnet_b0": 0.25,
    "wrn-16-2": 0.25,
    "convnet3-bn": 0.25,
}
SIZE, CLASSES = 16, 5


def teacher(arch: str) -> nn.Module:
    stem = "imagenet" if arch.startswith(("wrn", "convnet")) else "small"
    network = build(Network(arch, KINDS[arch], stem), CLASSES, SIZE, generator(0))
    for number, part in enumerate(network.modules()):
        if isinstance(part, nn.BatchNorm2d):
            draw = generator("statistics", number)
            part.running_mean.normal_(0, 0.1, generator=draw)
            part.running_var.uniform_(0.5, 1.5, generator=draw)
    return network.eval()


def naive(network: nn.Module, images: Tensor, labels: Tensor, params: Recover) -> Tensor:
    """The loss by the formula, in float64, with hooks; the first layer is the stem's."""
    network = copy.deepcopy(network).double()
    layers = [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
    seen: dict[int, Tensor] = {}
    for number, layer in enumerate(layers):
        layer.register_forward_pre_hook(lambda _, x, number=number: seen.update({number: x[0]}))
    loss = nn.functional.cross_entropy(network(images), labels)
    for number, layer in enumerate(layers):
        mean, var = seen[number].mean((0, 2, 3)), seen[number].var((0, 2, 3), correction=0)
        off = (layer.running_mean - mean).norm() + (layer.running_var - var).norm()
        loss = loss + params.r_bn * (params.first_bn_multiplier if number == 0 else 1) * off
    return loss


@pytest.mark.parametrize("arch", KINDS)
def test_loss_and_gradient_are_those_of_the_formula(arch: str) -> None:
    network, params = teacher(arch), Recover(r_bn=0.05, first_bn_multiplier=10.0)
    images, labels = torch.randn(CLASSES, 3, SIZE, SIZE, generator=generator(1)), torch.arange(5)
    exact = images.double().requires_grad_()
    expected = naive(network, exact, labels, params)
    (slope,) = torch.autograd.grad(expected, exact)
    leaf = images[None].clone().requires_grad_()
    network = frozen(network, "float32")
    with StatisticsLoss(network, params) as bn:
        loss = objective(network, bn, leaf, labels[None], params)[0, 0]
    (found,) = torch.autograd.grad(loss, leaf)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=0)
    torch.testing.assert_close(found[0].double(), slope, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("arch", KINDS)
def test_the_first_layer_is_that_of_the_stem(arch: str) -> None:
    """Its inputs come before those of any other."""
    network = teacher(arch)
    order: list[nn.Module] = []
    layers = [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
    for layer in layers:
        layer.register_forward_pre_hook(lambda part, _: order.append(part))
    network(torch.randn(2, 3, SIZE, SIZE))
    assert order[0] is layers[0]
    assert len(order) == len(layers)
