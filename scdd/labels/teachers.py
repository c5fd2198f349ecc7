"""The teacher that labels: several networks as one, logits of some classes alone, and BatchNorm by
groups of images."""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# of n images in a pass: how many each group of them has, one after the other; their sum is n
Groups = Callable[[int], Sequence[int]]


class Together(nn.Module):
    """The weighted sum of several networks' logits, in float32 also under autocast.

    weights: of each network; None: all are equal, which gives the mean.
    """

    weights: Tensor | None

    def __init__(self, networks: Sequence[nn.Module], weights: Sequence[float] | None) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        by_network = None if weights is None else torch.tensor(weights)[:, None, None]
        self.register_buffer("weights", by_network, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        logits = torch.stack([network(x).float() for network in self.networks])
        return logits.mean(0) if self.weights is None else (self.weights * logits).sum(0)


class OfClasses(nn.Module):
    """The logits of some of a network's classes, by their indices, in this order."""

    index: Tensor

    def __init__(self, network: nn.Module, classes: Sequence[int]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("index", torch.tensor(classes), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.network(x)
        return logits[:, self.index]


def vote_weights(priors: Sequence[float], temperature: float) -> list[float]:
    """softmax(priors / temperature): CV-DD's weights of its networks (arXiv 2501.07575)."""
    most = max(priors)
    shares = [math.exp((prior - most) / temperature) for prior in priors]
    return [share / sum(shares) for share in shares]


def equal_parts(n: int, count: int) -> list[int]:
    """The sizes of `count` parts of n images that are as equal as can be, those of BSSL's code:
    halves of 7 have 3 and 4."""
    return [n * (part + 1) // count - n * part // count for part in range(count)]


class GroupedBatchNorm(nn.Module):
    """A BatchNorm layer that normalises each group of images by the group's own statistics, in
    training and eval mode, and keeps none. All groups go through the other layers together."""

    def __init__(self, layer: nn.modules.batchnorm._BatchNorm, groups: Groups) -> None:
        super().__init__()
        self.weight, self.bias, self.eps, self.groups = layer.weight, layer.bias, layer.eps, groups

    def forward(self, x: Tensor) -> Tensor:
        parts = x.split(list(self.groups(len(x))))
        normal = [
            F.batch_norm(part, None, None, self.weight, self.bias, training=True, eps=self.eps)
            for part in parts
        ]
        return torch.cat(normal) if len(normal) > 1 else normal[0]


def use_batch_statistics(network: nn.Module, groups: Groups) -> None:
    """Replace every BatchNorm of `network` by one with the statistics of groups of images.

    Released programs instead leave the teacher in training mode and pass the groups one after the
    other. Its running statistics then drift, but nothing reads them, so the labels are the same.
    """
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.modules.batchnorm._BatchNorm):
                setattr(parent, name, GroupedBatchNorm(child, groups))
