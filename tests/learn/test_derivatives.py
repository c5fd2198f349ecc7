"""The derivatives that are written out, against autograd's of scdd.networks.students.ConvNet."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call

from scdd.learn import derivatives, features
from scdd.networks.students import ConvNet
from scdd.rng import generator

FILTERS, CLASSES = 6, 4


class Problem:
    """A ConvNet whose norms' scales are of both signs, a direction, and images with labels."""

    def __init__(self, resolution: int, depth: int = 3, n: int = 5) -> None:
        draw = generator("derivatives", resolution, depth)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=draw, dtype=torch.float64)

        self.network = ConvNet(depth, False, FILTERS, resolution, CLASSES).double()
        shapes = {name: weight.shape for name, weight in self.network.named_parameters()}
        self.names = list(shapes)
        self.weights = [
            normal(*shape) * (1.0 if len(shape) == 1 else shape[1:].numel() ** -0.5)
            for shape in shapes.values()
        ]
        self.directions = [normal(*weight.shape) for weight in self.weights]
        self.images = normal(n, 3, resolution, resolution) + 0.5
        self.labels = normal(n, CLASSES).softmax(1)

    def expected(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The gradient of the weights; s, and its gradients of images and weights."""
        weights = [weight.clone().requires_grad_() for weight in self.weights]
        images = self.images.clone().requires_grad_()
        named = dict(zip(self.names, weights, strict=True))
        logits = functional_call(self.network, named, (images,))
        loss = F.cross_entropy(logits, self.labels)
        gradient = torch.autograd.grad(loss, weights, create_graph=True)
        pairs = zip(gradient, self.directions, strict=True)
        product = torch.stack([(own * along).sum() for own, along in pairs]).sum()
        by_images, *by_weights = torch.autograd.grad(product, (images, *weights))
        return flat(gradient), product.detach(), by_images, flat(by_weights)


def flat(tensors: list[Tensor] | tuple[Tensor, ...]) -> Tensor:
    return torch.cat([tensor.detach().flatten() for tensor in tensors])


def close(found: Tensor, expected: Tensor, tolerance: float = 1e-12) -> bool:
    off = (found.double() - expected).abs().max()
    return found.shape == expected.shape and bool(off <= tolerance * expected.abs().max())


# sides that can be halved three times, twice, once and never; four blocks
@pytest.mark.parametrize("shape", [(16, 3), (12, 3), (10, 3), (15, 3), (32, 4)], ids=str)
def test_they_are_autograd_s(shape: tuple[int, int]) -> None:
    it = Problem(*shape)
    gradient, product, by_images, by_weights = it.expected()
    assert close(derivatives.gradient(it.weights, it.images, it.labels), gradient)
    found = derivatives.slopes(it.weights, it.directions, it.images, it.labels)
    for own, expected in zip(found, (product, by_images, by_weights), strict=True):
        assert close(own, expected)


def test_they_are_sums_over_passes_of_which_the_last_may_be_smaller(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    it = Problem(8)
    _, product, by_images, by_weights = it.expected()
    monkeypatch.setattr(features, "CPU_BYTES", 2 * FILTERS * 8 * 8 * 8)  # two images of five
    assert features.images_a_pass(it.weights, 8) == 2
    found = derivatives.slopes(it.weights, it.directions, it.images, it.labels)
    for own, expected in zip(found, (product, by_images, by_weights), strict=True):
        assert close(own, expected)


def test_labels_may_sum_to_something_else_than_one() -> None:
    it = Problem(8)
    it.labels *= torch.linspace(0.5, 2, len(it.labels)).double()[:, None]
    gradient, product, by_images, _ = it.expected()
    assert close(derivatives.gradient(it.weights, it.images, it.labels), gradient)
    found = derivatives.slopes(it.weights, it.directions, it.images, it.labels)
    assert close(found[0], product)
    assert close(found[1], by_images)


def test_they_are_accurate_in_float32_where_images_hardly_vary() -> None:
    """The means that the norms remove are a hundred times what is left."""
    it = Problem(16)
    it.images = 0.01 * it.images + 1
    expected = it.expected()
    single = [weight.float() for weight in it.weights], [each.float() for each in it.directions]
    images, labels = it.images.float(), it.labels.float()
    gradient = derivatives.gradient(single[0], images, labels)
    found = derivatives.slopes(*single, images, labels)
    for own, other in zip((gradient, *found), expected, strict=True):
        assert close(own, other, 1e-4)
