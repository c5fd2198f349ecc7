"""Which network, by name."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Le

from scdd.params.base import Section, param


@dataclass(frozen=True)
class Network(Section):
    """A backbone or student. A bare name stands for its `arch`."""

    BARE: ClassVar[str | None] = "arch"

    arch: str = param(
        "resnet18",
        "resnet18, densenet121, shufflenet_v2_x0_5, wrn-16-2, convnet3-bn, another name of "
        "torchvision's; a student: also timm:<name> (docs/students.md)",
    )
    width: Annotated[float, Ge(1 / 64), Le(64)] = param(
        1.0, "factor on the channels, of networks that have one (docs/students.md)"
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
