"""A user's own images: `train/<class>/*` and `val/<class>/*` below the data root."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from scdd.data.folders import beside, left_out
from scdd.data.layouts import absent, images_of, is_annotated
from scdd.data.sets import SPLITS, VAL, Facts, Loaded, class_folders
from scdd.errors import ScddError, shown
from scdd.jobs.progress import say

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


def load(root: Path, download: bool, splits: Sequence[str] = SPLITS, val: str = VAL) -> Loaded:
    """File names in ImageFolder's order. Says which files are not read. Raises ScddError where
    there is no class folder, and as `layouts.images_of` does."""
    classes = class_folders(root)
    if not classes:
        raise ScddError(f"{shown(root / 'train')} has no class folders with images.")
    places = {split: val if split == "val" else split for split in splits}
    parts = {}
    for split, place in places.items():
        labels: list[int] = []
        files: list[str] = []
        annotated = is_annotated(root / place, classes)
        others = Counter[str]() if annotated else beside(root / place, classes)
        for index, found in enumerate(images_of(root / place, classes)):
            labels += [index] * len(found.images)
            files += [image.relative_to(root).as_posix() for image in found.images]
            others += found.others
        how = ", as Tiny-ImageNet comes" if annotated else ""
        say(f"{shown(root / place)}{how}: {len(files)} images{left_out(others)}")
        parts[split] = (labels, files)
    return Loaded(
        tuple(classes), parts, lambda split, name: absent(root, places[split], classes, name)
    )
