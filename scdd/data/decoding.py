"""The one place where an image file becomes RGB of 8 bits a channel (docs/input.md).

Without torch: the plan looks at headers too.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from PIL import Image

from scdd.errors import ScddError, shown

T = TypeVar("T")
# What lies behind transparent pixels. Dark drawings without a background are common, and on black
# they would vanish.
WHITE = 255
DEEP = {"I;16", "I;16B", "I;16L", "I;16N"}  # Pillow's modes of unsigned levels above 8 bits
GREY = {"L;2": 85, "L;4": 17}  # Pillow's names of fewer grey levels, and their distance in 8 bits
BITS, PHOTOMETRIC, SAMPLES = 258, 262, 339  # tags of TIFF
SIGNED = 2  # of SAMPLES


def read_rgb(path: Path) -> Image.Image:
    """An image file, in mode RGB; of several frames or pages the first.

    Grey levels of more than 8 bits are scaled from the whole range of their type; transparent
    pixels are put on white. EXIF orientation and colour profiles are not applied. Raises ScddError,
    naming the file, where it is unreadable, or has levels whose range is not known: float numbers,
    and integers of 32 bits or with a sign.
    """
    return _read(path, rgb)


def size_of(path: Path) -> tuple[int, int]:
    """Width and height of an image file in pixels, by its first bytes. Raises ScddError as
    `read_rgb` does, where these bytes show it."""
    return _read(path, lambda image: image.size)


def _read(path: Path, use: Callable[[Image.Image], T]) -> T:
    try:
        with Image.open(path) as image:
            unknown = _unknown_levels(image)
            if not unknown:
                return use(image)
    except Exception as error:  # Pillow's decoders raise errors of any kind
        raise ScddError(
            f"{shown(path)} is not a readable image ({error}). Mend it, save it as a PNG of 8 "
            "bits, or remove it."
        ) from None
    raise ScddError(
        f"{shown(path)} has {unknown} as levels, whose black and white are not known. Scale them "
        "to 0 to 255 and save them as a PNG of 8 bits, or to 0 to 65535 as one of 16 bits."
    )


def _unknown_levels(image: Image.Image) -> str:
    """What an image's levels are, where they have no known range; empty where they have."""
    if image.mode == "F":
        return "float numbers"
    if SIGNED in _tag(image, SAMPLES):
        return "signed integers"
    if image.mode == "I" and image.format != "PPM":  # in PPM files they are of 16 bits
        return "integers of 32 bits"
    return ""


def _tag(image: Image.Image, number: int) -> tuple[int, ...]:
    """A tag of a TIFF file; empty where there is none, and for other files."""
    value = getattr(image, "tag_v2", {}).get(number, ())
    return value if isinstance(value, tuple) else (value,)


def rgb(image: Image.Image) -> Image.Image:
    """An image of any mode in mode RGB, as `read_rgb` has it."""
    if image.mode in DEEP or image.mode == "I":
        return _of_deep_levels(image)
    if not image.has_transparency_data:
        return image.convert("RGB")
    _scale_clear_colour(image)
    pixels = image.convert("RGBA")
    page = Image.new("RGB", image.size, (WHITE,) * 3)
    page.paste(pixels, mask=pixels.getchannel("A"))
    return page


def _scale_clear_colour(image: Image.Image) -> None:
    """Scale the colour that a PNG file names as transparent, as Pillow scales the pixels alone."""
    clear, stored = (
        image.info.get("transparency"),
        {str(tile.args) for tile in getattr(image, "tile", ())},
    )
    if isinstance(clear, tuple) and "RGB;16B" in stored:
        image.info["transparency"] = tuple(value >> 8 for value in clear)
    for form, factor in GREY.items():
        if isinstance(clear, int) and form in stored:
            image.info["transparency"] = factor * clear


def _of_deep_levels(image: Image.Image) -> Image.Image:
    """Grey levels of more than 8 bits, scaled and rounded: of 16 bits, divided by 257."""
    import numpy as np

    (bits,) = _tag(image, BITS) or (16,)  # TIFF has 12 bits too
    top = 2**bits - 1
    levels = np.asarray(image).astype(np.uint32)
    grey = ((levels * WHITE + top // 2) // top).astype(np.uint8)
    if 0 in _tag(image, PHOTOMETRIC):  # 0 is white; Pillow inverts it at 8 bits alone
        grey = WHITE - grey
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        grey[levels == clear] = WHITE
    return Image.fromarray(grey).convert("RGB")
