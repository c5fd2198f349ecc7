"""Sheets of small images with names beside them. Equal input gives equal bytes."""

import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

TILE = 32  # pixels; times `scale` the least edge of an image in a grid
GAP = 2
NAME = 24  # characters of a class name


def sheet(
    images: np.ndarray, names: Sequence[str], scale: int, heads: Sequence[str] = ()
) -> Image.Image:
    """Images in rows with `names` at their left, and columns below `heads`, if there are any.

    `images` are uint8 [rows, columns, 3, H, W]. They are enlarged by the least whole factor that
    brings H to 32 * scale pixels or more, by repetition: every pixel shown is one of the image's.
    """
    factor = -(-TILE * scale // images.shape[3])
    tiles = images.transpose(0, 1, 3, 4, 2).repeat(factor, axis=2).repeat(factor, axis=3)
    rows, columns, height, width, _ = tiles.shape
    size = min(max(height // 4, 11), 24)
    face = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    font = ImageFont.truetype(face, size, layout_engine=ImageFont.Layout.BASIC)
    short = [name if len(name) <= NAME else name[: NAME - 1] + "…" for name in names]
    left = round(max(font.getlength(name) for name in short)) + size
    top = 2 * size if heads else 0

    canvas = Image.new(
        "RGB", (left + columns * (width + GAP) - GAP, top + rows * (height + GAP) - GAP), "white"
    )
    draw = ImageDraw.Draw(canvas)
    for row, column in np.ndindex(rows, columns):
        tile = Image.fromarray(np.ascontiguousarray(tiles[row, column]))
        canvas.paste(tile, (left + column * (width + GAP), top + row * (height + GAP)))
    for row, name in enumerate(short):
        middle = top + row * (height + GAP) + height // 2
        draw.text((left - size // 2, middle), name, fill="black", font=font, anchor="rm")
    for column, head in enumerate(heads):
        middle = left + column * (width + GAP) + width // 2
        draw.text((middle, size), head, fill="black", font=font, anchor="mm")
    return canvas


def row(images: np.ndarray) -> Image.Image:
    """Images side by side as they are stored, uint8 [n, 3, H, W], with a narrow gap."""
    count, _, height, width = images.shape
    gap = max(1, width // 32)
    canvas = Image.new("RGB", (count * (width + gap) - gap, height), "white")
    for place, image in enumerate(images.transpose(0, 2, 3, 1)):
        canvas.paste(Image.fromarray(np.ascontiguousarray(image)), (place * (width + gap), 0))
    return canvas


def png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()
