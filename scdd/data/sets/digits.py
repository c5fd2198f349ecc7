"""The handwritten digits that scikit-learn ships (1,797 real 8x8 scans of the UCI test set)."""

from collections.abc import Sequence
from pathlib import Path

from scdd.data.sets import SPLITS, VAL, Facts, Loaded

FACTS = Facts(
    classes=tuple("0123456789"),
    resolution=16,
    mean=(0.305, 0.305, 0.305),
    std=(0.319, 0.319, 0.319),
    family=None,
    train=1437,
    per_class=139,
    needs=None,
)


def load(root: Path, download: bool, splits: Sequence[str] = SPLITS, val: str = VAL) -> Loaded:
    """Grey 8x8 scans as RGB. A fifth of each class, drawn at random, is the validation set."""
    import numpy as np
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    grey = np.round(digits.images / 16 * 255).astype(np.uint8)
    images = np.repeat(grey[..., None], 3, axis=-1)
    train, val = train_test_split(
        np.arange(len(images)), test_size=0.2, stratify=digits.target, random_state=0
    )
    places = {"train": train, "val": val}
    parts = {name: (digits.target[places[name]].tolist(), images[places[name]]) for name in splits}
    assert isinstance(FACTS.classes, tuple)
    return Loaded(FACTS.classes, parts)
