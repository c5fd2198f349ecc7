"""Heads and losses of the squeeze methods written out in float64, for the tests."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from scdd.networks.resnet import build
from scdd.params.network import Network

ARCHITECTURE = Network("resnet10", 0.125, "small")


def features(network: nn.Module, images: Tensor) -> Tensor:
    """Of one batch with its own BatchNorm statistics, by a network with the same weights."""
    plain = build(ARCHITECTURE, 2).double()
    plain.load_state_dict(network.state_dict())
    return plain.features(images.double())


def linear(x: Tensor, layer: nn.Module) -> Tensor:
    out = x @ layer.weight.double().T
    return out if layer.bias is None else out + layer.bias.double()


def batch_norm(x: Tensor, layer: nn.Module) -> Tensor:
    out = (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt()
    return out if layer.weight is None else out * layer.weight.double() + layer.bias.double()


def unit(x: Tensor) -> Tensor:
    return x / x.norm(dim=1, keepdim=True)


def gelu(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))


def cross_entropy(targets: Tensor, logits: Tensor) -> float:
    """Mean over the rows of -sum p log q, q the softmax of the logits."""
    total = 0.0
    for target, row in zip(targets.tolist(), logits.tolist(), strict=True):
        largest = max(row)
        sum_of = math.log(sum(math.exp(one - largest) for one in row)) + largest
        total -= sum(p * (one - sum_of) for p, one in zip(target, row, strict=True))
    return total / len(targets)


def one_hot(places: list[int], count: int) -> Tensor:
    return functional.one_hot(torch.tensor(places), count).double()


def sinkhorn(scores: Tensor, epsilon: float, iterations: int) -> Tensor:
    """SwAV's algorithm on the joint distribution: prototypes' shares 1/k, images' shares 1/n."""
    n, k = scores.shape
    q = [[math.exp(scores[i, j].item() / epsilon) for i in range(n)] for j in range(k)]
    total = sum(map(sum, q))
    q = [[one / total for one in row] for row in q]
    for _ in range(iterations):
        q = [[one / sum(row) / k for one in row] for row in q]
        columns = [sum(q[j][i] for j in range(k)) for i in range(n)]
        q = [[q[j][i] / columns[i] / n for i in range(n)] for j in range(k)]
    return torch.tensor(q, dtype=torch.float64).T * n


def swapped(targets: list[Tensor], logits: list[Tensor]) -> float:
    """Mean over all pairs of a large view's targets and another view's logits."""
    losses = [
        cross_entropy(target, other)
        for place, target in enumerate(targets)
        for view, other in enumerate(logits)
        if view != place
    ]
    return sum(losses) / len(losses)


def cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
