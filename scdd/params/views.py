"""How images are cropped, mirrored and mixed before a network sees them."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le

from scdd.params.base import Positive, Section, Share, param

SMALL = 3 / 7  # of an image's side: 96 of 224, as in SwAV, arXiv 2006.09882, section 4


def require_range(scale: tuple[float, float], name: str = "scale") -> None:
    if not scale[0] <= scale[1] <= 1:
        raise ValueError(f"{name} {list(scale)} is not a range within 0 and 1")


@dataclass(frozen=True)
class View(Section):
    """How an image is cropped and mirrored before a network sees it."""

    crop: Literal["none", "padded", "resized"] = param(
        "padded", "none; a crop after zero padding; a crop that is resized back"
    )
    pad: Annotated[int, Ge(0), Le(1024)] = param(
        4, "pixels of zero padding on each side (crop: padded)"
    )
    scale: tuple[Positive, Positive] = param(
        (0.08, 1.0), "range of the crop's share of the area (crop: resized)"
    )
    flip: bool = param(True, "mirror left-right with probability 1/2")

    def __post_init__(self) -> None:
        require_range(self.scale)


@dataclass(frozen=True)
class SmallCrops(Section):
    """The small views of multi-crop, which see a part of an image."""

    count: Annotated[int, Ge(0), Le(64)] = param(6, "how many of each image")
    size: Annotated[int, Ge(4)] | None = param(
        None, "pixels a side; null: 3/7 of the image's (96 of 224)"
    )
    scale: tuple[Positive, Positive] = param((0.05, 0.14), "range of the crop's share of the area")
    blur_p: Share = param(0.0, "probability of blurring one")

    def __post_init__(self) -> None:
        require_range(self.scale)

    def side(self, resolution: int) -> int:
        """Pixels a side of one, of images of this resolution."""
        return self.size or round(SMALL * resolution)


@dataclass(frozen=True)
class RandAugment(Section):
    """Random operations on an image before its view: torchvision's RandAugment."""

    operations: Annotated[int, Ge(1), Le(16)] = param(2, "on each image, one after the other")
    magnitude: Annotated[int, Ge(0), Le(30)] = param(9, "of each, 0 to 30")


Mix = Literal["none", "mixup", "cutmix"]


@dataclass(frozen=True)
class Transform(Section):
    """How an epoch's pixels come about: patches, RandAugment, the view, mixing, in this order."""

    view: View = param(View())
    mix: Mix = param("none", "how a view is mixed with that of a partner")
    alpha: Positive = param(1.0, "lambda is drawn from Beta(alpha, alpha)")
    patches: Annotated[int, Ge(1), Le(64)] = param(
        1, "rows and columns of patches that are shuffled before the view; 1: none"
    )
    randaugment: RandAugment | None = param(
        None, "RandAugment before the view, as {operations: 2, magnitude: 9}; null: none"
    )
