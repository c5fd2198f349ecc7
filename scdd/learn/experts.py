"""Experts: networks trained on the real images, several at once (MTT, arXiv 2203.11932, 3.2).

SGD without momentum at a constant rate, so that the parameters are the whole state of a training.
"""

import math
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call, grad_and_value, vmap

from scdd.errors import ScddError
from scdd.jobs.curve import Curve
from scdd.jobs.epochs import Epochs, Part
from scdd.jobs.rows import Rows
from scdd.jobs.saved import JobState
from scdd.learn.flat import Layout, flatten
from scdd.learn.real import RealImages
from scdd.networks.students import ConvNet, build
from scdd.params.learn import Experts
from scdd.params.network import Network
from scdd.rng import generator
from scdd.views.dsa import draw_dsa, dsa


def start(network: Network, classes: int, resolution: int, seed: int, expert: int) -> Tensor:
    """An expert's parameters before training, float32 [P], drawn from (seed, expert) alone."""
    return flatten(build(network, classes, resolution, generator(seed, "expert", expert)))


class Gradients:
    """Gradients of the mean cross-entropy of several networks, each on a batch of its own.

    together: whether the networks go through in one pass (a GPU is filled by it; a CPU is 1.6 to
    2.7 times as fast one by one). Both are the same arithmetic but for the order of sums.
    """

    def __init__(self, network: ConvNet, together: bool) -> None:
        self.network, self.layout, self.together = network, Layout(network), together
        self.several = vmap(grad_and_value(self._loss))

    def _loss(self, flat: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        logits = functional_call(self.network, self.layout.split(flat), (images,))
        return F.cross_entropy(logits, labels)

    def __call__(self, flat: Tensor, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """flat [E, P], images [E, b, 3, R, R], labels int64 [E, b] -> gradients [E, P] and losses
        [E]."""
        if self.together:
            return self.several(flat, images, labels)
        pairs = [self._alone(*each) for each in zip(flat, images, labels, strict=True)]
        gradients, losses = zip(*pairs, strict=True)
        return torch.stack(gradients), torch.stack(losses)

    def _alone(self, flat: Tensor, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        flat = flat.detach().requires_grad_()
        loss = self._loss(flat, images, labels)
        (gradient,) = torch.autograd.grad(loss, flat)
        return gradient, loss.detach()


def batches(
    real: RealImages, params: Experts, experts: Sequence[int], epoch: int, skip: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches of an epoch but the first `skip`: images [E, b, 3, R, R] and labels int64 [E, b]
    on the device. Each expert has its own order and augmentation, from (seed, expert, epoch)."""
    labels, size, seed = real.split.labels, params.batch, params.seed
    orders = torch.stack(
        [
            torch.randperm(len(labels), generator=generator(seed, "expert order", expert, epoch))
            for expert in experts
        ]
    )
    for number, rows in enumerate(orders.split(size, dim=1)):
        if number < skip:
            continue
        images = real[rows]
        if params.dsa:
            for own, expert in zip(images, experts, strict=True):
                draw = generator(seed, "expert dsa", expert, epoch, number)
                strategy, chances = draw_dsa(len(own), draw)
                own.copy_(dsa(own, strategy, chances.to(own.device, non_blocking=True)))
        yield images, labels[rows].to(images.device, non_blocking=True)


def train(
    network: ConvNet,
    flat: Tensor,
    real: RealImages,
    params: Experts,
    experts: Sequence[int],
    epochs: tuple[int, int],
    together: bool,
    saved: JobState | None = None,
) -> Tensor:
    """The parameters of the experts after each epoch of the half-open range, float32 [epochs, E, P]
    (CPU).

    network: on the device, of which only the architecture is used. flat: float32 [E, P], the
    parameters before the range, which are changed in place. saved: where to resume from, and where
    the state is left. Raises ScddError, naming the epoch, if a loss is not finite.
    """
    gradients = Gradients(network, together)
    rows = Rows(epochs[1] - epochs[0], saved or JobState())
    total = torch.zeros(len(experts), device=flat.device)
    curve = Curve("experts", ("epoch", "lr", "loss"), saved)
    state: dict[str, Part] = {"flat": flat, "rows": rows, "total": total, "curve": curve}
    steps = -(-len(real.split) // params.batch)
    run = Epochs("experts", rows.count, steps, saved, state, rows.new_parts)
    for row in run:
        epoch = epochs[0] + row
        for images, labels in run.steps_of(batches(real, params, experts, epoch, run.skip)):
            gradient, losses = gradients(flat, images, labels)
            flat.sub_(params.lr * gradient)
            total += losses
        mean = total.mean().item() / steps  # the epoch's one wait for the device
        if not math.isfinite(mean):
            raise ScddError(
                f"the experts' loss is not finite in epoch {epoch + 1}. Lower experts.lr "
                f"({params.lr:g})."
            )
        curve.add(epoch + 1, params.lr, mean)
        rows.add({"parameters": flat.cpu()[None]})
        total.zero_()
    return rows.tensors["parameters"]
