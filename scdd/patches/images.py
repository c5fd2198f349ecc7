"""The images of a class that its ranking gives."""

import math
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from scdd.artifacts.dataset import DatasetInfo
from scdd.artifacts.patches import Ranking, Rankings, load_rankings
from scdd.artifacts.slots import Range
from scdd.data.source import Dataset, Split
from scdd.errors import ScddError
from scdd.patches.crops import cut
from scdd.patches.mosaic import cells_by_ipc, cells_by_slot, mosaic
from scdd.patches.ranking import BATCH, standard_views
from scdd.views.pixels import kept, unit

CPU = torch.device("cpu")


def ranked_images(split: Split, info: DatasetInfo, ranking: Ranking, cells: Tensor) -> Tensor:
    """Images float32 [n, 3, R, R] (CPU), black 0 and white 1.

    split: the training images in their own sizes; cells: int64 [n, factor²], the rank of what is in
    each cell of each image, as `scdd.patches.mosaic` gives them. Without boxes the images are
    whole, and the factor is 1.
    """
    order = ranking.images[cells.flatten()]
    if ranking.boxes is None:
        return torch.cat([unit(views) for views in standard_views(split, order, info, CPU)])
    size = info.resolution // math.isqrt(cells.shape[1])
    boxes = ranking.boxes[cells.flatten()][:, None].split(BATCH)
    pictures = zip(split.whole(order, BATCH), boxes, strict=True)
    crops = torch.cat([cut(images, own, size, CPU) for images, own in pictures])
    return mosaic(crops.view(*cells.shape, *crops.shape[2:]), info.resolution)


def open_rankings(path: Path, dataset: Dataset, digest: str) -> Rankings:
    """The patches.safetensors with this digest. Raises ScddError as `load_rankings` does."""
    return load_rankings(
        path,
        digest=digest,
        labels=dataset.originals.labels,
        classes=dataset.info.classes,
        classes_of=dataset.folder / "dataset.json",
    )


def patch_images(
    split: Split, info: DatasetInfo, rankings: Rankings, slots: Range, ipc: int | None, storage: str
) -> Iterator[Tensor]:
    """RDED's images of the slots, class by class, as they are kept: uint8 [n, 3, R, R].

    split: the training images in their own sizes; ipc: of which the images are; None: of any, with
    one crop in each. n is smaller than the number of slots where no more images exist. Raises
    ScddError where a class has too few training images.
    """
    for name, ranking in zip(info.classes, rankings.classes, strict=True):
        if ipc is None:
            cells = cells_by_slot(len(ranking), 1)
        else:
            cells = cells_by_ipc(ipc, rankings.factor)
        require_ranked(ranking, name, max(int(cells.max()), slots[0]) + 1)
        yield kept(ranked_images(split, info, ranking, cells[slice(*slots)]), storage)


def require_ranked(ranking: Ranking, name: str, needed: int) -> None:
    """Raises ScddError where the class `name` has fewer ranked images than are needed."""
    if needed > len(ranking):
        raise ScddError(
            f"class {name!r} has {len(ranking)} training images to choose patches from, but "
            f"{needed} are needed. Lower ipc or patches.factor."
        )
