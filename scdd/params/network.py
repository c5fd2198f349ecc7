"""Which network, by name."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Le

from scdd.params.base import Section, param

# What scdd.networks.resnet builds, here so that a plan needs no torch: whether blocks are
# bottlenecks, and how many of them each of the four stages has.
RESNETS: dict[str, tuple[bool, tuple[int, int, int, int]]] = {
    "resnet10": (False, (1, 1, 1, 1)),
    "resnet18": (False, (2, 2, 2, 2)),
    "resnet34": (False, (3, 4, 6, 3)),
    "resnet50": (True, (3, 4, 6, 3)),
    "resnet101": (True, (3, 4, 23, 3)),
    "resnet152": (True, (3, 8, 36, 3)),
}
ARCHITECTURES = tuple(RESNETS)
# kernel, stride and padding of the first convolution
STEMS = {"imagenet": (7, 2, 3), "small": (3, 1, 1), "small-pad2": (3, 1, 2)}


@dataclass(frozen=True)
class Network(Section):
    """A backbone or student. A bare name stands for its `arch`."""

    BARE: ClassVar[str | None] = "arch"

    arch: str = param(
        "resnet18",
        "resnet10, 18, 34, 50, 101 or 152; a student: also convnet3, a name of torchvision's or "
        "timm:<name> (docs/students.md)",
    )
    width: Annotated[float, Ge(1 / 64), Le(64)] = param(
        1.0, "factor on the channels of a ResNet or ConvNet"
    )
    stem: Literal["auto", "small", "small-pad2", "imagenet"] = param(
        "auto",
        "small: 3x3, no pooling; small-pad2: solo-learn's; imagenet: as published; auto: small, if "
        "there is one, up to 64 pixels, imagenet above",
    )

    @property
    def label(self) -> str:
        """Its name in paths."""
        width = "" if self.width == 1 else f"-w{self.width:g}"
        name = self.arch.replace(":", "-")
        return name + width + ("" if self.stem == "auto" else f"-{self.stem}")
