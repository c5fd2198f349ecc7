"""Image folders and tensor files: which files there are, and of which class.

Pure Python: the plan uses it too.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from scdd.data.exported import folder_name
from scdd.errors import ScddError

# torchvision's ImageFolder reads these, and sorts by folder, then by file name
SUFFIXES = {".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"}
INDEX = r"(?:new)?(\d+)"  # a folder's name that is a class index
TENSORS = {".pt", ".pth"}


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
    labels = path.with_name(path.name.replace("images_", "labels_", 1))
    if not labels.exists():
        raise ScddError(f"{path} has no {labels.name} beside it.")
    return [path, labels]


def set_files(path: Path) -> list[Path]:
    """All files of a distilled set. Raises ScddError where there are none."""
    files = tensor_files(path) or [
        file for folder in class_folders(path) for file in image_files(folder)
    ]
    if not files:
        raise ScddError(f"{path} has no class folders with images, and no images_best.pt.")
    return files


def class_folders(path: Path) -> list[Path]:
    """The folders in `path`, in the order of torchvision's ImageFolder."""
    return sorted(entry for entry in path.iterdir() if entry.is_dir())


def image_files(folder: Path) -> list[Path]:
    """The images below `folder`, in ImageFolder's order; empty where it does not exist."""
    return [
        Path(root) / name
        for root, _, names in sorted(os.walk(folder, followlinks=True))
        for name in sorted(names)
        if Path(name).suffix.lower() in SUFFIXES
    ]


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
