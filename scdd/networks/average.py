"""A moving average of a network's weights, which is evaluated in their place."""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

T = TypeVar("T")


class Average:
    """The moving average of a network's weights, and what it lends them for an evaluation (EDC,
    arXiv 2404.13733, its code). BatchNorm's running statistics stay the network's own.

    `weights`: the average, float32 tensors in the order of the network's parameters; none without
    an average. share: of the old in it.
    """

    def __init__(self, network: nn.Module, share: float) -> None:
        self._live = [p.detach() for p in network.parameters()] if share else []
        self._share = share
        self.weights = [weight.clone() for weight in self._live]

    def update(self) -> None:
        """Take in the network's weights after a step."""
        if self._live:
            torch._foreach_lerp_(self.weights, self._live, 1 - self._share)

    def load(self, weights: list[Tensor]) -> None:
        if self._live:
            torch._foreach_copy_(self.weights, weights)

    def lent(self, evaluate: Callable[[], T]) -> T:
        """What `evaluate` gives while the network has the average as its weights."""
        if not self._live:
            return evaluate()
        own = [weight.clone() for weight in self._live]
        torch._foreach_copy_(self._live, self.weights)
        found = evaluate()
        torch._foreach_copy_(self._live, own)
        return found
