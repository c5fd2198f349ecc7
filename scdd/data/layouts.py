"""Where the images of a split are: in a folder for each class, or as Tiny-ImageNet comes.

Tiny-ImageNet's own archive has `train/<class>/images/*`, and `val/images/*` with
`val/val_annotations.txt`, whose lines begin with a file's name and its class.
Pure Python: the plan uses it too.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from scdd.data.folders import (
    SUFFIXES,
    Found,
    class_folders,
    left_out,
    look,
)
from scdd.errors import ScddError, shown

ANNOTATIONS, IMAGES = "val_annotations.txt", "images"
USUAL = ("validation", "valid", "val", "test", "testing", "eval", "dev")  # names for such a folder
LISTED = 3  # names that a message shows
HOLD_OUT = "set dataset.holdout: 0.1 to hold out a tenth of the training images instead"


def images_of(folder: Path, classes: Sequence[str]) -> Iterator[Found]:
    """What a split in `folder` has of each of its `classes`, in order.

    Raises ScddError, naming file and line, where Tiny-ImageNet's annotations are damaged, and as
    `folders.look` does.
    """
    if not is_annotated(folder, classes):
        yield from (look(folder / name) for name in classes)
        return
    files: dict[str, list[str]] = {name: [] for name in classes}
    found = look(folder / IMAGES)
    there = {file.name for file in found.images if file.parent == folder / IMAGES}
    annotated = _annotated(folder)
    for number, (file, name) in annotated.items():
        if name not in files:
            continue
        if file not in there:
            raise ScddError(
                f"{shown(folder / ANNOTATIONS)}, line {number}: {file!r} is not an image in "
                f"{shown(folder / IMAGES)}."
            )
        files[name].append(file)
    others = found.others
    if unknown := there - {file for file, _ in annotated.values()}:
        others["images without a class"] = len(unknown)
    for name in classes:
        yield Found([folder / IMAGES / file for file in sorted(files[name])], others)
        others = Counter()


def is_annotated(folder: Path, classes: Sequence[str]) -> bool:
    """Whether a file says of which class the images in `folder` are. Folders of classes count
    more: some people sort the images and leave the file where it is."""
    if not (folder / ANNOTATIONS).is_file():
        return False
    return not any((folder / name).is_dir() for name in classes)


def _annotated(folder: Path) -> dict[int, tuple[str, str]]:
    """Name and class of each image that the annotations tell of, by line."""
    path = folder / ANNOTATIONS
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ScddError(f"{shown(path)} cannot be read ({error}).") from None
    known: dict[int, tuple[str, str]] = {}
    seen: set[str] = set()
    for number, line in enumerate(lines, 1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) < 2 or "/" in fields[0] or fields[0] in seen:
            what = "names an image again" if fields[0] in seen else "is not a file name and a class"
            raise ScddError(f"{shown(path)}, line {number} {what}: {line[:80]!r}.")
        seen.add(fields[0])
        known[number] = (fields[0], fields[1])
    return known


def require_training(root: Path) -> None:
    """Raises ScddError, saying what is there, where `root` has folders, but no `train`."""
    if (root / "train").is_dir():
        return
    message = f"there is no folder {shown(root / 'train')} with the folders of the classes."
    own = class_folders(root)
    for folder in own:
        if (folder / "train").is_dir():
            raise ScddError(f"{message} Set dataset.root: {shown(folder)}.")
        if folder.name.lower() in {"train", "training"}:
            raise ScddError(f"{message} Rename {shown(folder)} to train.")
    raise ScddError(f"{message} There is {_quoted([folder.name for folder in own])}.")


def require_validation(root: Path, val: str, classes: Sequence[str]) -> None:
    """Raises ScddError, saying what is there and what to do, where the folder `val` below `root`
    has no place for the images of a class. Whether a class's folder is empty is not looked at."""
    folder = root / val
    if is_annotated(folder, classes):
        places = {name for _, name in _annotated(folder).values()}
    elif folder.is_dir():
        places = {place.name for place in class_folders(folder)}
    else:
        places = set()
    for name in classes:
        if name not in places:
            raise ScddError(absent(root, val, classes, name))


def absent(root: Path, split: str, classes: Sequence[str], name: str) -> str:
    """What a message says where the folder `split` below `root` has no images of class `name`:
    what is there instead, and what to do."""
    folder = root / split
    if not folder.is_dir():
        return _no_folder(root, split, classes)
    if is_annotated(folder, classes):
        return f"{shown(folder / ANNOTATIONS)} names no image of class {name!r}."
    own = [place.name for place in class_folders(folder)]
    if name in own:
        rest = left_out(look(folder / name).others)
        return (
            f"{shown(folder / name)} has no images{rest}. Add some, which end in "
            f"{_listed(sorted(SUFFIXES), len(SUFFIXES))}, or leave the class out by "
            "dataset.classes."
        )
    train = _quoted(classes)
    if own == [IMAGES]:
        return (
            f"{shown(folder / IMAGES)} does not tell the images' classes. Put Tiny-ImageNet's "
            f"{ANNOTATIONS} into {shown(folder)}, or sort them into folders named as in train: "
            f"{train}."
        )
    if not own:
        images = len(look(folder).images)
        return (
            f"{shown(folder)} has {images or 'no'} images and no class folders. Sort the images "
            f"into folders named as in train, {train} (ImageNet's by valprep.sh), or {HOLD_OUT}."
        )
    missing = [each for each in classes if each not in own]
    start = f"{shown(folder / name)} has no images: there is no such folder. "
    if len(missing) < len(classes):
        strays = [each for each in own if each not in classes]
        beside = f", and has {_quoted(strays)}, which train lacks" if strays else ""
        return (
            f"{start}{shown(folder)} lacks {len(missing)} of {len(classes)} classes "
            f"({_quoted(missing)}){beside}. Make them alike, or leave classes out by "
            "dataset.classes."
        )
    for inner in own:
        if (folder / inner / name).is_dir():
            return (
                f"{start}There is {shown(folder / inner / name)}: set dataset.val: {split}/{inner}."
            )
    return (
        f"{start}The folders in {shown(folder)} are named {_quoted(own)}, and those in train "
        f"{train}. Give them the same names."
    )


def _no_folder(root: Path, split: str, classes: Sequence[str]) -> str:
    folder = root / split
    others = [
        place.name
        for place in class_folders(root)
        if place.name not in {"train", split}
        and (place.name.lower() in USUAL or any((place / name).is_dir() for name in classes[:1]))
    ]
    if others:
        named = f"dataset.val: {others[0]}" if len(others) == 1 else "dataset.val to one of them"
        return (
            f"there is no folder {shown(folder)}, but there is {_quoted(others)} beside train. "
            f"Set {named}, or {HOLD_OUT}."
        )
    return (
        f"there is no folder {shown(folder)}. Name the folder of the validation images, below "
        f"{shown(root)}, as dataset.val, or {HOLD_OUT}."
    )


def _quoted(names: Sequence[str]) -> str:
    return _listed([repr(name) for name in names], LISTED)


def _listed(names: Sequence[str], most: int) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
