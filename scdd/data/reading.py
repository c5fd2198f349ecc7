"""Reading a dataset's own files: its classes in order, and its splits as pixels or file names."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from scdd.artifacts.sizes import image_bytes
from scdd.data.decoding import size_of
from scdd.data.holdout import hold_out
from scdd.data.sets import Loaded, module
from scdd.data.source import decode
from scdd.errors import ScddError
from scdd.jobs.progress import say, track
from scdd.params.data import SPLITS, Data

IN_MEMORY = 4 * 2**30  # bytes of pixels up to which a split is decoded into one file


def choose_classes(
    known: tuple[str, ...], wanted: tuple[str, ...] | int | None, root: object
) -> tuple[str, ...]:
    """The class subset in its order: all of `known`, the first so many, or those named.

    Raises ScddError, naming `root`, where a class is missing.
    """
    if wanted is None:
        return known
    if isinstance(wanted, int):
        if wanted > len(known):
            raise ScddError(f"dataset.classes: {wanted}, but {root} has {len(known)} classes.")
        return known[:wanted]
    missing = [name for name in wanted if name not in known]
    if missing:
        raise ScddError(f"dataset.classes: {root} has no class {missing[0]!r}.")
    return wanted


def require_images(loaded: Loaded, classes: tuple[str, ...]) -> None:
    """Raises ScddError for the first of the `classes` of which a split has no images."""
    for split, (labels, _) in loaded.splits.items():
        present = set(labels)
        for name in classes:
            if loaded.classes.index(name) not in present:
                raise ScddError(loaded.absent(split, name))


def pixels(content: Any, root: Path, size: int, what: str) -> Tensor:
    """uint8 [n, 3, size, size] from an array [n, H, W, 3] or from file names."""
    if isinstance(content, list):
        files = track(content, f"decode {what}")
        return torch.stack([decode(root / file, size) for file in files])
    if content.shape[1:3] != (size, size):
        resized = (
            Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR)
            for image in content
        )
        content = np.stack([np.asarray(image) for image in resized])
    return torch.from_numpy(content).permute(0, 3, 1, 2).contiguous()


def check_headers(files: list[Path], what: str) -> None:
    """Raises ScddError, naming the file, for the first whose header is not that of an image."""
    with ThreadPoolExecutor() as pool:
        for _ in track(pool.map(size_of, files), f"check {what}", total=len(files)):
            pass


def split_train(
    train: tuple[list[int], Any], names: dict[int, str], share: float
) -> dict[str, tuple[list[int], Any]]:
    """The training set in two: what stays of it, and the held-out `share` as 'val'."""
    labels, content = train
    parts = hold_out(labels, names, share)
    return {
        split: ([labels[place] for place in places], select(content, places))
        for split, places in zip(SPLITS, parts, strict=True)
    }


def select(content: Any, places: list[int]) -> Any:
    """The items of an array or a list of file names at `places`."""
    return [content[place] for place in places] if isinstance(content, list) else content[places]


@dataclass(frozen=True)
class Part:
    """A split, 'train' or 'val'. labels: int64 [n]; content: pixels uint8 [n, 3, R, R] or, where
    they do not fit in memory, file names; files: the names of its files, None where it has none."""

    split: str
    labels: Tensor
    content: Tensor | list[str]
    files: list[str] | None


def read(params: Data, root: Path, download: bool) -> tuple[tuple[str, ...], Iterator[Part]]:
    """The class names in order, and the splits one after the other.

    Raises ScddError, naming what is wrong, where files or classes are missing or damaged.
    """
    share = params.holdout
    needed = ("train",) if share else SPLITS
    loaded = module(params.name).load(root, download, needed, params.val)
    classes = choose_classes(loaded.classes, params.classes, root)
    require_images(loaded, classes)
    position = {loaded.classes.index(name): place for place, name in enumerate(classes)}
    names = {label: loaded.classes[label] for label in position}
    splits = split_train(loaded.splits["train"], names, share) if share else loaded.splits

    def parts() -> Iterator[Part]:
        for split in SPLITS:
            labels, content = splits[split]
            members = [i for i, label in enumerate(labels) if label in position]
            chosen = torch.tensor([position[labels[i]] for i in members], dtype=torch.int64)
            content = select(content, members)
            files = content if isinstance(content, list) else None
            if image_bytes(len(members), params.resolution) <= IN_MEMORY:
                content = pixels(content, root, params.resolution, split)
            else:
                check_headers([root / file for file in content], split)
            say(f"{split}: {len(members)} images of {len(classes)} classes")
            yield Part(split, chosen, content, files)

    return classes, parts()
