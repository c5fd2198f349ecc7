"""Train a student and test it: the loop on tensors."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from scdd.artifacts.dataset import DatasetInfo
from scdd.data.batches import batch_count, batch_sizes
from scdd.data.source import Split
from scdd.errors import ScddError
from scdd.evaluate.feeds import Feed
from scdd.evaluate.losses import Criterion
from scdd.jobs.capture import Compiled, captured, captures
from scdd.jobs.curve import Curve
from scdd.jobs.epochs import Epochs, Part
from scdd.jobs.saved import JobState
from scdd.networks.average import Average
from scdd.networks.numbers import TorchNumbers
from scdd.networks.precision import autocast
from scdd.networks.schedules import half_cosine, stepped
from scdd.params.protocol import Student
from scdd.rng import generator
from scdd.views.pixels import normalise

COLUMNS = ("epoch", "lr", "loss", "top1")  # of a history.csv: the first fields of a Row
EVALUATIONS = 20  # points of the accuracy curve
TEST_BATCH = 512
TOP5_CLASSES = 5  # fewer classes have no top-5

Accuracy = tuple[float, float | None]  # top-1 and top-5 in percent; None for too few classes
T = TypeVar("T")


@dataclass(frozen=True)
class Row:
    """One epoch of a history: the mean loss, and accuracies in percent where it was evaluated."""

    epoch: int
    lr: float
    loss: float
    top1: float | None
    top5: float | None


def fit(
    network: nn.Module,
    feed: Feed[T],
    criterion: Criterion[T],
    training: Student,
    evaluate: Callable[[], Accuracy] | None,
    images: int,
    device: torch.device,
    saved: JobState | None = None,
    compiled: Compiled = "none",
) -> list[Row]:
    """Train `network` in place for all epochs, each of so many images; returns the history.

    `evaluate` is called about twenty times, the last time after the last epoch; None: never. The
    network ends with the weights that were evaluated last. saved: where to
    resume from, and where to leave the state. compiled: see `scdd.jobs.capture`; torch.compile
    rounds differently. Raises ScddError, naming the epoch, if the loss is not finite.
    """
    average = Average(network, training.ema)
    optimizer = optimizer_of(network, training)
    rates = Rate(optimizer, device, captures(compiled, device))
    forward = torch.compile(network, dynamic=False) if compiled == "full" else network
    # dropout and stochastic depth draw from torch's own numbers
    torch.manual_seed(generator(training.seed, "dropout").initial_seed())
    watched = evaluation_epochs(training.epochs)
    curve = Curve("validate", COLUMNS, saved)
    total = torch.zeros((), device=device)
    state: dict[str, Part] = {
        "history": curve,
        "network": network,
        "optimizer": optimizer,
        "average": average,
        "total": total,
        "numbers": TorchNumbers(device),
    }
    steps = batch_count(images, training.batch)
    run = Epochs("validate", training.epochs, steps, saved, state)

    def step(inputs: Tensor, targets: T) -> None:
        optimizer.zero_grad(set_to_none=True)
        for part, goal in shares(inputs, targets, training):
            with autocast(device, training.precision):
                outputs = forward(part)
            loss = criterion(outputs.float(), goal)
            (loss / training.passes).backward()
            total.add_(loss.detach() * len(part))
        optimizer.step()
        average.update()

    step = captured(step, device, compiled)
    update_often(network, training.bn_updates)
    network.train()
    for epoch in run:
        rate = learning_rate(training, epoch)
        rates.set(rate)
        if run.skip == 0 and renews(training, epoch):
            renew(optimizer)
        for inputs, targets in run.steps_of(feed(epoch, run.skip)):
            step(inputs, targets)
        mean = total.item() / images  # the epoch's one wait for the device
        if not math.isfinite(mean):
            raise ScddError(
                f"the student's loss is {mean} in epoch {epoch} (lr {rate:.3g}). Lower protocol.lr."
            )
        top1, top5 = None, None
        if evaluate is not None and epoch in watched:
            top1, top5 = average.evaluated(evaluate)
        curve.add(epoch, rate, mean, top1, top5)
        total.zero_()
    average.take_over()
    return [Row(*row) for row in curve.rows]


def shares(inputs: Tensor, targets: T, training: Student) -> Iterator[tuple[Tensor, T]]:
    """A batch in the passes of its step: `batch / passes` images and their targets each, of a
    shorter batch as many as there are."""
    if training.passes == 1:
        yield inputs, targets
        return
    sizes = batch_sizes(len(inputs), training.batch // training.passes)
    leaves, structure = tree_flatten(targets)
    parts = zip(*(leaf.split(sizes) for leaf in leaves), strict=True)
    for part, goal in zip(inputs.split(sizes), parts, strict=True):
        yield part, tree_unflatten(goal, structure)


def update_often(network: nn.Module, times: int) -> None:
    """Let BatchNorm's running statistics go as far in one pass as in `times` of the same batch,
    which is what a second pass without gradients does (RDED, arXiv 2312.03526, its code)."""
    for module in network.modules() if times > 1 else ():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.momentum is not None:
            module.momentum = 1 - (1 - module.momentum) ** times


def learning_rate(training: Student, epoch: int) -> float:
    """lr (1 + cos(pi e / epochs / eta)) / 2 after a linear warm-up, e counted from its end.

    eta 1 ends near 0, eta 2 at half a cosine. Beyond the share `steep_from` of the epochs it is its
    value there times 1 - e / epochs (EDC, arXiv 2404.13733, its code's `cos2`). With milestones it
    is lr, and `milestone_factor` times what it was from each of them on; where they renew the
    optimiser, after the first epoch from each of them on.
    """
    warm = training.warmup_epochs
    if epoch < warm:
        return training.lr * (epoch + 1) / (warm + 1)
    late = training.at_milestones == "renew"
    share = (epoch - late - warm) / (training.epochs - warm)
    if training.milestones is not None:
        return stepped(share, 1.0, training.lr, training.milestones, training.milestone_factor)
    rate = training.lr * half_cosine(min(share, training.steep_from), training.eta)
    return rate * (1 - share) if share > training.steep_from else rate


def renews(training: Student, epoch: int) -> bool:
    """Whether the optimiser starts anew before an epoch."""
    if training.at_milestones != "renew" or epoch <= training.warmup_epochs:
        return False
    return learning_rate(training, epoch) < learning_rate(training, epoch - 1)


def renew(optimizer: torch.optim.Optimizer) -> None:
    """Make it as good as new: with moments and counts of 0, an optimiser's next step is its first.

    In place, because captured steps read its tensors.
    """
    for state in optimizer.state.values():
        for value in state.values():
            if isinstance(value, Tensor):
                value.zero_()


def evaluation_epochs(epochs: int) -> set[int]:
    """About twenty epochs, evenly spaced, with the last one; counted from 0."""
    return {-(-epochs * k // EVALUATIONS) - 1 for k in range(1, EVALUATIONS + 1)}


def optimizer_of(network: nn.Module, training: Student) -> torch.optim.Optimizer:
    """Fused: one call a step in place of several for each of the many small tensors."""
    groups, decay = parameter_groups(network, training), training.weight_decay
    if training.optimizer == "adamw":
        return torch.optim.AdamW(groups, training.lr, weight_decay=decay, fused=True)
    return torch.optim.SGD(
        groups, training.lr, momentum=training.momentum, weight_decay=decay, fused=True
    )


def parameter_groups(network: nn.Module, training: Student) -> list[dict[str, Any]]:
    """The optimiser's groups: all weights in one; or vectors (biases, BatchNorm) in a second one,
    without decay."""
    weights = list(network.parameters())
    if training.decay_vectors:
        return [{"params": weights}]
    return [
        {"params": [weight for weight in weights if weight.ndim > 1]},
        {"params": [weight for weight in weights if weight.ndim <= 1], "weight_decay": 0.0},
    ]


class Rate:
    """The learning rate of an optimiser; a tensor on the device where a captured step reads it."""

    def __init__(
        self, optimizer: torch.optim.Optimizer, device: torch.device, captured: bool
    ) -> None:
        self.optimizer, self.captured = optimizer, captured
        self.tensor = torch.zeros((), device=device)

    def set(self, rate: float) -> None:
        """To be called also after the optimiser has loaded a state, which has its own settings."""
        self.tensor.fill_(rate)
        for group in self.optimizer.param_groups:
            group["lr"] = self.tensor if self.captured else rate
            if "capturable" in group:
                group["capturable"] = self.captured


@torch.inference_mode()
def accuracy(network: nn.Module, split: Split, info: DatasetInfo, device: torch.device) -> Accuracy:
    """Over all images of `split`, in eval mode; leaves the network in training mode."""
    network.eval()
    labels = split.labels.to(device)
    order = torch.arange(len(split))
    order = order if split.pixels is None else order.to(split.pixels.device)
    ranks = [
        network(normalise(images, info)).topk(min(TOP5_CLASSES, len(info.classes))).indices
        == labels[index.to(device, non_blocking=True), None]
        for index, images in split.batches(order, TEST_BATCH, device)
    ]
    network.train()
    hits = torch.cat(ranks).sum(0).tolist()  # by rank
    few = len(info.classes) < TOP5_CLASSES
    return 100 * hits[0] / len(split), None if few else 100 * sum(hits) / len(split)
