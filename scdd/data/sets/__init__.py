"""One module for each dataset: its `FACTS`, known before any file is read, and its `load` function.

`load(root, download, splits, val)` reads only the named splits ('train', 'val'): where a part of
the training set is held out, nothing looks at the test set. `val` is the folder of the validation
images, of which only photos make use.
The plan reads the facts, so these modules import nothing heavy at their top.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from scdd.data import folders
from scdd.jobs import plugins
from scdd.params.data import SPLITS as SPLITS
from scdd.params.data import VAL as VAL


@dataclass(frozen=True)
class Facts:
    """What is known of a dataset without its files.

    classes: names in order, their number where only the files have the names, or None (a user's
    own folder). mean, std: by channel in [0, 1]. family: whose published parameters apply
    ('cifar', 'tiny', 'imagenet'); None: chosen by resolution. train: number of training images;
    per_class: those of the smallest class; None: unknown. needs: the folder that must exist below
    the data root; None: no folder. downloads: torchvision can fetch it. photos: its images are
    files of any size.
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
    """A dataset's classes, in order, and its splits: (labels, images or file names) by name.

    labels: list of int; images: uint8 numpy array [n, H, W, 3]; file names: relative to the root.
    absent: what a message says of a split that has no images of a class, by their names.
    """

    classes: tuple[str, ...]
    splits: dict[str, tuple[list[int], Any]]
    absent: Callable[[str, str], str] = "{} has no images of class {!r}.".format


def names() -> list[str]:
    """Every dataset's name, as the config spells it."""
    return plugins.names(__name__)


def module(name: str) -> ModuleType:
    """The dataset's module. Raises ScddError for an unknown name."""
    return plugins.load(__name__, name, "dataset")


def held_out(count: int, share: float) -> int:
    """How many of a class's `count` training images are held out: `share` of them, at least one."""
    return max(round(count * share), 1)


def class_folders(root: Path) -> list[str]:
    """Names of the class folders below `root`/train, sorted; empty where that does not exist."""
    train = root / "train"
    return [folder.name for folder in folders.class_folders(train)] if train.is_dir() else []
