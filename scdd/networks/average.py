"""A moving average of a network's weights, which is evaluated in their place.

Not torch's AveragedModel, which has the same weights: it took 1.2 to 3 times as long for each step,
and on a GPU it waits for the device and cannot be captured.
"""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

T = TypeVar("T")


class Average:
    """The moving average of a network's weights (EDC, arXiv 2404.13733, its code). BatchNorm's
    running statistics stay the network's own.

    `weights`: the average, float32 tensors in the order of the network's parameters. share: of the
    old average in the new one, in [0, 1); 0: there is no average, and `weights` is empty.
    """

    def __init__(self, network: nn.Module, share: float) -> None:
        self._live = [p.detach() for p in network.parameters()] if share else []
        self._share = share
        self.weights = [weight.clone() for weight in self._live]

    def update(self) -> None:
        """After a step: average = share * average + (1 - share) * the network's weights."""
        if self._live:
            torch._foreach_lerp_(self.weights, self._live, 1 - self._share)

    def state_dict(self) -> list[Tensor]:
        return self.weights

    def load_state_dict(self, weights: list[Tensor]) -> None:
        if self._live:
            torch._foreach_copy_(self.weights, weights)

    def take_over(self) -> None:
        """Make the average the network's own weights."""
        if self._live:
            torch._foreach_copy_(self._live, self.weights)

    def evaluated(self, evaluate: Callable[[], T]) -> T:
        """The result of `evaluate` with the average in place of the network's own weights."""
        if not self._live:
            return evaluate()
        own = [weight.clone() for weight in self._live]
        self.take_over()
        result = evaluate()
        torch._foreach_copy_(self._live, own)
        return result
