"""The statistics of what the layers of a network see, with their gradients.

Of a layer's input [units * n, channels, H, W] each unit has its own: mean and biased variance by
channel, over (n, H, W); and by tile, over (n, channels, p, p), of tiles of p x p pixels (G-VBSM,
arXiv 2311.17950, section 3.2).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Pair = tuple[Tensor, Tensor]  # mean and variance, float32 [units, width]


def layers_of(network: nn.Module, convolutions: bool) -> list[tuple[str, nn.Module]]:
    """The layers whose inputs are looked at, by name, in module order: BatchNorm2d, and Conv2d if
    `convolutions`."""
    kinds = (nn.BatchNorm2d, nn.Conv2d) if convolutions else (nn.BatchNorm2d,)
    return [(name, part) for name, part in network.named_modules() if isinstance(part, kinds)]


def running_statistics(layer: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Mean and variance, [channels] each, of a layer that has them."""
    assert layer.running_mean is not None and layer.running_var is not None
    return layer.running_mean, layer.running_var


def statistics(x: Tensor, units: int) -> Pair:
    """Mean and biased variance, float32 [units, channels], of each unit's share of
    x [units * n, channels, H, W]: one pass over x, no copy, whatever its type."""
    nothing = x.new_zeros(x.shape[1], dtype=torch.float32)  # to make the results float32
    by_unit = [torch.batch_norm_update_stats(own, nothing, nothing, 0.0) for own in x.chunk(units)]
    means, variances = zip(*by_unit, strict=True)
    return torch.stack(means), torch.stack(variances)


def in_tiles(x: Tensor, patch: int) -> Tensor:
    """x [n, channels, H, W], resized bilinearly to the next multiples of `patch`, float32; x itself
    where its sides are. As torch's interpolate, but by products, whose gradient on a GPU does not
    depend on the order of sums; there they are as exact as convolutions are."""
    height, width = (-(-side // patch) * patch for side in x.shape[2:])
    if (height, width) == x.shape[2:]:
        return x
    rows, columns = _stretch(x, 2, height), _stretch(x, 3, width)
    with torch.autocast(x.device.type, enabled=False):
        return rows @ x.float() @ columns.T


def _stretch(x: Tensor, axis: int, size: int) -> Tensor:
    """[size, x.shape[axis]]: the bilinear weights of an axis."""
    points = torch.eye(x.shape[axis], device=x.device)[None]
    return F.interpolate(points, size, mode="linear")[0].T


def tile_statistics(x: Tensor, units: int, patch: int) -> Pair:
    """Mean and biased variance, float32 [units, tiles], of each unit's tiles, row by row;
    x [units * n, channels, H, W] with sides that are multiples of `patch`."""
    rows = x.permute(0, 2, 3, 1)  # of a channels_last x a view, in which a tile's rows are whole
    rows = rows.reshape(*rows.shape[:2], rows.shape[2] // patch, -1).float()
    count = len(x) // units * rows.shape[3] * patch
    # [n, H, tiles in a row], of which few are added up in float64: means may be large
    sums, squares = rows.sum(3), torch.linalg.vector_norm(rows, dim=3).double().square()
    mean, square = (
        t.double().unflatten(0, (units, -1)).unflatten(2, (-1, patch)).sum((1, 3)) / count
        for t in (sums, squares)
    )
    return mean.flatten(1).float(), (square - mean.square()).flatten(1).float()


class _Normalised(torch.autograd.Function):
    """A frozen BatchNorm layer and the statistics of its input by channel. The gradient of both
    with respect to the input is two element-wise kernels."""

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


class _Seen(torch.autograd.Function):
    """x itself and its statistics, by channel, by tile of `patch` pixels (0: none), or both. The
    gradient of all with respect to x is two element-wise kernels."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, units: int, channels: bool, patch: int) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        pairs = [statistics(x, units)] if channels else []
        pairs += [tile_statistics(x, units, patch)] if patch else []
        ctx.save_for_backward(x, *(mean for mean, _ in pairs))
        ctx.patches = [0] * channels + [patch] * (patch > 0)
        return x.view_as(x), *(t for pair in pairs for t in pair)

    @staticmethod
    def backward(
        ctx: Any, of_x: Tensor | None, *of_pairs: Tensor | None
    ) -> tuple[Tensor, None, None, None]:
        x, *means = ctx.saved_tensors
        slope = level = x.new_zeros((), dtype=torch.float32)
        for number, (mean, patch) in enumerate(zip(means, ctx.patches, strict=True)):
            of_mean, of_variance = of_pairs[2 * number], of_pairs[2 * number + 1]
            assert of_mean is not None and of_variance is not None
            count = x.numel() / mean.numel()
            # d/dx of the statistics: (of_mean + 2 of_variance (x - mean)) / count
            own = 2 / count * of_variance
            slope = slope + _spread(own, x, patch)
            level = level + _spread(of_mean / count - own * mean, x, patch)
        # from [units, 1, H, W, channels], so that they lie in memory as a channels_last x does
        slope, level = (t.permute(0, 1, 4, 2, 3).to(x.dtype) for t in (slope, level))
        by_unit = x.unflatten(0, (len(means[0]), -1))
        if of_x is None:
            return torch.addcmul(level, by_unit, slope).flatten(0, 1), None, None, None
        # nobody else has the gradient that a convolution gives, so it can be changed in place
        of_x.unflatten(0, (len(means[0]), -1)).addcmul_(by_unit, slope).add_(level)
        return of_x, None, None, None


def _spread(values: Tensor, x: Tensor, patch: int) -> Tensor:
    """From [units, channels], or with `patch` [units, tiles], to what broadcasts to
    [units, n, H, W, channels]."""
    if not patch:
        return values[:, None, None, None]
    grid = values.view(len(values), 1, -1, 1, x.shape[3] // patch, 1, 1)
    grid = grid.expand(-1, -1, -1, patch, -1, patch, -1)
    return grid.reshape(len(values), 1, *x.shape[2:], 1)


@dataclass
class Watch:
    """Notes, in the forward passes of a network, the statistics of what its layers see.

    layers: as `layers_of` gives them. patch: sides of a tile in pixels; 0: convolutions have
    statistics by channel alone. units: how many units the next pass has. seen: by the layer's
    place and kind (`bn`, `channel`, `patch`), since a pass may come to them in another order. The
    layers have their own forward again when the `with` block ends, and while `paused`.
    """

    layers: list[tuple[str, nn.Module]]
    patch: int = 0
    units: int = 0
    paused: bool = False
    seen: dict[tuple[int, str], Pair] = field(default_factory=dict)

    def _forward(self, place: int, layer: nn.Module) -> Callable[[Tensor], Tensor]:
        def normalise(x: Tensor) -> Tensor:
            if self.paused:
                return type(layer).forward(layer, x)
            normal, mean, variance = _Normalised.apply(x, layer, self.units)
            self.seen[place, "bn"] = (mean, variance)
            return normal

        def convolve(x: Tensor) -> Tensor:
            return type(layer).forward(layer, x if self.paused else self._look(place, x))

        return normalise if isinstance(layer, nn.BatchNorm2d) else convolve

    def _look(self, place: int, x: Tensor) -> Tensor:
        """x, whose statistics are noted."""
        tiled = in_tiles(x, self.patch) if self.patch else x
        resized = tiled is not x
        x, *pairs = _Seen.apply(x, self.units, True, 0 if resized else self.patch)
        if resized:
            pairs += _Seen.apply(tiled, self.units, False, self.patch)[1:]
        self.seen[place, "channel"] = (pairs[0], pairs[1])
        if self.patch:
            self.seen[place, "patch"] = (pairs[2], pairs[3])
        return x

    def __enter__(self) -> "Watch":
        for place, (_, layer) in enumerate(self.layers):
            layer.forward = self._forward(place, layer)
        return self

    def __exit__(self, *_: object) -> None:
        for _name, layer in self.layers:
            del layer.forward
