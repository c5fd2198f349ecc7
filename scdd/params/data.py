"""Which images and classes a dataset has, and what the numbers of images are."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge

from scdd.params.base import BelowOne, Count, Mean, Positive, Section, Std, param

SPLITS = ("train", "val")
VAL = "val"  # the folder of the validation images, where none is named
# what the numbers of a set's images are. uint8: levels 0 to 255; of learned images, floats as they
# were learned: normalised by the dataset's mean and std, or whitened (ZCA)
Pixels = Literal["uint8", "normalised", "zca"]


@dataclass(frozen=True)
class Data(Section):
    """The stage `data`: a configuration's `dataset`, with what is known of it filled in."""

    name: str = param(meaning="digits, cifar10, ...: a module of scdd/data/sets")
    resolution: Count = param(meaning="pixels a side")
    mean: Mean = param(meaning="by channel in [0, 1]")
    std: Std = param(meaning="by channel in [0, 1]")
    classes: Annotated[int, Ge(2)] | tuple[str, ...] | None = param(
        None, "the first so many, or names in order; null: all"
    )
    folder: str | None = param(None, "the name of a user's own folder; null: `name` says all")
    holdout: BelowOne = param(
        0.0, "share of each class's training images that takes the place of the test set; 0: none"
    )
    val: str = param(VAL, "the folder of the validation images", as_before=VAL)


@dataclass(frozen=True)
class Whiten(Section):
    """The stage `whiten`: ZCA fitted on the training images."""

    eps: Positive = param(0.1, "added to the variances, so that small ones are not blown up")
