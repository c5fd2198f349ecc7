"""Names of class folders that other programs read as they are.

Pure Python: the plan uses it too.
"""

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

TRAIN = "train"  # the folder of an export that has the class folders
# Not allowed on some file system, or read as a pattern or an address by fsspec.
UNSAFE = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|#%\[\]{}]')
# Hugging Face's datasets takes a folder with such a word, between these characters, for a split of
# that name (SPLIT_KEYWORDS of its data_files.py); timm looks for folders with some of them.
SPLIT = re.compile(
    r"(?<![^-._ 0-9])(train|training|validation|valid|dev|val|test|testing|eval|evaluation)"
    r"(?![^-._ 0-9])"
)
LONGEST = 200  # bytes; file systems allow 255


def folder_name(name: str) -> str:
    """A class name as the name of a folder: without characters that are unsafe, and with
    `(class)` behind a word that is read as a split."""
    safe = UNSAFE.sub("_", name).encode(errors="replace")[:LONGEST].decode(errors="ignore")
    return SPLIT.sub(r"\1(class)", safe)


def folder_names(classes: Sequence[str]) -> list[str]:
    """A folder name for each class, of which every reader's sorted order is the class order.

    They are the `folder_name` of the classes if those are sorted, otherwise with the index in
    front, as `03_truck`. torchvision and datasets sort by characters; timm sorts numbers by value,
    and upper case as lower case. Some sort folders, some the paths of files.
    """
    names = [folder_name(name) for name in classes]
    folded = [unicodedata.normalize("NFC", name).casefold() for name in names]
    sorts = (str, _natural, _in_path, lambda name: _natural(_in_path(name)))
    own = (
        all(sorted(names, key=sort) == names for sort in sorts)
        and len(set(folded)) == len(names)  # some file systems do not tell them apart
        and not any(re.match(r"\.|__|.*[. ]$|\s|$", name) for name in names)  # hidden, or cut off
    )
    width = len(str(len(names) - 1))
    return names if own else [f"{i:0{width}d}_{name}" for i, name in enumerate(names)]


def _in_path(name: str) -> str:
    return f"{name}/"


def _natural(name: str) -> list[str | int]:
    """The key by which timm sorts (timm.utils.natural_key)."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name.lower())]


def image_root(path: Path) -> Path:
    """The folder of the class folders: `path`, or its folder `train` where that is the only one and
    has folders itself, as exports have it."""
    if not path.is_dir():
        return path
    folders = [entry for entry in path.iterdir() if entry.is_dir()]
    if [folder.name for folder in folders] != [TRAIN]:
        return path
    return folders[0] if any(entry.is_dir() for entry in folders[0].iterdir()) else path
