"""The training loop that all squeeze methods share. Nothing in it waits for the device but the
end of an epoch, when the losses are read."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from scdd.artifacts.dataset import DatasetInfo
from scdd.artifacts.saved import Snapshot, Unsaved
from scdd.data.augment import Jitter, colour, draw_factors, draw_order
from scdd.data.geometry import View, crop_resize, draw_views
from scdd.data.source import Split
from scdd.errors import ScddError
from scdd.models import ResNet, backbone_state
from scdd.progress import Progress
from scdd.rng import generator


class Method(nn.Module, ABC):
    """What a method adds to the loop. Its parameters that require gradients are trained.

    views: augmented views of each image that `loss` takes. channels_last: the memory format in
    which its convolutions run on a GPU.
    """

    views = 1
    channels_last = True

    @abstractmethod
    def loss(self, views: list[Tensor], labels: Tensor) -> Tensor:
        """Scalar loss of normalised views, each float32 [b, 3, R, R], and labels int64 [b]."""

    def after_step(self) -> None:
        """Called after each optimiser step, e.g. for a momentum encoder."""


@dataclass(frozen=True)
class Recipe:
    """How to train: SGD with momentum, linear warm-up, cosine to 0; views are random."""

    epochs: int
    batch: int
    lr: float
    momentum: float
    weight_decay: float
    warmup_epochs: float
    seed: int
    precision: str
    view: View
    jitter: Jitter


def recipe_of(params: dict[str, Any]) -> Recipe:
    """From a frozen config's parameters."""
    names = ("epochs", "batch", "lr", "momentum", "weight_decay", "warmup_epochs", "seed")
    return Recipe(
        **{name: params[name] for name in names},
        precision=params["precision"],
        view=View.of(params["view"]),
        jitter=Jitter(tuple(params["jitter"]), params["jitter_p"], params["grey_p"]),
    )


class Diverged(Exception):
    """The loss or a weight is not finite after `epoch`; `state` is the last good backbone's."""

    def __init__(self, epoch: int, state: dict[str, Tensor]) -> None:
        super().__init__(f"epoch {epoch}")
        self.epoch, self.state = epoch, state


def learning_rate(step: int, steps: int, warmup: int, peak: float) -> float:
    """Of step 0 ≤ `step` < `steps`: linear over `warmup` steps, then cosine towards 0."""
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))


@dataclass(frozen=True)
class Draws:
    """One view's random numbers for the images of an epoch, in their order, on the device."""

    boxes: Tensor
    flips: Tensor
    factors: Tensor

    @classmethod
    def make(
        cls, recipe: Recipe, n: int, resolution: int, draw: torch.Generator, device: torch.device
    ) -> "Draws":
        boxes, flips = draw_views(recipe.view, n, resolution, draw)
        factors = draw_factors(recipe.jitter, n, draw)
        return cls(boxes.to(device), flips.to(device), factors.to(device))

    def apply(self, images: Tensor, rows: slice, order: list[int]) -> Tensor:
        """Views in [0, 1] of float `images` in [0, 1], which are the epoch's `rows`."""
        cropped = crop_resize(images, self.boxes[rows], images.shape[-1], self.flips[rows])
        return colour(cropped, self.factors[rows], order)


def view_batches(
    recipe: Recipe,
    count: int,
    split: Split,
    info: DatasetInfo,
    epoch: int,
    skip: int,
    device: torch.device,
) -> Iterator[tuple[list[Tensor], Tensor]]:
    """An epoch's full batches but the first `skip`: `count` normalised views of each, and labels.

    The numbers of an epoch come from (seed, epoch): after a break they are drawn again.
    """
    size = recipe.batch
    draw = generator(recipe.seed, "squeeze", epoch)
    order = torch.randperm(len(split), generator=draw)[: len(split) // size * size]
    draws = [Draws.make(recipe, len(order), info.resolution, draw, device) for _ in range(count)]
    for _ in range(skip * count):
        draw_order(recipe.jitter, draw)
    labels = split.labels[order].to(device)
    mean, std = torch.tensor([info.mean, info.std], device=device)[:, :, None, None]
    # pixels on the device are indexed there, files on the CPU
    where = order if split.pixels is None else order.to(device)
    for step, (_, images) in enumerate(split.batches(where[skip * size :], size, device), skip):
        rows = slice(step * size, (step + 1) * size)
        pixels = images.float() / 255
        views = [one.apply(pixels, rows, draw_order(recipe.jitter, draw)) for one in draws]
        yield [(view - mean) / std for view in views], labels[rows]


def train(
    method: Method,
    network: ResNet,
    split: Split,
    info: DatasetInfo,
    recipe: Recipe,
    device: torch.device,
    saved: Unsaved | None = None,
) -> list[tuple[int, float, float]]:
    """Train `method`, of which `network` is a part, in place on the device.

    Returns (epoch from 1, its first learning rate, mean loss) of each epoch. A last batch that is
    not full is dropped. saved: where to go on from, and where to leave the state. Raises Diverged,
    and ScddError where the split has not one full batch.
    """
    saved = saved or Unsaved()
    per_epoch = len(split) // recipe.batch
    if per_epoch == 0:
        raise ScddError(
            f"batch {recipe.batch} is larger than the training set ({len(split)} images)."
        )
    steps, warmup = recipe.epochs * per_epoch, round(recipe.warmup_epochs * per_epoch)
    split = split.to(device)
    method.to(device).train()
    memory_format = torch.contiguous_format
    if device.type == "cuda" and method.channels_last:
        memory_format = torch.channels_last
        method.to(memory_format=memory_format)
    weights = [weight for weight in method.parameters() if weight.requires_grad]
    optimizer = torch.optim.SGD(
        weights,
        lr=recipe.lr,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        fused=True,
    )
    half = recipe.precision == "bf16"
    losses = torch.zeros(per_epoch, device=device)
    history: list[tuple[int, float, float]] = []
    good = {key: tensor.clone() for key, tensor in backbone_state(network).items()}
    done = 0
    if saved.content is not None:
        done, history = saved.content["done"], saved.content["history"]
        method.load_state_dict(saved.content["method"])
        optimizer.load_state_dict(saved.content["optimizer"])
        losses.copy_(saved.content["losses"])
        for key, tensor in good.items():
            tensor.copy_(saved.content["good"][key])

    def snapshot() -> Snapshot:
        return Snapshot(
            {
                "done": done,
                "history": history,
                "method": method.state_dict(),
                "optimizer": optimizer.state_dict(),
                "losses": losses,
                "good": good,
            }
        )

    with Progress("squeeze", steps, done) as progress:
        for epoch in range(done // per_epoch, recipe.epochs):
            skip = done - epoch * per_epoch
            batches = view_batches(recipe, method.views, split, info, epoch, skip, device)
            for step, (views, labels) in enumerate(batches, skip):
                optimizer.param_groups[0]["lr"] = learning_rate(done, steps, warmup, recipe.lr)
                with torch.autocast(device.type, torch.bfloat16, enabled=half):
                    loss = method.loss([v.to(memory_format=memory_format) for v in views], labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                method.after_step()
                losses[step] = loss.detach()
                done += 1
                progress.advance()
                if step + 1 < per_epoch:
                    saved.offer(done, snapshot)
            state = backbone_state(network)
            sums = torch.stack([losses.sum(), *(tensor.sum() for tensor in state.values())])
            if not bool(sums.isfinite().all()):
                raise Diverged(epoch + 1, good)
            first = learning_rate(epoch * per_epoch, steps, warmup, recipe.lr)
            history.append((epoch + 1, first, losses.mean().item()))
            for key, tensor in state.items():
                good[key].copy_(tensor)
            saved.offer(done, snapshot)
    return history
