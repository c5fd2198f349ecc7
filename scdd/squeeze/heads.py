"""The heads on a backbone while it is squeezed, and the momentum copies of both."""

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from scdd.networks.backbone import Backbone
from scdd.networks.resnet import initialise

M = TypeVar("M", bound=nn.Module)


class Encoder(nn.Module):
    """A backbone and a head: images float [n, 3, R, R] to the head's outputs [n, dim]."""

    def __init__(self, network: Backbone, head: nn.Module, draw: torch.Generator) -> None:
        super().__init__()
        self.network, self.head = network, head
        initialise(head, draw)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.network.features(images))

    def multi(self, views: list[Tensor]) -> Tensor:
        """Outputs float [views * n, dim] of views of several sizes, in their order: the backbone
        sees all views of one size together, the head all views (SwAV and DINO)."""
        sizes = [view.shape[-1] for view in views]
        alike = [[v for v in views if v.shape[-1] == size] for size in dict.fromkeys(sizes)]
        return self.head(torch.cat([self.network.features(torch.cat(some)) for some in alike]))


def unit(vectors: Tensor) -> Tensor:
    """The rows of float `vectors` [n, dim], scaled to length 1, in float32."""
    return functional.normalize(vectors.float(), dim=1)


def momentum_copy(module: M) -> M:
    """A copy without gradients, which `follow` moves."""
    return copy.deepcopy(module).requires_grad_(False)


@torch.no_grad()
def follow(slow: nn.Module, fast: nn.Module, momentum: float) -> None:
    """slow = momentum * slow + (1 - momentum) * fast, weight by weight."""
    slow_weights: list[Tensor] = list(slow.parameters())
    fast_weights: list[Tensor] = list(fast.parameters())
    torch._foreach_lerp_(slow_weights, fast_weights, 1 - momentum)
