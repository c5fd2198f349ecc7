"""Recovery: the method on tensors (SC-DD, arXiv 2404.07976, section 3; SRe2L's recovery).

L = CE(f(T(x)), y) + tv_l2 * TV(T(x)) + l2_scale * L2(T(x))
    + r_bn * sum_l w_l * (||running_var_l - var_l||_2 + ||running_mean_l - mean_l||_2)

The batch is one image of each of many classes, and its statistics are the batch's: batch
composition is part of the method. A unit, (class block, slot), is one such batch.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scdd import rng
from scdd.artifacts.saved import Snapshot, Unsaved
from scdd.data.geometry import crop_resize, resized_crop_boxes
from scdd.errors import ScddError
from scdd.progress import Progress

CHECK_EVERY = 100  # iterations between looks at the losses


@dataclass(frozen=True)
class Settings:
    """lr and betas are Adam's; the learning rate falls to 0 on a cosine, without warm-up.

    jitter: largest shift in pixels; crop: range of a RandomResizedCrop's share of the area, or
    None; flip: mirror half of the views; precision: 'float32' or 'bf16' (autocast).
    """

    iterations: int
    lr: float
    betas: tuple[float, float]
    r_bn: float
    first_bn_multiplier: float
    tv_l2: float
    l2_scale: float
    jitter: int
    crop: tuple[float, float] | None
    flip: bool
    precision: str


def settings_of(params: Mapping[str, Any]) -> Settings:
    """From a frozen config's parameters, of which r_bn must be a number."""
    values = {field.name: params[field.name] for field in fields(Settings)}
    values["betas"] = tuple(values["betas"])
    values["crop"] = None if values["crop"] is None else tuple(values["crop"])
    return Settings(**values)


@dataclass(frozen=True)
class Unit:
    """All that is random in one (block, slot), on the CPU; one view an iteration, T iterations.

    start: float32 [classes, 3, R, R] noise; shifts: int64 [T, 2], down and right; flips: bool [T];
    boxes: int64 [T, 4] crops, None without.
    """

    block: int
    slot: int
    start: Tensor
    shifts: Tensor
    flips: Tensor
    boxes: Tensor | None


def draw_unit(
    settings: Settings, classes: int, resolution: int, *, seed: int, block: int, slot: int
) -> Unit:
    """A unit's numbers come from (seed, block, slot) alone, whoever recovers it with what else."""
    draw = rng.generator(seed, "recover", block, slot)
    steps = settings.iterations
    start = torch.randn(classes, 3, resolution, resolution, generator=draw)
    shifts = torch.randint(0, settings.jitter + 1, (steps, 2), generator=draw)
    flips = (torch.rand(steps, generator=draw) < 0.5) & settings.flip
    boxes = None
    if settings.crop is not None:
        boxes = resized_crop_boxes(steps, resolution, settings.crop, draw)
    return Unit(block, slot, start, shifts, flips, boxes)


class Views:
    """A unit's view of its images at each iteration, the same for all of them."""

    def __init__(self, unit: Unit, device: torch.device) -> None:
        self.boxes = None if unit.boxes is None else unit.boxes.to(device)
        self.flips, self.shifts = unit.flips.tolist(), unit.shifts.tolist()

    def of(self, images: Tensor, step: int) -> Tensor:
        """images: float32 [classes, 3, R, R] on the device; differentiable."""
        if self.boxes is not None:
            images = crop_resize(images, self.boxes[step : step + 1], images.shape[-1])
        if self.flips[step]:
            images = images.flip(3)
        return images.roll(self.shifts[step], dims=(2, 3))


class BatchNormLoss:
    """Distance of a batch's statistics from a network's running ones, gathered in its forward.

    Sum over BatchNorm2d layers, in module order, of w (||running_var - var||_2 + ||running_mean -
    mean||_2), of the layer's input over (N, H, W), biased variance, in float32; w is
    `first_multiplier` for the first layer and 1 for the others. Raises ScddError where the network
    has no such layer. Hooks stay until the `with` block ends.
    """

    def __init__(self, network: nn.Module, first_multiplier: float) -> None:
        layers = [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
        if not layers or any(layer.running_var is None for layer in layers):
            raise ScddError(
                "the teacher has no BatchNorm2d layers with running statistics, which recovery "
                "matches. Choose another architecture."
            )
        self.terms: list[Tensor] = []
        self.hooks = [
            layer.register_forward_pre_hook(self._hook(first_multiplier if i == 0 else 1.0))
            for i, layer in enumerate(layers)
        ]

    def _hook(self, weight: float) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def gather(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            var, mean = torch.var_mean(inputs[0].float(), dim=(0, 2, 3), correction=0)
            off_var = torch.linalg.vector_norm(layer.running_var - var)
            off_mean = torch.linalg.vector_norm(layer.running_mean - mean)
            self.terms.append(weight * (off_var + off_mean))

        return gather

    def take(self) -> Tensor:
        """The loss of the forward pass since the last call, a scalar."""
        terms, self.terms = self.terms, []
        return torch.stack(terms).sum()

    def __enter__(self) -> "BatchNormLoss":
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self.hooks:
            hook.remove()


def total_variation(images: Tensor) -> Tensor:
    """DeepInversion's prior: L2 norms, over the batch, of the differences to four neighbours."""
    differences = (
        images[..., :, :-1] - images[..., :, 1:],
        images[..., :-1, :] - images[..., 1:, :],
        images[..., 1:, :-1] - images[..., :-1, 1:],
        images[..., :-1, :-1] - images[..., 1:, 1:],
    )
    return torch.stack([torch.linalg.vector_norm(part) for part in differences]).sum()


def objective(
    network: nn.Module, bn: BatchNormLoss, views: Tensor, labels: Tensor, settings: Settings
) -> Tensor:
    """Loss, cross-entropy and BN term before r_bn, float32 [3], of views float32 [n, 3, R, R]."""
    bf16 = settings.precision == "bf16"
    with torch.autocast(views.device.type, torch.bfloat16, enabled=bf16):
        logits = network(views)
    cross_entropy, distance = F.cross_entropy(logits.float(), labels), bn.take()
    loss = cross_entropy + settings.r_bn * distance
    if settings.tv_l2:
        loss = loss + settings.tv_l2 * total_variation(views)
    if settings.l2_scale:
        loss = loss + settings.l2_scale * views.flatten(1).norm(dim=1).mean()
    return torch.stack([loss, cross_entropy, distance])


def learning_rate(settings: Settings, step: int) -> float:
    return 0.5 * settings.lr * (1 + math.cos(math.pi * step / settings.iterations))


def recover_unit(
    network: nn.Module,
    labels: Tensor,
    unit: Unit,
    settings: Settings,
    valid: tuple[Tensor, Tensor],
    *,
    start: Mapping[str, Any] | None = None,
    after_step: Callable[[Callable[[], dict[str, Any]]], None] | None = None,
) -> tuple[Tensor, Tensor]:
    """The last iterate, normalised float32 [classes, 3, R, R], and its losses float32 [T, 3].

    labels: int64 [classes] on the device where network and valid are; valid: lower and upper end
    of the pixels, normalised, [3, 1, 1]; losses: as `objective` gives them, before each step.
    after_step: called after each step with a function that makes the unit's state; start: such a
    state, to go on from. The network is set to eval mode and frozen. Nothing waits for the device
    but a look at the losses now and then: one that is not finite is an ScddError naming unit and
    iteration.
    """
    network.eval().requires_grad_(False)
    images = unit.start.to(labels.device, copy=True).requires_grad_()
    views = Views(unit, labels.device)
    adam = torch.optim.Adam([images], settings.lr, settings.betas, eps=1e-8)
    losses = torch.zeros(settings.iterations, 3, device=labels.device)
    done = 0
    if start is not None:
        done = start["done"]
        with torch.no_grad():
            images.copy_(start["images"])
        adam.load_state_dict(start["adam"])
        losses.copy_(start["losses"])

    def state() -> dict[str, Any]:
        held = {"images": images.detach(), "adam": adam.state_dict(), "losses": losses}
        return {"done": done, **held}

    with BatchNormLoss(network, settings.first_bn_multiplier) as bn:
        for step in range(done, settings.iterations):
            parts = objective(network, bn, views.of(images, step), labels, settings)
            losses[step] = parts.detach()
            (images.grad,) = torch.autograd.grad(parts[0], images)
            adam.param_groups[0]["lr"] = learning_rate(settings, step)
            adam.step()
            with torch.no_grad():
                images.clamp_(*valid)
            done = step + 1
            if done % CHECK_EVERY == 0 or done == settings.iterations:
                _require_finite(unit, images, losses[:done])
            if after_step is not None:
                after_step(state)
    return images.detach(), losses


def _require_finite(unit: Unit, images: Tensor, losses: Tensor) -> None:
    fine = losses.isfinite().all(1)
    if bool(fine.all()) and bool(images.isfinite().all()):
        return
    first = len(losses) if bool(fine.all()) else int(fine.long().argmin())
    raise ScddError(
        f"recovery of block {unit.block}, slot {unit.slot} is not finite from iteration {first} "
        "on. Lower recover.lr or recover.r_bn, or use precision float32."
    )


def recover_units(
    network: nn.Module,
    labels: Tensor,
    draw: Callable[[int], Unit],
    slots: Sequence[int],
    settings: Settings,
    valid: tuple[Tensor, Tensor],
    *,
    what: str = "recover",
    saved: Unsaved | None = None,
) -> tuple[Tensor, Tensor]:
    """Images float32 [slots, classes, 3, R, R] and losses float32 [slots, T, 3], on the CPU.

    One unit a pass; `draw` gives the unit of a slot. saved: where to go on from, and where to leave
    the state. Other arguments and errors are `recover_unit`'s.
    """
    saved = saved or Unsaved()
    finished: list[tuple[Tensor, Tensor]] = []
    start = None
    if saved.content is not None:
        finished = [saved.part(f"unit_{i}") for i in range(saved.content["units"])]
        start = saved.content["unit"]
    kept = len(finished)
    done = kept * settings.iterations + (start["done"] if start else 0)

    def snapshot(unit: dict[str, Any] | None) -> Snapshot:
        nonlocal kept
        new = {f"unit_{i}": finished[i] for i in range(kept, len(finished))}
        kept = len(finished)
        return Snapshot({"units": kept, "unit": unit}, new)

    with Progress(what, len(slots) * settings.iterations, done) as progress:

        def after_step(state: Callable[[], dict[str, Any]]) -> None:
            nonlocal done
            done += 1
            progress.advance()
            saved.offer(done, lambda: snapshot(state()))

        for slot in slots[len(finished) :]:
            images, losses = recover_unit(
                network, labels, draw(slot), settings, valid, start=start, after_step=after_step
            )
            finished.append((images.cpu(), losses.cpu()))
            start = None
    images, losses = zip(*finished, strict=True)
    return torch.stack(images), torch.stack(losses)
