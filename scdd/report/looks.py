"""Looks at squeezed backbones, as their tables and figure share them: what they found, by row."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scdd.artifacts.informativeness import Informativeness, Layer


@dataclass(frozen=True)
class Look:
    """One squeezed backbone. probe: its top-1 in percent on the validation images; knn: that of
    nearest neighbours on held-out training images, None where it was not monitored."""

    title: str
    network: str
    seed: int | None
    probe: float
    knn: float | None
    informativeness: Informativeness


Row = tuple[str, str]  # title and network
Quantity = Callable[[Look], float | None]


def _over_layers(value: Callable[[Layer], float]) -> Quantity:
    return lambda look: statistics.fmean(value(layer) for layer in look.informativeness.layers)


STATISTICS: dict[str, Quantity] = {
    "Probe %": lambda look: look.probe,
    "k-NN %": lambda look: look.knn,
    "Means: std": _over_layers(lambda layer: layer.mean.std),
    "Means: relative": _over_layers(lambda layer: layer.mean.relative),
    "Means: entropy": _over_layers(lambda layer: layer.mean.entropy),
    "Variances: std": _over_layers(lambda layer: layer.var.std),
    "Variances: relative": _over_layers(lambda layer: layer.var.relative),
    "Variances: entropy": _over_layers(lambda layer: layer.var.entropy),
}
SIGNALS: dict[str, Quantity] = {
    "CE start": lambda look: look.informativeness.start.ce,
    "CE end": lambda look: look.informativeness.end.ce,
    "BN start": lambda look: look.informativeness.start.bn,
    "BN end": lambda look: look.informativeness.end.bn,
    "∇CE start": lambda look: look.informativeness.start.ce_gradient,
    "∇CE end": lambda look: look.informativeness.end.ce_gradient,
    "∇BN start": lambda look: look.informativeness.start.bn_gradient,
    "∇BN end": lambda look: look.informativeness.end.bn_gradient,
    "r_bn": lambda look: look.informativeness.r_bn,
}


def rows(looks: Sequence[Look]) -> dict[Row, list[Look]]:
    """The looks by row, rows in order of appearance."""
    groups: dict[Row, list[Look]] = {}
    for look in looks:
        groups.setdefault((look.title, look.network), []).append(look)
    return groups


def values(looks: Sequence[Look], quantity: Quantity) -> list[float]:
    """The values of those looks that have one."""
    return [value for value in map(quantity, looks) if value is not None]
