"""CIFAR-100 with its 100 fine classes, the original python version (Krizhevsky 2009)."""

from collections.abc import Sequence
from pathlib import Path

from scdd.data.sets import SPLITS, VAL, Facts, Loaded
from scdd.data.sets._cifar import load as load_cifar

CLASSES = """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus
    butterfly camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch
    crab crocodile cup dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo
    keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain mouse
    mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy
    porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper
    snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television
    tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""

FACTS = Facts(
    classes=tuple(CLASSES.split()),
    resolution=32,
    mean=(0.5071, 0.4866, 0.4409),
    std=(0.2673, 0.2564, 0.2762),
    family="cifar",
    train=50_000,
    per_class=500,
    needs="cifar-100-python",
    downloads=True,
)


def load(root: Path, download: bool, splits: Sequence[str] = SPLITS, val: str = VAL) -> Loaded:
    from torchvision.datasets import CIFAR100

    return load_cifar(CIFAR100, root, download, splits)
