"""images_<method>_ipc<n>.png: a corner of each image set, some classes and some slots.

Their page has all sets beside each other, class by class.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from scdd.report import html
from scdd.report.measured import Measured
from scdd.report.section import IMAGES, Contents, Entry, Params, Section

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
    look, contents = measured.params["figures"], {}
    for name, path in image_sets(measured.params).items():
        names, corner = _corner(measured, path, look)
        contents[name] = draw(corner, names, look["scale"])
    return contents


def draw(images: np.ndarray, names: Sequence[str], scale: int) -> bytes:
    """A PNG with one row a class, its name at the left, and one column a slot.

    `images` are uint8 [classes, slots, 3, H, W], drawn as `pictures.sheet` says.
    """
    from scdd.report import pictures

    return pictures.png(pictures.sheet(images, names, scale))


PAGE, LEAST, MOST = 990, 48, 96  # pixels: of the page, and of an image at first, unless larger
TILES = """
<style>
  .scdd .tile {height: var(--tile); vertical-align: middle}
  .scdd .tiles td, .scdd .tiles th {padding: 2px 6px; vertical-align: middle}
  .scdd .tiles th {font-size: .8rem; text-align: center; white-space: normal;
    overflow-wrap: anywhere;
    max-width: var(--tile)}
  .scdd .bar {position: sticky; top: 0; background: white; padding: .4rem 0; z-index: 1}
</style>
<div class="bar"><label>Size of an image
<input type="range" min="32" max="448" step="16" value="VALUE"
 oninput="document.documentElement.style.setProperty('--tile', this.value + 'px')"></label></div>
<style>:root {--tile: VALUEpx}</style>
"""


def body(measured: Measured, contents: Contents) -> list[str]:
    """For each IPC the first image of each class, a column for each method; then for each class all
    images shown, a line for each method and IPC."""
    look = measured.params["figures"]
    corners = [
        (title, ipc, *_corner(measured, images, look))
        for title, ipc, images in titled_sets(measured.params)
    ]
    ipcs = [ipc for _, ipc, _, _ in corners]
    most, edge = max(map(ipcs.count, ipcs)), corners[0][3].shape[-1]
    tile = min(max(PAGE // most - 12, LEAST), max(MOST, edge))
    parts = [TILES.replace("VALUE", str(tile))]
    for ipc in dict.fromkeys(ipcs):
        parts.append(html.heading(f"The first image of each class, IPC {ipc}"))
        alike = [corner for corner in corners if corner[1] == ipc]
        heads = ["", *(title for title, _, _, _ in alike)]
        lines = [
            [html.text(name), *(_tile(images[place, :1], title) for title, _, _, images in alike)]
            for place, name in enumerate(alike[0][2])
        ]
        parts.append(_tiles(heads, lines))
    for place, name in enumerate(corners[0][2]):
        parts.append(html.heading(f"Class {name}"))
        lines = [
            [html.text(f"{title}, IPC {ipc}"), _tile(images[place], f"{title}: {name}")]
            for title, ipc, _, images in corners
            if place < len(images)
        ]
        parts.append(_tiles([], lines))
    return parts


def titled_sets(params: Params) -> list[tuple[str, int, str]]:
    """Title, IPC and set.json of each method's images, in the order of the cells: once where
    several methods, or the numbers that students see of them, share the 8-bit images."""
    sets: dict[tuple[str, int], str] = {}
    for cell in params["cells"]:
        if cell["images"] is not None and cell["images"] not in sets.values():
            sets.setdefault((cell["title"], cell["ipc"]), cell["images"])
    return [(title, ipc, images) for (title, ipc), images in sets.items()]


def _corner(
    measured: Measured, images: str, look: Mapping[str, int]
) -> tuple[Sequence[str], np.ndarray]:
    from scdd.artifacts.images import load_corner

    path, columns = measured.results / images, look["grid_columns"]
    names, corner = load_corner(path, look["grid_classes"], columns)
    return names, corner.numpy()


def _tile(images: np.ndarray, title: str) -> str:
    """Images [slots, 3, H, W] side by side, pixel by pixel; the page enlarges them."""
    from scdd.report import pictures

    return html.picture(pictures.png(pictures.row(images)), "png", title, "tile")


def _tiles(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Heads are texts; lines are HTML, the first of each its name."""
    head = "".join(f"<th>{html.text(text)}</th>" for text in heads)
    body = "".join(
        f'<tr><td class="words">{name}</td>{"".join(f"<td>{tile}</td>" for tile in tiles)}</tr>'
        for name, *tiles in lines
    )
    return f'<div class="scroll"><table class="tiles"><tr>{head}</tr>{body}</table></div>'


SECTION = Section(
    files, inputs, make, Entry("images", "Images of all methods, by class", IMAGES, body)
)
