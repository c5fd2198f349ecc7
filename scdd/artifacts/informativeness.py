"""informativeness.json: how informative a squeezed backbone is, and the r_bn that suits it."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scdd.artifacts.files import damaged, read_json, require_digest, write_json


@dataclass(frozen=True)
class Spread:
    """How a BatchNorm statistic varies over a layer's channels; scdd.informativeness defines it."""

    std: float
    relative: float
    entropy: float


@dataclass(frozen=True)
class Layer:
    """A BatchNorm layer, by its name in the network, and the spread of its running statistics."""

    name: str
    channels: int
    mean: Spread
    var: Spread


@dataclass(frozen=True)
class Signal:
    """The recovery's two loss terms on a batch of images, without r_bn: their values, and the L2
    norms of their gradients with respect to the images."""

    ce: float
    bn: float
    ce_gradient: float
    bn_gradient: float


@dataclass(frozen=True)
class Informativeness:
    """A backbone's `layers` in module order, the signals at the start and end of a short recovery
    of `iterations` steps, and the r_bn that they suggest. digest, teacher: the digests of this
    artifact and the probe's."""

    layers: tuple[Layer, ...]
    start: Signal
    end: Signal
    iterations: int
    r_bn: float
    digest: str
    teacher: str


def save_informativeness(path: Path, value: Informativeness, env: Mapping[str, Any]) -> None:
    """Write informativeness.json; `env` says where it was made."""
    write_json(path, {**asdict(value), "env": dict(env)})


def load_informativeness(path: Path, *, digest: str | None = None) -> Informativeness:
    """Raises ScddError where the file is missing, damaged or, with `digest`, another artifact's."""
    content = read_json(path)
    try:
        layers = tuple(
            Layer(**{**layer, "mean": Spread(**layer["mean"]), "var": Spread(**layer["var"])})
            for layer in content["layers"]
        )
        start, end = Signal(**content["start"]), Signal(**content["end"])
        names = ("iterations", "r_bn", "digest", "teacher")
        value = Informativeness(layers, start, end, **{name: content[name] for name in names})
        numbers = _numbers(asdict(value))
    except (KeyError, TypeError, AttributeError) as error:
        raise damaged(path, f"is not an informativeness.json of scdd ({error})") from None
    if not value.layers or not all(map(math.isfinite, numbers)):
        raise damaged(path, "has no layers, or a number that is not finite")
    require_digest(path, value.digest, digest)
    return value


def _numbers(value: Any) -> list[float]:
    """All numbers in nested mappings and tuples."""
    if isinstance(value, Mapping):
        value = tuple(value.values())
    if isinstance(value, tuple):
        return [number for item in value for number in _numbers(item)]
    return [] if isinstance(value, str) else [float(value)]
