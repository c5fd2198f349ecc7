"""The loss of a recovery (SC-DD, arXiv 2404.07976, section 3; SRe2L's recovery).

L = CE(f(T(x)), y) + tv_l2 * TV(T(x)) + l2_scale * L2(T(x))
    + r_bn * sum_l w_l * (||running_var_l - var_l||_2 + ||running_mean_l - mean_l||_2)

Several units go through the network together, each with the statistics of its own images.
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scdd.errors import ScddError
from scdd.params.recover import Recover
from scdd.recover.units import Statistics


def frozen(network: nn.Module, precision: str) -> nn.Module:
    """The network in eval mode, without gradients, channels_last (faster on CPUs too); for bf16 a
    copy of it whose convolutions and linear layers have been cast, which autocast would do again in
    every pass."""
    network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
    if precision != "bf16":
        return network
    network = copy.deepcopy(network)
    for part in network.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            part.to(torch.bfloat16)
    return network


def statistics(x: Tensor, units: int) -> tuple[Tensor, Tensor]:
    """Mean and biased variance, float32 [units, channels], of each unit's share of
    x [units * n, channels, H, W]: one pass over x, no copy, whatever its type."""
    nothing = x.new_zeros(x.shape[1], dtype=torch.float32)  # to make the results float32
    by_unit = [torch.batch_norm_update_stats(own, nothing, nothing, 0.0) for own in x.chunk(units)]
    means, variances = zip(*by_unit, strict=True)
    return torch.stack(means), torch.stack(variances)


def running_statistics(layer: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Mean and variance, [channels] each, of a layer that has them."""
    assert layer.running_mean is not None and layer.running_var is not None
    return layer.running_mean, layer.running_var


class _Matched(torch.autograd.Function):
    """A frozen BatchNorm layer and the statistics of its input. The gradient of both with respect
    to the input is two element-wise kernels."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, layer: nn.BatchNorm2d, units: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        normal = F.batch_norm(
            x, layer.running_mean, layer.running_var, layer.weight, layer.bias, eps=layer.eps
        )
        mean, variance = statistics(x, units)
        ctx.save_for_backward(x, mean)
        ctx.layer = layer
        return normal, mean, variance

    @staticmethod
    def backward(
        ctx: Any, of_normal: Tensor, of_mean: Tensor, of_variance: Tensor
    ) -> tuple[Tensor, None, None]:
        x, mean = ctx.saved_tensors
        layer: nn.BatchNorm2d = ctx.layer
        by_unit = x.view(len(mean), -1, *x.shape[1:])
        count = by_unit[0, :, 0].numel()
        # d/dx of the statistics: (of_mean + 2 of_variance (x - mean)) / count
        slope = 2 / count * of_variance
        level = of_mean / count - slope * mean
        slope, level = (t[:, None, :, None, None].to(x.dtype) for t in (slope, level))
        scale = torch.rsqrt(running_statistics(layer)[1] + layer.eps)
        scale = scale if layer.weight is None else scale * layer.weight
        gradient = torch.addcmul(level, by_unit, slope).view_as(x)
        return gradient.addcmul_(of_normal, scale[:, None, None].to(x.dtype)), None, None


class BatchNormLoss:
    """Distance of a batch's statistics from a network's running ones, or from given targets,
    collected in its forward pass.

    Sum over BatchNorm2d layers, in module order, of w (||running_var - var||_2 + ||running_mean -
    mean||_2), of the layer's input over (N, H, W), biased variance, in float32; w is
    `first_multiplier` for the first layer and 1 for the others. Raises ScddError if the network
    has no such layer. The layers get their own forward back when the `with` block ends.
    """

    def __init__(self, network: nn.Module, first_multiplier: float) -> None:
        self.layers = [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
        if not self.layers or any(layer.running_var is None for layer in self.layers):
            raise ScddError(
                "the teacher has no BatchNorm2d layers with running statistics, which recovery "
                "matches. Choose another architecture."
            )
        means, variances = zip(*map(running_statistics, self.layers), strict=True)
        self.units = 0
        # a forward pass may come to the layers in another order than the module's
        self.seen: dict[int, tuple[Tensor, Tensor]] = {}
        widths = [layer.num_features for layer in self.layers]
        self.widest, device = max(widths), means[0].device
        places = [row * self.widest + torch.arange(width) for row, width in enumerate(widths)]
        self.places = torch.cat(places).to(device)
        self.weights = torch.ones(len(self.layers), device=device)
        self.weights[0] = first_multiplier
        self.running = torch.cat(means), torch.cat(variances)
        self.targets: Statistics = self.running

    def _forward(self, row: int, layer: nn.BatchNorm2d) -> Callable[[Tensor], Tensor]:
        def forward(x: Tensor) -> Tensor:
            normal, mean, variance = _Matched.apply(x, layer, self.units)
            self.seen[row] = (mean, variance)
            return normal

        return forward

    def begin(self, units: int, targets: Statistics | None = None) -> None:
        """Before a forward pass of so many units; a pass that failed is forgotten, with its graph.

        targets: float32 [units, channels of all layers] in place of the running statistics.
        """
        self.units, self.seen = units, {}
        self.targets = self.running if targets is None else targets

    def take(self) -> Tensor:
        """The loss of each unit in the forward pass since `begin`, [units]."""
        seen, self.seen = [self.seen[row] for row in range(len(self.layers))], {}
        total = torch.zeros(self.units, device=self.weights.device)
        for statistic, target in zip(zip(*seen, strict=True), self.targets, strict=True):
            off = target - torch.cat(statistic, dim=1)
            # a row a layer, filled up with zeros: the norms of all are one kernel
            rows = off.new_zeros(self.units, len(self.layers) * self.widest)
            rows = rows.index_copy(1, self.places, off).view(self.units, -1, self.widest)
            total = total + torch.linalg.vector_norm(rows, dim=2) @ self.weights
        return total

    def __enter__(self) -> "BatchNormLoss":
        for row, layer in enumerate(self.layers):
            layer.forward = self._forward(row, layer)  # type: ignore[assignment]
        return self

    def __exit__(self, *_: object) -> None:
        for layer in self.layers:
            del layer.forward


def total_variation(images: Tensor) -> Tensor:
    """DeepInversion's prior by unit, [units]: L2 norms, over the unit's images [units, n, 3, R, R],
    of the differences to four neighbours."""
    differences = (
        images[..., :, :-1] - images[..., :, 1:],
        images[..., :-1, :] - images[..., 1:, :],
        images[..., 1:, :-1] - images[..., :-1, 1:],
        images[..., :-1, :-1] - images[..., 1:, 1:],
    )
    return torch.stack([part.flatten(1).norm(dim=1) for part in differences]).sum(0)


def objective(
    network: nn.Module,
    bn: BatchNormLoss,
    views: Tensor,
    labels: Tensor,
    params: Recover,
    targets: Statistics | None = None,
) -> Tensor:
    """Loss, cross-entropy and BN term before r_bn by unit, float32 [units, 3].

    views: float32 [units, n, 3, R, R]; labels: int64 [units, n]; network: as `frozen` made it;
    targets: see `BatchNormLoss.begin`.
    """
    units = len(views)
    bn.begin(units, targets)
    assert not isinstance(params.r_bn, str)  # `auto` is a number by now
    bf16 = params.precision == "bf16"
    with torch.autocast(views.device.type, torch.bfloat16, enabled=bf16):
        logits = network(views.flatten(0, 1))
    by_image = F.cross_entropy(logits.float(), labels.flatten(), reduction="none")
    cross_entropy, distance = by_image.view(units, -1).mean(1), bn.take()
    loss = cross_entropy + params.r_bn * distance
    if params.tv_l2:
        loss = loss + params.tv_l2 * total_variation(views)
    if params.l2_scale:
        loss = loss + params.l2_scale * views.flatten(2).norm(dim=2).mean(1)
    return torch.stack([loss, cross_entropy, distance], dim=1)
