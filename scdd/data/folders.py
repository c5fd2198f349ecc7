"""Image folders and tensor files: which files there are, and of which class.

Pure Python: the plan uses it too.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from scdd.data.exported import folder_name
from scdd.errors import ScddError, shown

# torchvision's ImageFolder reads these, and sorts by folder, then by file name
SUFFIXES = {".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"}
# what macOS, a Synology disk station and a Linux disk make beside a user's own folders
NOT_OURS = {"__MACOSX", "@eaDir", "lost+found"}
INDEX = r"(?:new)?(\d+)"  # a folder's name that is a class index
TENSORS = {".pt", ".pth"}
COLOURED = "images_zca_"  # MTT's names of images back from whitened space, in their colours


def tensor_files(path: Path) -> list[Path]:
    """The files of a set of tensors: DC's single file, or MTT's images and labels; empty where
    `path` is an image folder.

    Raises ScddError where `path` or the labels beside MTT's images do not exist.
    """
    if not path.exists():
        raise ScddError(f"there is no file or folder {path}.")
    if path.is_dir():
        path = path / "images_best.pt"
        if not path.exists():
            return []
    if path.suffix not in TENSORS:
        raise ScddError(f"{path} is neither a folder nor a file that ends in .pt or .pth.")
    if not path.name.startswith("images_"):
        return [path]
    prefix = COLOURED if path.name.startswith(COLOURED) else "images_"
    labels = path.with_name(path.name.replace(prefix, "labels_", 1))
    if not labels.exists():
        raise ScddError(f"{path} has no {labels.name} beside it.")
    return [path, labels]


def set_files(path: Path) -> list[Path]:
    """All files of a distilled set. Raises ScddError where there are none."""
    files = tensor_files(path) or [
        file for folder in class_folders(path) for file in image_files(folder)
    ]
    if not files:
        raise ScddError(
            f"{path} has no class folders with images{left_out(look(path).others)}, and no "
            "images_best.pt."
        )
    return files


def class_folders(path: Path) -> list[Path]:
    """The folders in `path`, in the order of torchvision's ImageFolder, without hidden ones and
    those that only an operating system makes.

    Raises ScddError, naming it, where `path` cannot be read, or a folder is a broken link or has a
    name that cannot be stored.
    """
    found = []
    for entry in _entries(path):
        kind = _kind(entry) if _is_ours(entry.name) else "file"
        if kind == "nothing":  # it might have been a class
            raise _is_nothing(Path(entry.path))
        if kind == "folder":
            require_name(path, entry.name)
            found.append(Path(entry.path))
    return sorted(found)


@dataclass(frozen=True)
class Found:
    """What is below a folder: its `images` in ImageFolder's order, and how many `others` there are
    by suffix. Of what is hidden only images and folders count."""

    images: list[Path]
    others: Counter[str]


def look(folder: Path) -> Found:
    """The images below `folder`, through links too; none where it does not exist.

    Raises ScddError, naming it, where a folder cannot be read or is a link to one that it is in,
    and where an image is a broken link or has a name that cannot be stored.
    """
    found = Found([], Counter())
    if not folder.is_dir():
        return found
    for place, kinds in sorted(_walk(str(folder), (folder.resolve(),), found.others)):
        for name in sorted(kinds):
            suffix = Path(name).suffix.lower()
            if suffix not in SUFFIXES:
                found.others[suffix or "without a suffix"] += 1
                continue
            file = Path(place) / name
            if kinds[name] == "nothing":
                raise _is_nothing(file)
            require_name(folder, f"{place}/{name}"[len(str(folder)) + 1 :])
            found.images.append(file)
    return found


def image_files(folder: Path) -> list[Path]:
    """The images below `folder`, as `look` finds them."""
    return look(folder).images


def beside(folder: Path, classes: Iterable[str]) -> Counter[str]:
    """What is in `folder` beside the folders of the `classes` and is not read: images, and other
    folders."""
    if not folder.is_dir():
        return Counter()
    images = sum(
        _is_ours(entry.name)
        and _kind(entry) == "file"
        and Path(entry.name).suffix.lower() in SUFFIXES
        for entry in _entries(folder)
    )
    others = {place.name for place in class_folders(folder)} - set(classes)
    counts = {"beside the class folders": images, "folders of other classes": len(others)}
    return Counter({what: count for what, count in counts.items() if count})


def left_out(others: Counter[str]) -> str:
    """What a message says of files that are not read: how many by suffix; empty for none."""
    counts = ", ".join(f"{count} {shown(what)}" for what, count in sorted(others.items()))
    return f" (not read: {counts})" if counts else ""


def require_name(folder: Path, name: str) -> None:
    """Raises ScddError for a name below `folder` that a list of file names cannot hold: it is not
    UTF-8, or has a line break."""
    what = "a line break" if "\n" in name else ""
    try:
        name.encode()
    except UnicodeEncodeError:
        what = "bytes that are not UTF-8"
    if what:
        raise ScddError(f"{str(folder / name)!r} has {what} in its name. Rename it.")


def _walk(
    folder: str, above: tuple[Path, ...], others: Counter[str]
) -> Iterator[tuple[str, dict[str, str]]]:
    """Each folder from `folder` on, with the kinds of its files by name.

    above: the real paths of the folders that `folder` is in, and its own. others: gets the number
    of hidden images and folders.
    """
    kinds: dict[str, str] = {}
    for entry in _entries(folder):
        kind = _kind(entry)
        if not _is_ours(entry.name):
            if kind == "folder" or Path(entry.name).suffix.lower() in SUFFIXES:
                others["hidden"] += 1
        elif kind == "folder":
            real = Path(entry.path).resolve() if entry.is_symlink() else above[-1] / entry.name
            if real in above:
                raise ScddError(
                    f"{shown(entry.path)} is a link to {shown(real)}, a folder that it is in. "
                    "Remove it."
                )
            yield from _walk(entry.path, (*above, real), others)
        else:
            kinds[entry.name] = kind
    yield folder, kinds


def _is_ours(name: str) -> bool:
    return not name.startswith(".") and name not in NOT_OURS


def _entries(folder: Path | str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise ScddError(f"{shown(folder)} cannot be read ({error.strerror}).") from None


def _kind(entry: os.DirEntry[str]) -> str:
    """'folder', 'file' or 'nothing': a broken link, say."""
    try:
        if entry.is_dir():
            return "folder"
        return "file" if entry.is_file() else "nothing"
    except OSError:  # a link to itself, or into a closed folder
        return "nothing"


def _is_nothing(path: Path) -> ScddError:
    what = "is neither a file nor a folder"
    if path.is_symlink():
        what = f"is a link to {shown(path.readlink())}, where no file or folder is"
    return ScddError(f"{shown(path)} {what}. Mend or remove it.")


def by_class(path: Path, classes: Sequence[str]) -> list[Path]:
    """The folder in `path` of each class, in the order of `classes`.

    Folders have the names of the classes, or class indices of equal width: alone (`00007`), after
    `new` (SRe2L's `new007`), or before the class name (`07_truck`, as exports have). A class name
    may also be written as `folder_name` does. Raises ScddError, naming the folder, where names or
    their number do not fit.
    """
    folders = class_folders(path)
    if len(folders) != len(classes):
        raise ScddError(
            f"{path} has {len(folders)} class folders, but the dataset has {len(classes)} classes."
        )
    named = {folder.name: folder for folder in folders}
    if set(named) == set(classes):
        return [named[name] for name in classes]
    if set(named) == set(map(folder_name, classes)):
        return [named[folder_name(name)] for name in classes]
    if len({len(index) for index in map(_index, named)}) == 1:
        indices = {name: int(_index(name)) for name in named if _index(name)}
        if sorted(indices.values()) == list(range(len(classes))):
            for name, index in indices.items():
                class_name = name.partition("_")[2]
                own = classes[index]
                if class_name not in {"", folder_name(own), own.replace("/", "_")}:
                    raise ScddError(
                        f"{path / name} should be class {index}, which is {own!r} in "
                        "the dataset. Make both of the same classes, in the same order."
                    )
            return sorted(folders, key=lambda folder: indices[folder.name])
    stray = min(set(named) - set(classes))
    raise ScddError(
        f"{path / stray} is not a class of the dataset (the first is {classes[0]!r}). Name the "
        "folders by class, or by class indices of equal width, such as new007 or 00007."
    )


def by_index_alone(path: Path, classes: Sequence[str] | None) -> bool:
    """Whether the folders in `path` are named by class indices alone, without class names."""
    names = {folder.name for folder in class_folders(path)}
    return names != set(classes or ()) and all(re.fullmatch(INDEX, name) for name in names)


def _index(name: str) -> str:
    """The digits of the class index in a folder's name; empty if it has none."""
    match = re.fullmatch(INDEX, name) or re.fullmatch(r"(\d+)_.+", name)
    return match[1] if match else ""


def check_names(files: Sequence[Path], index: int) -> None:
    """Raises ScddError where a file's name (SRe2L's `class007_id012.jpg`) has another class than
    `index`, its folder's."""
    for file in files:
        match = re.match(r"class(\d+)_id\d+\.", file.name)
        if match and int(match[1]) != index:
            raise ScddError(f"{file} is of class {int(match[1])}, but its folder is class {index}.")


def size_differs(file: Path, width: int, height: int, resolution: int) -> ScddError:
    """The error that images of `file` do not have the dataset's resolution."""
    return ScddError(
        f"{file} has images of {width} x {height} pixels, but the dataset's resolution is "
        f"{resolution}. Set dataset.resolution to the images' size; they are not resized."
    )
