"""One module a dataset: its `FACTS`, known before any file is read, and its `load` function.

`load(root, download, splits)` reads the named ones of 'train' and 'val' and no other: where a part
of the training set is held out, nothing looks at the test set.
These modules import nothing heavy at their top, because the plan reads their facts.
"""

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from scdd.data import folders
from scdd.jobs import plugins

SPLITS = ("train", "val")


@dataclass(frozen=True)
class Facts:
    """What is known of a dataset without its files.

    classes: names in order, their number where only the files have the names, or None (a user's
    own folder). family: whose published parameters apply ('cifar', 'tiny', 'imagenet'), None for
    by resolution. train: training images; per_class: those of the smallest class; None: unknown.
    needs: the folder that must exist below the data root, None where nothing is needed.
    downloads: torchvision can fetch it. photos: its images are files of any size.
    """

    classes: tuple[str, ...] | int | None
    resolution: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    family: str | None
    train: int | None
    per_class: int | None
    needs: str | None
    downloads: bool = False
    photos: bool = False


@dataclass(frozen=True)
class Loaded:
    """A dataset in memory: class names in order; a split is (labels, images or file names).

    labels: list of int; images: uint8 numpy array [n, H, W, 3]; file names: relative to the root.
    """

    classes: tuple[str, ...]
    splits: dict[str, tuple[list[int], Any]]


def names() -> list[str]:
    """Every dataset's name, as the config spells it."""
    return plugins.names(__name__)


def module(name: str) -> ModuleType:
    """The dataset's module. Raises ScddError where there is none."""
    return plugins.load(__name__, name, "dataset")


def held_out(count: int, share: float) -> int:
    """How many of a class's `count` training images a held-out `share` takes: one at least."""
    return max(round(count * share), 1)


def class_folders(root: Path) -> list[str]:
    """The class folders below `root`/train in sorted order; none where there is no such folder."""
    train = root / "train"
    return [folder.name for folder in folders.class_folders(train)] if train.is_dir() else []
