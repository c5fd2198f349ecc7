"""An amount of work, in the units that take a machine time."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal

from scdd.params.base import Precision

# train: forward and backward, of weights; squeeze: the same with BatchNorm in groups, as a squeeze
# has it; images: forward and backward, of images under frozen weights; forward: without gradients;
# crops: the coloured views of a squeeze; views: all others
Kind = Literal["train", "squeeze", "images", "forward", "crops", "views"]


@dataclass(frozen=True)
class Amount:
    """flops: multiplications and additions; values: numbers that layers write, or, of views, their
    pixels' values; calls: layers, or batches of views, which take time however small they are;
    weights: numbers that an optimiser reads and writes.
    """

    flops: float = 0.0
    values: float = 0.0
    calls: float = 0.0
    weights: float = 0.0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def __mul__(self, factor: float) -> "Amount":
        return Amount(*(getattr(self, f.name) * factor for f in fields(self)))


@dataclass(frozen=True)
class Work:
    """Amounts by kind and precision."""

    parts: Mapping[tuple[Kind, Precision], Amount] = field(default_factory=dict)

    @classmethod
    def of(cls, kind: Kind, amount: Amount, precision: Precision = "float32") -> "Work":
        return cls({(kind, precision): amount})

    def __add__(self, other: "Work") -> "Work":
        keys = dict.fromkeys((*self.parts, *other.parts))
        none = Amount()
        return Work({k: self.parts.get(k, none) + other.parts.get(k, none) for k in keys})

    def __mul__(self, factor: float) -> "Work":
        return Work({key: amount * factor for key, amount in self.parts.items()})

    @property
    def flops(self) -> float:
        return sum(amount.flops for amount in self.parts.values())
