"""How many images a plan's artifacts are of, known or counted before any of them is there."""

from dataclasses import dataclass
from pathlib import Path

from scdd.artifacts.files import read_json
from scdd.data import sets
from scdd.data.folders import class_folders
from scdd.params.network import Network
from scdd.plan.cost.networks import Size, size_of
from scdd.plan.plan import Node, Plan

# validation images of the datasets that have a fixed number of them
VALIDATION = {
    "digits": 360,
    "cifar10": 10_000,
    "cifar100": 10_000,
    "tiny-imagenet": 10_000,
    "imagenet1k": 50_000,
}


class NotCounted(Exception):
    """What is not known, in words: the work of a stage cannot be counted without it."""


@dataclass(frozen=True)
class Counts:
    """Of the dataset that an artifact descends from: pixels a side, classes, training and
    validation images."""

    resolution: int
    classes: int
    train: int
    val: int


def counts_of(plan: Plan, node: Node) -> Counts:
    """Raises NotCounted where neither the dataset's facts nor its files say how many images there
    are."""
    data = plan.data_of(node)
    resolution, classes = data.params["resolution"], plan.classes[data.key]
    made = data.folder / "dataset.json"
    if made.exists():
        content = read_json(made)
        return Counts(resolution, classes, content["train"], content["val"])
    train = plan.train[data.key] or _files(Path(plan.roots[data.key]["root"]) / "train", classes)
    if not train:
        raise NotCounted(f"how many training images {data.label} has")
    return Counts(resolution, classes, train, _validation(plan, data, train))


def _validation(plan: Plan, data: Node, train: int) -> int:
    name, classes = data.params["name"], plan.classes[data.key]
    share: float = data.params["holdout"]
    if share:
        return round(train * share / (1 - share))  # of the training images
    if known := VALIDATION.get(name):
        whole = sets.module(name).FACTS.classes
        all_classes: int = whole if isinstance(whole, int) else len(whole)
        return round(known * classes / all_classes)
    counted = _files(Path(plan.roots[data.key]["root"]) / data.params["val"], classes)
    if not counted:
        raise NotCounted(f"how many validation images {data.label} has")
    return counted


def _files(folder: Path, classes: int) -> int:
    """The files in the first so many class folders; 0 where there are none."""
    if not folder.is_dir():
        return 0
    return sum(1 for each in class_folders(folder)[:classes] for _ in each.iterdir())


def backbone_of(plan: Plan, node: Node) -> Network:
    """The network of a squeeze, or of a probe's backbone."""
    if node.stage == "probe":
        node = plan.parent(node, "backbone")
    return Network.of(node.params)


def student_size(network: Network, resolution: int, classes: int) -> Size:
    """Raises NotCounted for timm's networks."""
    size = size_of(network, resolution, classes)
    if size is None:
        raise NotCounted(f"the arithmetic of {network.arch}")
    return size
