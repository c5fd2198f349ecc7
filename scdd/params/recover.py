"""Recovering images from a teacher."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Le

from scdd.params.base import (
    BelowOne,
    Count,
    Mean,
    NotNegative,
    Positive,
    Precision,
    Section,
    Seed,
    Std,
    param,
    require_mean_and_std,
)
from scdd.params.views import require_range


@dataclass(frozen=True)
class Recover(Section):
    """Recovering images by matching BatchNorm statistics and class scores (SC-DD, section 3)."""

    RENAMED: ClassVar = {"jitter": "shift", "jitter_both_ways": "shift_both_ways"}

    iterations: Count = param(1000, "Adam steps an image")
    lr: Positive = param(0.4, "peak learning rate, cosine to 0, without warm-up")
    betas: tuple[BelowOne, BelowOne] = param((0.5, 0.9), "Adam's")
    r_bn: NotNegative | Literal["auto"] = param(
        0.005,
        "factor of the BN-statistics loss; auto: what suits the teacher (stage informativeness)",
    )
    first_bn_multiplier: NotNegative = param(10.0, "factor of its first layer")
    tv_l2: NotNegative = param(0.0, "factor of the total variation")
    l2_scale: NotNegative = param(0.0, "factor of the images' L2 norm")
    shift: Annotated[int, Ge(0), Le(4096)] = param(4, "largest circular shift, in pixels")
    crop: tuple[Positive, Positive] | None = param(
        None, "range of area of the random resized crop of a batch; null: no crop"
    )
    flip: bool = param(False, "mirror the batch with probability 1/2")
    precision: Precision = param("float32", "bf16: autocast, statistics in float32")
    crop_by: Literal["batch", "image"] = param(
        "batch", "image: a crop and flip of its own for each image of the batch"
    )
    curriculum: Literal["none", "step", "linear", "cosine"] = param(
        "none",
        "how the least area of a crop falls from crop[1] to crop[0] (CDA's); none: crop[0] "
        "throughout",
    )
    milestone: Annotated[float, Gt(0), Le(1)] = param(
        1.0, "share of the iterations after which a curriculum has reached crop[0]"
    )
    shift_both_ways: bool = param(False, "shifts from -shift; false: from 0")
    start: Literal["noise", "real", "patches", "median"] = param(
        "noise",
        "real: the training images that the method random has in the same slots for an equal seed; "
        "patches: RDED's, median: those around the median of its classes' probabilities, both by "
        "the own teacher, from the first slot on",
    )
    statistics: Literal["dataset", "class"] = param(
        "dataset",
        "class: a batch is the images of one class in a slot range, matched with the statistics of "
        "its training images (LPLD)",
    )
    mean: Mean | None = param(None, "that images are normalised by, in [0, 1]; null: the dataset's")
    std: Std | None = param(None, "the same")
    storage: Literal["lossless", "jpeg"] = param(
        "lossless", "jpeg: pixels are truncated and go through JPEG of quality 75"
    )
    block: Count = param(100, "classes in a batch: part of the method")
    seed: Seed = param(0, "of the start, crops and shifts")

    def __post_init__(self) -> None:
        if self.crop:
            require_range(self.crop, "crop")
        curriculum = self.curriculum != "none"
        if curriculum and self.crop is None:
            raise ValueError(
                f"curriculum {self.curriculum} is of crops, and there are none; set crop, say to "
                "[0.08, 1.0]"
            )
        if self.milestone != 1 and not curriculum:
            raise ValueError(
                f"milestone {self.milestone} is that of a curriculum, and there is none; set "
                "curriculum to step, linear or cosine, or leave milestone out"
            )
        if self.crop_by == "image" and self.crop is None and not self.flip:
            raise ValueError(
                "crop_by image is for crops and flips, and there are none; set crop or flip, or "
                "leave crop_by out"
            )
        require_mean_and_std(self.mean, self.std)

    @property
    def reads_images(self) -> bool:
        """Whether it needs real training images."""
        return self.start != "noise" or self.statistics == "class"
