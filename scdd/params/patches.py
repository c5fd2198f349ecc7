"""Real images that an observer, a probed network, finds easy: RDED's patches."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le

from scdd.params.base import Count, Positive, Section, Seed, param
from scdd.params.views import require_range


@dataclass(frozen=True)
class Patches(Section):
    """Crops of real images: of each image the easiest, of a class the easiest images (RDED)."""

    factor: Annotated[int, Ge(1), Le(3)] = param(
        1, "rows and columns of crops in an image; a crop has the image's size over it"
    )
    pool: Count = param(300, "images of a class that crops are taken of, drawn at random")
    crops: Count = param(5, "of each image, of which the easiest is kept")
    scale: tuple[Positive, Positive] = param(
        (0.08, 1.0), "range of a crop's share of the area; crops are squares"
    )
    storage: Literal["lossless", "jpeg"] = param(
        "lossless", "jpeg: pixels are truncated and go through JPEG of quality 75"
    )
    seed: Seed = param(0, "of the pool and the crops")

    def __post_init__(self) -> None:
        require_range(self.scale)

    def taken(self, count: int) -> int:
        """How many crops, each of another image, `count` images of a class are put together of."""
        return count * self.factor**2
