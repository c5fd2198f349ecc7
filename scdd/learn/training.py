"""Networks that are trained on learned images while these are learned."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from scdd.jobs.capture import captured
from scdd.learn.gradients import mean_gradient
from scdd.learn.matching import Matching
from scdd.params.learn import Cafe, Dc
from scdd.views.dsa import NUMBERS, STRATEGIES, dsa


@dataclass(frozen=True)
class Epoch:
    """What is drawn for an epoch on n images, on their device: their order, int64 [n]; DSA's
    strategy for each batch (none: no DSA), and numbers for each place in the order, float
    [n, NUMBERS] in [0, 1), of the images' dtype."""

    order: Tensor
    strategies: Sequence[str]
    chances: Tensor


def draw_epochs(
    params: Dc | Cafe, images: Tensor, count: int, draw: torch.Generator
) -> list[Epoch]:
    """The draws of `count` epochs on these images."""
    n, device = len(images), images.device
    batches = -(-n // params.batch_network) if params.dsa else 0
    orders = torch.stack([torch.randperm(n, generator=draw) for _ in range(count)])
    picks = torch.randint(len(STRATEGIES), (count, batches), generator=draw).tolist()
    chances = torch.rand(count, n, NUMBERS, generator=draw)
    parts = orders.to(device, non_blocking=True), picks, chances.to(images, non_blocking=True)
    return [
        Epoch(order, [STRATEGIES[pick] for pick in own], numbers)
        for order, own, numbers in zip(*parts, strict=True)
    ]


class Training:
    """SGD on the images of `learner`, with their labels, without momentum and weight decay. The
    network's weights change in place."""

    def __init__(self, learner: Matching, params: Dc | Cafe) -> None:
        task = learner.task
        self.params, self.most = params, learner.most
        self.weights, self.images = learner.weights, learner.images
        self.labels = learner.classes.repeat_interleave(task.ipc)
        self._step = captured(self._plain_step, task.device, task.compiled)

    def run(self, epoch: Epoch) -> None:
        size = self.params.batch_network
        parts = zip(epoch.order.split(size), epoch.chances.split(size), strict=True)
        for number, (rows, chances) in enumerate(parts):
            self._step(rows, epoch.strategies[number] if epoch.strategies else None, chances)

    def _plain_step(self, rows: Tensor, strategy: str | None, chances: Tensor) -> None:
        images = self.images[rows]
        if strategy is not None:
            images = dsa(images, strategy, chances)
        gradient = mean_gradient(self.weights, images, self.labels[rows], self.most)
        with torch.no_grad():
            torch._foreach_add_(self.weights, gradient, alpha=-self.params.lr_network)
