"""Image files that people have: of a depth, an alpha channel or a layout that is not plain RGB."""

import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = 8  # pixels a side
Values = Sequence[float]


def _chunk(name: bytes, content: bytes) -> bytes:
    check = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)


def png(path: Path, values: Values, *, depth: int, kind: int, clear: Values = ()) -> None:
    """A PNG file of one colour. kind: as PNG numbers it; clear: a colour that is transparent."""
    if depth < 8:  # several levels in a byte
        row = bytes([sum(int(values[0]) << at for at in range(0, 8, depth))]) * (SIZE * depth // 8)
    else:
        row = b"".join(int(value).to_bytes(depth // 8, "big") for value in values) * SIZE
    chunks = [_chunk(b"IHDR", struct.pack(">IIBBBBB", SIZE, SIZE, depth, kind, 0, 0, 0))]
    if clear:
        chunks.append(_chunk(b"tRNS", b"".join(struct.pack(">H", int(v)) for v in clear)))
    chunks += [_chunk(b"IDAT", zlib.compress((b"\0" + row) * SIZE)), _chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))


def tiff(
    path: Path, value: float, *, bits: int = 16, white_is_zero: bool = False, kind: int = 1
) -> None:
    """A grey TIFF file of one level. kind: 1 unsigned, 2 signed, 3 float."""
    forms = {(16, 1): "H", (16, 2): "h", (32, 1): "I", (32, 3): "f", (8, 2): "b"}
    if bits == 12:  # two levels in three bytes
        level = int(value)
        data = (level << 12 | level).to_bytes(3, "big") * (SIZE * SIZE // 2)
    else:
        whole = value if kind == 3 else int(value)
        data = struct.pack("<" + forms[bits, kind], whole) * (SIZE * SIZE)
    tags = [
        (256, SIZE),
        (257, SIZE),
        (258, bits),
        (259, 1),
        (262, 0 if white_is_zero else 1),
        (273, 8 + 2 + 12 * 10 + 4),
        (277, 1),
        (278, SIZE),
        (279, len(data)),
        (339, kind),
    ]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, content) for tag, content in tags)
    head = struct.pack("<2sHIH", b"II", 42, 8, len(tags))
    path.write_bytes(head + entries + struct.pack("<I", 0) + data)


def saved(mode: str, **options: object) -> Callable[[Path, Values], None]:
    """A file of one colour that Pillow writes."""

    def make(path: Path, values: Values) -> None:
        colour = tuple(int(value) for value in values)
        Image.new(mode, (SIZE, SIZE), colour if len(colour) > 1 else colour[0]).save(
            path, **options
        )

    return make


def palette(path: Path, values: Values) -> None:
    """The colour is the second of a palette; a fourth value is its alpha."""
    image = Image.new("P", (SIZE, SIZE), 1)
    image.putpalette([9, 9, 9, *(int(value) for value in values[:3])])
    if len(values) > 3:
        image.info["transparency"] = bytes([255, int(values[3])])
    image.save(path)


def frames(path: Path, values: Values) -> None:
    colours = [tuple(int(value) for value in values), (200, 100, 50)]
    first, second = (Image.new("RGB", (SIZE, SIZE), colour) for colour in colours)
    first.save(path, save_all=True, append_images=[second])


def turned(path: Path, values: Values) -> None:
    """The colour is in the upper left corner; EXIF says that it belongs elsewhere."""
    pixels = np.zeros((SIZE, SIZE, 3), dtype=np.uint8)
    pixels[0, 0] = values
    exif = Image.Exif()
    exif[0x0112] = 3  # turned by 180 degrees
    Image.fromarray(pixels).save(path, exif=exif)


# by the rows of docs/input.md: the file's suffix, and what makes it of a colour
PICTURES: dict[str, tuple[str, Callable[[Path, Values], None]]] = {
    "RGB, 8 bits": (".png", saved("RGB")),
    "grey, 8 bits": (".png", saved("L")),
    "grey, 16 bits: PNG": (".png", lambda path, v: png(path, v, depth=16, kind=0)),
    "grey, 16 bits: TIFF": (".tif", lambda path, v: tiff(path, v[0])),
    "grey, 16 bits: PGM": (".pgm", saved("I;16")),
    "grey, 12 bits: TIFF": (".tif", lambda path, v: tiff(path, v[0], bits=12)),
    "grey, 16 bits, where 0 is white: TIFF": (
        ".tif",
        lambda path, v: tiff(path, v[0], white_is_zero=True),
    ),
    "RGB, 16 bits: PNG": (".png", lambda path, v: png(path, v, depth=16, kind=2)),
    "1 bit": (".png", saved("1")),
    "palette": (".png", palette),
    "transparent: RGBA": (".png", saved("RGBA")),
    "half transparent: RGBA": (".png", saved("RGBA")),
    "transparent: grey with alpha": (".png", saved("LA")),
    "transparent: palette": (".png", palette),
    "a colour that is named transparent: PNG": (
        ".png",
        lambda path, v: png(path, v, depth=8, kind=2, clear=v),
    ),
    "CMYK": (".tif", saved("CMYK")),
    "several frames or pages": (".tif", frames),
    "EXIF orientation": (".png", turned),
    "float numbers: TIFF": (".tif", lambda path, v: tiff(path, v[0], bits=32, kind=3)),
    "integers of 32 bits: TIFF": (".tif", lambda path, v: tiff(path, v[0], bits=32)),
    "signed integers: TIFF": (".tif", lambda path, v: tiff(path, v[0], kind=2)),
    "damaged, or not an image": (
        ".png",
        lambda path, v: path.write_bytes(b"\x89PNG\r\n\x1a\n"[:7]),
    ),
}
