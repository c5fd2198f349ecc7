"""Images that are learned themselves: the classic methods, and the experts of some of them."""

from dataclasses import dataclass
from typing import Literal

from scdd.params.base import (
    BelowOne,
    Count,
    CountOrZero,
    NotNegative,
    Positive,
    Section,
    Seed,
    Share,
    param,
)
from scdd.params.network import Network


@dataclass(frozen=True, kw_only=True)
class Learn(Section):
    """What all methods that learn images have in common."""

    iterations: Count = param(meaning="of the method's outer loop")
    lr_images: Positive = param(meaning="SGD's, of the images")
    momentum: BelowOne = param(0.5, "SGD's, of the images")
    network: Network = param(
        Network("convnet3"), "that images are learned with: a ConvNet with instance norm"
    )
    start: Literal["noise", "real"] = param(
        "real", "real: the training images that the method random has for an equal seed"
    )
    zca: bool = param(False, "images are whitened (ZCA, fitted on the training set)")
    snapshots: CountOrZero = param(
        0,
        "image sets on the way, evenly over the iterations, that students of hard labels are "
        "trained on too: a curve of accuracy, and the best of its points",
    )
    seed: Seed = param(0, "of the start, the networks, real batches and augmentation")

    @property
    def snapshot_iterations(self) -> list[int]:
        """After how many iterations the snapshots are taken; the finished images are not among
        them."""
        parts = self.snapshots + 1
        marks = (self.iterations * part // parts for part in range(1, parts))
        return sorted(set(marks) - {0, self.iterations})


@dataclass(frozen=True, kw_only=True)
class Matched(Learn):
    """Methods that compare learned images with real ones, class by class."""

    batch: Count = param(256, "real images of each class in a step")
    dsa: bool = param(True, "both sides are augmented in the same way (DSA, siamese)")
    dsa_by: Literal["class", "step"] = param(
        "class",
        "what is drawn for DSA holds for a class in a step, as in the released code; step: for all "
        "classes, as in DSA's paper",
    )


@dataclass(frozen=True, kw_only=True)
class Dc(Matched):
    """DC and DSA: gradients of a network in training are matched (arXiv 2006.05929, 2102.08259)."""

    outer: Count = param(meaning="steps of the images with one network")
    inner: Count = param(meaning="epochs of the network on the images between two of them")
    distance: Literal["rows", "mse", "cosine"] = param(
        "rows",
        "rows: 1 - cosine of each row of a weight, summed; mse: of all numbers; cosine: of all as "
        "one vector",
    )
    lr_network: Positive = param(0.01, "SGD's, of the network")
    batch_network: Count = param(256, "learned images in a step of the network")


@dataclass(frozen=True, kw_only=True)
class Dm(Matched):
    """DM: mean features of untrained networks are matched (arXiv 2110.04181)."""


@dataclass(frozen=True, kw_only=True)
class Cafe(Matched):
    """CAFE: mean features of all layers are matched (arXiv 2203.01531)."""

    layers: tuple[NotNegative, NotNegative, NotNegative, NotNegative] = param(
        (0.1, 0.1, 1.0, 1.0), "weights of the features of blocks 1 to 3, and of what is pooled last"
    )
    discrimination: NotNegative = param(
        0.01, "factor of the loss of real features against the learned images' class means"
    )
    milestones: tuple[Share, ...] = param(
        (0.6, 0.8, 0.9), "shares of the iterations at which lr_images is halved"
    )
    calm: Positive = param(
        0.04, "steps of the images end when the accuracies of ten differ by less"
    )
    moved: Positive = param(
        0.03, "epochs of the network end when the accuracies of ten differ by more"
    )
    watch: Count = param(128, "real images of each class that accuracies are measured on")
    most_steps: Count = param(100, "of the images with one network: the bound of a loop")
    most_epochs: Count = param(1000, "of the network after a step: the bound of a loop")
    lr_network: Positive = param(0.01, "SGD's, of the network")
    batch_network: Count = param(256, "learned images in a step of the network")


@dataclass(frozen=True, kw_only=True)
class Trajectory(Learn):
    """MTT and TESLA: a student's parameters after some steps on the images are matched with an
    expert's (arXiv 2203.11932, 2211.10586)."""

    steps: Count = param(meaning="of the student in an iteration")
    expert_epochs: Count = param(meaning="of the expert in an iteration")
    max_start: Count = param(meaning="the expert's epoch to begin at is drawn below it")
    student_lr: Positive = param(meaning="the student's learning rate at first; it is learned")
    lr_student_lr: NotNegative = param(meaning="SGD's, of the student's learning rate")
    batch: Count | None = param(None, "learned images in a step of the student; null: all")
    dsa: bool = param(True, "the student's batches are augmented (DSA)")
    soft_labels: bool = param(False, "labels are the target network's probabilities (TESLA)")
    gradient: Literal["exact", "frozen", "code"] = param(
        "exact",
        "exact: MTT's, of the whole unrolled training; frozen: TESLA's, which takes the student's "
        "path as given; code: half of it for the images, as TESLA's code has it",
    )

    @property
    def last_epoch(self) -> int:
        """The last of the experts' epochs that is followed."""
        return self.max_start - 1 + self.expert_epochs


@dataclass(frozen=True, kw_only=True)
class Experts(Section):
    """Networks trained on the whole training set, whose parameters are kept by epoch."""

    count: Count = param(100, "networks")
    lr: Positive = param(0.01, "SGD's, constant, without momentum and weight decay")
    batch: Count = param(256, "images a step")
    dsa: bool = param(True, "batches are augmented (DSA)")
    per_file: Count = param(10, "networks in a file; a job trains them together")
    storage: Literal["float32", "bf16"] = param(
        "float32", "bf16: half the bytes; parameters are rounded"
    )
    seed: Seed = param(0, "of the networks, batches and augmentation")


LEARNS: dict[str, type[Learn]] = {
    "dc": Dc,
    "dsa": Dc,
    "dm": Dm,
    "cafe": Cafe,
    "cafe-dsa": Cafe,
    "mtt": Trajectory,
    "tesla": Trajectory,
    "tesla-exact": Trajectory,
}
