"""Image files that are not plain RGB: what becomes of their levels and of what is transparent."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pictures import png, tiff
from PIL import Image

from scdd.data.decoding import read_rgb, size_of
from scdd.data.source import decode
from scdd.errors import ScddError


def corner(path: Path) -> tuple[int, ...]:
    """The colour of an image's upper left pixel."""
    image = read_rgb(path)
    assert image.mode == "RGB"
    assert image.size == size_of(path)
    return tuple(np.asarray(image)[0, 0].tolist())


LEVELS = [0, 1, 128, 129, 255, 256, 257, 385, 386, 32767, 32768, 65406, 65407, 65535]


@pytest.mark.parametrize("form", ["png", "tif", "pgm", "lzw.tif", "big.tif"])
def test_levels_of_16_bits_are_divided_by_257_and_rounded(tmp_path: Path, form: str) -> None:
    levels = np.array([LEVELS], dtype=">u2" if form == "big.tif" else "<u2")
    file = tmp_path / f"grey.{form}"
    options = {"compression": "tiff_lzw"} if form == "lzw.tif" else {}
    Image.fromarray(levels).save(file, **options)
    expected = [round(level / 257) for level in LEVELS]
    assert np.asarray(read_rgb(file))[0].tolist() == [[level] * 3 for level in expected]


def test_a_deep_image_is_decoded_as_its_copy_in_8_bits(tmp_path: Path) -> None:
    """It was all white."""
    ramp = np.linspace(0, 255, 64).astype(np.uint8).reshape(8, 8)
    Image.fromarray(ramp).save(tmp_path / "shallow.png")
    Image.fromarray(ramp.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    assert decode(tmp_path / "deep.png", 8).equal(decode(tmp_path / "shallow.png", 8))


CLEAR: dict[str, Callable[[Path], None]] = {
    "grey of 1 bit": lambda path: png(path, [1], depth=1, kind=0, clear=[1]),
    "grey of 2 bits": lambda path: png(path, [2], depth=2, kind=0, clear=[2]),
    "grey of 4 bits": lambda path: png(path, [9], depth=4, kind=0, clear=[9]),
    "grey of 8 bits": lambda path: png(path, [9], depth=8, kind=0, clear=[9]),
    "grey of 16 bits": lambda path: png(path, [999], depth=16, kind=0, clear=[999]),
    "grey and alpha of 16 bits": lambda path: png(path, [999, 0], depth=16, kind=4),
    "RGB of 16 bits": lambda path: png(path, [9, 999, 0], depth=16, kind=2, clear=[9, 999, 0]),
    "RGBA of 16 bits": lambda path: png(path, [65535, 0, 65535, 0], depth=16, kind=6),
}


@pytest.mark.parametrize("name", CLEAR)
def test_what_is_transparent_is_white(tmp_path: Path, name: str) -> None:
    CLEAR[name](tmp_path / "x.png")
    assert corner(tmp_path / "x.png") == (255, 255, 255)


@pytest.mark.parametrize("form", ["webp", "gif", "tif"])
def test_what_is_transparent_in_other_files_is_white(tmp_path: Path, form: str) -> None:
    image = Image.new("RGBA", (4, 4), (255, 0, 255, 0))
    options = {"lossless": True, "exact": True} if form == "webp" else {}
    image.save(tmp_path / f"x.{form}", **options)
    assert corner(tmp_path / f"x.{form}") == (255, 255, 255)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_opaque_images_keep_every_bit(tmp_path: Path, mode: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    image = Image.fromarray(noise).convert(mode)
    image.save(tmp_path / "x.png")
    assert np.array_equal(
        np.asarray(read_rgb(tmp_path / "x.png")), np.asarray(image.convert("RGB"))
    )


@pytest.mark.parametrize("suffix", ["png", "webp", "gif", "tif"])
def test_the_first_frame_counts(tmp_path: Path, suffix: str) -> None:
    first, second = (Image.new("RGB", (8, 8), colour) for colour in ("black", "white"))
    options = {"lossless": True} if suffix == "webp" else {}
    first.save(tmp_path / f"x.{suffix}", save_all=True, append_images=[second], **options)
    assert corner(tmp_path / f"x.{suffix}") == (0, 0, 0)


@pytest.mark.parametrize("bits", [8, 16, 32])
def test_a_refusal_comes_with_the_header(tmp_path: Path, bits: int) -> None:
    """Before anything is decoded, and with what to do."""
    tiff(tmp_path / "x.tif", 0, bits=bits, kind=3 if bits == 32 else 2)
    for read in (size_of, read_rgb):
        with pytest.raises(
            ScddError, match=r"x\.tif has .* 0 to 65535 as one of 16 bits"
        ) as caught:
            read(tmp_path / "x.tif")
        assert "\n" not in str(caught.value)
