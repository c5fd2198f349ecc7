"""images_<method>_ipc<n>.png: a corner of each image set, some classes and some slots."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from scdd.report.measured import Measured
from scdd.report.section import Params, Section

if TYPE_CHECKING:
    import numpy as np


def image_sets(params: Params) -> dict[str, str]:
    """File name of each picture -> the set.json that it shows, in the order of the cells.

    Image sets that would share a name (one method, one IPC, several recoveries) have their digest
    in it.
    """
    stems: dict[str, str] = {}
    for cell in params["cells"]:
        if cell["images"] is not None:
            method = re.sub(r"[^A-Za-z0-9.+_-]", "-", cell["method"])
            stems.setdefault(cell["images"], f"images_{method}_ipc{cell['ipc']}")
    shared = Counter(stems.values())
    names = {}
    for images, stem in stems.items():
        digest = PurePosixPath(images).parent.name.rpartition("-")[2]
        names[f"{stem}.png" if shared[stem] == 1 else f"{stem}_{digest}.png"] = images
    return names


def files(params: Params) -> list[str]:
    return [*image_sets(params)]


def inputs(params: Params) -> list[str]:
    return [*image_sets(params).values()]


def make(measured: Measured) -> dict[str, bytes]:
    from scdd.artifacts.images import load_corner

    look, contents = measured.params["figures"], {}
    for name, path in image_sets(measured.params).items():
        names, corner = load_corner(
            measured.results / path, look["grid_classes"], look["grid_columns"]
        )
        contents[name] = draw(corner.numpy(), names, look["scale"])
    return contents


def draw(images: np.ndarray, names: Sequence[str], scale: int) -> bytes:
    """A PNG with one row a class, its name at the left, and one column a slot.

    `images` are uint8 [classes, slots, 3, H, W], drawn as `pictures.sheet` says.
    """
    from scdd.report import pictures

    return pictures.png(pictures.sheet(images, names, scale))


SECTION = Section(files, inputs, make, caption="images.rst")
