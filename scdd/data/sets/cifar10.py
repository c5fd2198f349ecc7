"""CIFAR-10, the original python version (Krizhevsky 2009)."""

from collections.abc import Sequence
from pathlib import Path

from scdd.data.sets import SPLITS, VAL, Facts, Loaded
from scdd.data.sets._cifar import load as load_cifar

FACTS = Facts(
    classes=tuple("airplane automobile bird cat deer dog frog horse ship truck".split()),  # noqa: SIM905
    resolution=32,
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
    family="cifar",
    train=50_000,
    per_class=5_000,
    needs="cifar-10-batches-py",
    downloads=True,
)


def load(root: Path, download: bool, splits: Sequence[str] = SPLITS, val: str = VAL) -> Loaded:
    from torchvision.datasets import CIFAR10

    return load_cifar(CIFAR10, root, download, splits)
