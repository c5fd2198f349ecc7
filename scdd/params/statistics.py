"""Parameters of the stage `statistics`; they follow from the recovery that needs it."""

from dataclasses import dataclass
from typing import Literal

from scdd.params.base import Count, Mean, Section, Std, param

# whose inputs' statistics are matched, beside those of BatchNorm layers: of no convolution; of
# convolutions by channel; or by channel and by tile
Convolutions = Literal["none", "channels", "patches"]


@dataclass(frozen=True)
class Statistics(Section):
    """What the layers of a teacher see of the training images, and of each class."""

    convolutions: Convolutions = param("none", "whose inputs are looked at, beside BatchNorm's")
    patch: Count | None = param(None, "pixels a side of a tile; null: no tiles")
    mean: Mean | None = param(None, "that images are normalised by; null: the dataset's")
    std: Std | None = param(None, "the same")
