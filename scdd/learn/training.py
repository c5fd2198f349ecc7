"""Networks that are trained on learned images while these are learned."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from scdd.jobs.capture import Compiled, captured
from scdd.learn.features import Weights
from scdd.learn.gradients import mean_gradient
from scdd.views.dsa import NUMBERS, STRATEGIES, dsa


@dataclass(frozen=True)
class Epoch:
    """What is drawn for an epoch on n images: their order, int64 [n]; DSA's strategy for each batch
    (none: no DSA), and numbers for each place in the order, float [n, NUMBERS] in [0, 1)."""

    order: Tensor
    strategies: Sequence[str]
    chances: Tensor


def draw_epochs(
    count: int, images: Tensor, batch: int, augmented: bool, draw: torch.Generator
) -> list[Epoch]:
    """The draws of `count` epochs on these images, on their device and with their dtype."""
    n = len(images)
    batches = -(-n // batch) if augmented else 0
    orders = torch.stack([torch.randperm(n, generator=draw) for _ in range(count)])
    picks = torch.randint(len(STRATEGIES), (count, batches), generator=draw).tolist()
    chances = torch.rand(count, n, NUMBERS, generator=draw)
    return [
        Epoch(order, [STRATEGIES[pick] for pick in own], numbers)
        for order, own, numbers in zip(
            orders.to(images.device, non_blocking=True),
            picks,
            chances.to(images, non_blocking=True),
            strict=True,
        )
    ]


class Training:
    """SGD on images float [n, 3, R, R] with labels int64 [n], without momentum and weight decay.
    `weights` change in place.

    batch: images a step; most: images a pass, which changes nothing but the order of sums.
    """

    def __init__(
        self,
        weights: Weights,
        images: Tensor,
        labels: Tensor,
        *,
        lr: float,
        batch: int,
        most: int,
        compiled: Compiled,
    ) -> None:
        self.weights, self.images, self.labels = weights, images, labels
        self.lr, self.batch, self.most = lr, batch, most
        self._step = captured(self._plain_step, images.device, compiled)

    def epoch(self, draws: Epoch) -> None:
        parts = zip(draws.order.split(self.batch), draws.chances.split(self.batch), strict=True)
        for number, (rows, chances) in enumerate(parts):
            self._step(rows, draws.strategies[number] if draws.strategies else None, chances)

    def _plain_step(self, rows: Tensor, strategy: str | None, chances: Tensor) -> None:
        images = self.images[rows]
        if strategy is not None:
            images = dsa(images, strategy, chances)
        gradient = mean_gradient(self.weights, images, self.labels[rows], self.most)
        with torch.no_grad():
            torch._foreach_add_(self.weights, gradient, alpha=-self.lr)
