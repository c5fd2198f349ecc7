"""The training loop that all squeeze methods share. It waits for the device only at the end of an
epoch, when the losses are read."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from scdd.artifacts.dataset import DatasetInfo
from scdd.data.source import Split
from scdd.errors import ScddError
from scdd.jobs.capture import Compiled, captured
from scdd.jobs.curve import Curve, Row
from scdd.jobs.epochs import Epochs, Part
from scdd.jobs.saved import JobState
from scdd.networks.backbone import Backbone, backbone_state
from scdd.networks.numbers import TorchNumbers
from scdd.networks.precision import autocast
from scdd.networks.schedules import half_cosine, warm_cosine
from scdd.params.base import Precision
from scdd.params.squeeze import Training
from scdd.rng import generator
from scdd.squeeze import knn, processes
from scdd.squeeze.optimizers import optimizer
from scdd.squeeze.views import Crop, batches

COLUMNS = ("epoch", "lr", "loss", "knn")


@dataclass(frozen=True)
class Now:
    """Where the training is: the steps taken so far, of how many."""

    step: int
    per_epoch: int
    epochs: int

    @property
    def epoch(self) -> int:
        """From 0."""
        return self.step // self.per_epoch

    @property
    def steps(self) -> int:
        return self.per_epoch * self.epochs

    def cosine(self, start: float, end: float) -> float:
        """From `start` at step 0 by half a cosine to `end` at the last."""
        return end + (start - end) * half_cosine(self.step, self.steps)


class Method(nn.Module, ABC):
    """What a method adds to the loop. Its parameters that require gradients are trained.

    views: how many views of the whole resolution `loss` takes; smaller ones come after them.
    decay_vectors: whether the weight decay is for biases and BatchNorm weights too. channels_last:
    the memory format in which its convolutions run on a GPU.
    """

    views = 1
    decay_vectors = True
    channels_last = True

    @abstractmethod
    def loss(self, views: list[Tensor], labels: Tensor, now: Now) -> Tensor:
        """Scalar loss of normalised views, each float32 [b, 3, R, R], and labels int64 [b].

        It may be captured (see `scdd.jobs.capture`): it must change tensors in place, and all
        else that it reads must be the same in steps with the same `phase`.
        """

    def phase(self, now: Now) -> Now:
        """The first of all steps whose loss is computed in the same way as this one's."""
        return replace(now, step=0)

    def after_backward(self, now: Now) -> None:
        """Called before each optimiser step, to change or remove gradients."""

    def after_step(self, now: Now) -> None:
        """Called after each optimiser step, e.g. for a momentum encoder. now: before the step."""


class Diverged(ScddError):
    """The loss or a weight is not finite after an epoch; `state` is the last good backbone's."""

    def __init__(self, epoch: int, params: Training, state: dict[str, Tensor]) -> None:
        super().__init__(
            f"the loss is not finite in epoch {epoch} of {params.epochs}: lower squeeze.lr "
            f"({params.lr})."
        )
        self.epoch, self.state = epoch, state


def steps_an_epoch(split: Split, params: Training) -> int:
    """Full batches in an epoch. Raises ScddError if there is none, or the processes cannot share a
    batch evenly."""
    if len(split) < params.batch:
        raise ScddError(
            f"batch {params.batch} is larger than the training set ({len(split)} images)."
        )
    if params.batch % processes.count():
        raise ScddError(
            f"squeeze.batch: {params.batch} images cannot be shared evenly by "
            f"{processes.count()} processes."
        )
    return len(split) // params.batch


# of views, labels and phase: the loss, a scalar, and the gradients of the trained weights
Slope = Callable[[list[Tensor], Tensor, Now], tuple[Tensor, list[Tensor | None]]]


def trained(method: Method) -> list[nn.Parameter]:
    """The weights that the optimiser changes."""
    return [weight for weight in method.parameters() if weight.requires_grad]


def slope_of(
    method: Method, precision: Precision, device: torch.device, compiled: Compiled = "none"
) -> Slope:
    """The forward and the backward pass of a step. It is not captured if there are several
    processes, since they exchange tensors within the loss."""
    weights = trained(method)
    loss_of = torch.compile(method.loss, dynamic=False) if compiled == "full" else method.loss

    def slope(views: list[Tensor], labels: Tensor, now: Now) -> tuple[Tensor, list[Tensor | None]]:
        with autocast(device, precision):
            loss = loss_of(views, labels, now)
        for weight in weights:
            weight.grad = None
        loss.backward()
        return loss.detach(), [weight.grad for weight in weights]

    return captured(slope, device, compiled if processes.count() == 1 else "none")


def take_step(
    method: Method,
    optimize: torch.optim.Optimizer,
    slope: Slope,
    views: list[Tensor],
    labels: Tensor,
    now: Now,
) -> Tensor:
    """One step on this process's share of a batch; returns its loss before it, a scalar."""
    loss, gradients = slope(views, labels, method.phase(now))
    for weight, gradient in zip(trained(method), gradients, strict=True):
        weight.grad = gradient
    processes.average([gradient for gradient in gradients if gradient is not None])
    method.after_backward(now)
    optimize.step()
    method.after_step(now)
    # what each process saw of the batch makes the running statistics of BatchNorm
    seen = [
        b for name, b in method.named_buffers() if name.endswith(("running_mean", "running_var"))
    ]
    processes.average([*seen, loss])
    return loss


def knn_accuracy(
    network: Backbone, split: Split, info: DatasetInfo, params: Training, epoch: int
) -> float | None:
    """The k-NN accuracy in percent after `epoch`, from 0; None if it is not due."""
    done = epoch + 1
    if not params.knn_every or (done % params.knn_every and done < params.epochs):
        return None
    if processes.rank() > 0:  # the first is waited for
        return None
    return knn.accuracy(network, split, info, next(network.parameters()).device)


def train(
    method: Method,
    network: Backbone,
    split: Split,
    info: DatasetInfo,
    params: Training,
    crops: tuple[Crop, ...],
    device: torch.device,
    saved: JobState | None = None,
    compiled: Compiled = "none",
) -> list[Row]:
    """Train `method`, of which `network` is a part, in place on the device.

    Returns for each epoch a row of COLUMNS: the epoch from 1, its first learning rate, mean loss,
    k-NN accuracy or None. crops: how each of the views is made. A last batch that is not full is
    dropped. saved: where to resume from, and where to leave the state. compiled: see
    `scdd.jobs.capture`; torch.compile rounds differently. Raises Diverged, and ScddError as
    `steps_an_epoch` does.
    """
    if processes.count() > 1:
        saved = processes.SharedState(saved or JobState())
    per_epoch = steps_an_epoch(split, params)
    steps, warmup = params.epochs * per_epoch, params.warmup_epochs * per_epoch
    split = split.to(device)
    method.to(device).train()
    memory_format = torch.contiguous_format
    if device.type == "cuda" and method.channels_last:
        memory_format = torch.channels_last
        method.to(memory_format=memory_format)
    optimize = optimizer(
        params.optimizer,
        method,
        params.lr,
        params.momentum,
        params.weight_decay,
        method.decay_vectors,
    )
    # dropout and stochastic depth draw from torch's own numbers
    torch.manual_seed(generator(params.seed, "dropout", processes.rank()).initial_seed())
    slope = slope_of(method, params.precision, device, compiled)
    losses = torch.zeros(per_epoch, device=device)
    curve = Curve("squeeze", COLUMNS, saved)
    last_good = {key: tensor.clone() for key, tensor in backbone_state(network).items()}
    state: dict[str, Part] = {
        "history": curve,
        "method": method,
        "optimizer": optimize,
        "losses": losses,
        "good": last_good,
        "numbers": TorchNumbers(device),
    }

    def rate(step: int) -> float:
        return warm_cosine(step, steps, warmup, params.lr, params.final_lr)

    run = Epochs("squeeze", params.epochs, per_epoch, saved, state)
    for epoch in run:
        left = batches(crops, params.batch, params.seed, split, info, epoch, run.skip, device)
        for views, labels in run.steps_of(left):
            for group in optimize.param_groups:
                group["lr"] = rate(run.done)
            own = [view.to(memory_format=memory_format) for view in views]
            now = Now(run.done, per_epoch, params.epochs)
            losses[run.skip] = take_step(method, optimize, slope, own, labels, now)
        weights = backbone_state(network)
        sums = torch.stack([losses.sum(), *(tensor.sum() for tensor in weights.values())])
        if not bool(sums.isfinite().all()):
            raise Diverged(epoch + 1, params, last_good)
        accuracy = knn_accuracy(network, split, info, params, epoch)
        curve.add(epoch + 1, rate(epoch * per_epoch), losses.mean().item(), accuracy)
        for key, tensor in weights.items():
            last_good[key].copy_(tensor)
    return curve.rows
