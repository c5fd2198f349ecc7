"""A user's own images: `train/<class>/*` and `val/<class>/*` below the data root."""

from collections.abc import Sequence
from pathlib import Path

from scdd.data.folders import image_files
from scdd.data.sets import SPLITS, Facts, Loaded, class_folders
from scdd.errors import ScddError

FACTS = Facts(
    classes=None,
    resolution=224,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    family=None,
    train=None,
    per_class=None,
    needs="train",
    photos=True,
)


def load(root: Path, download: bool, splits: Sequence[str] = SPLITS) -> Loaded:
    """File names in ImageFolder's order. Raises ScddError where there is no class folder."""
    classes = class_folders(root)
    if not classes:
        raise ScddError(f"{root / 'train'} has no class folders with images.")
    parts = {}
    for split in splits:
        labels: list[int] = []
        files: list[str] = []
        for index, name in enumerate(classes):
            folder = root / split / name
            images = image_files(folder)
            labels += [index] * len(images)
            files += [image.relative_to(root).as_posix() for image in images]
        parts[split] = (labels, files)
    return Loaded(tuple(classes), parts)
