"""Images that are not recovered: real ones and noise."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Gt, Le, Lt

from scdd.params.base import (
    Count,
    Mean,
    Name,
    NotNegative,
    Positive,
    Precision,
    Section,
    Seed,
    Share,
    Std,
    param,
    require_mean_and_std,
)
from scdd.params.data import Pixels
from scdd.params.views import View


@dataclass(frozen=True)
class Sampling(Section):
    """Images that are not recovered: random real ones, or noise."""

    seed: Seed = param(0, "of the choice of images")


@dataclass(frozen=True)
class Coreset(Section):
    """The features by which real images are chosen."""

    precision: Precision = param("float32", "of the passes through the backbone; bf16: autocast")


@dataclass(frozen=True)
class Forgetting(Section):
    """The training run in which forgetting events are counted: SGD with Nesterov's momentum."""

    view: View = param(View())
    epochs: Count = param(200, "passes over the training set")
    batch: Count = param(128, "images a step")
    lr: Positive = param(0.1, "learning rate at first")
    momentum: Annotated[float, Gt(0), Lt(1)] = param(0.9, "SGD's, Nesterov's kind")
    weight_decay: NotNegative = param(5e-4, "L2 penalty")
    milestones: tuple[Share, ...] = param((0.3, 0.6, 0.8), "when lr falls, as shares of the epochs")
    factor: Annotated[float, Gt(0), Le(1)] = param(0.2, "to this share of it")
    seed: Seed = param(0, "of the weights, views, batch order and ties")
    precision: Precision = param("float32", "bf16: autocast")


@dataclass(frozen=True)
class Ccfs(Section):
    """Real images among distilled ones, lot by lot: those that a student of the images before gets
    wrong."""

    distilled: Annotated[float, Gt(0), Lt(1)] = param(
        0.2, "share of the slots that distilled images fill, rounded down, but one slot at least"
    )
    curricula: Count = param(3, "lots of real images, each chosen by a student of its own")
    protocol: Name | None = param(
        None, "by which these students are trained; null: the method's first one"
    )
    seed: Seed = param(0, "of these students")


@dataclass(frozen=True)
class Import(Section):
    """A distilled set that others made (docs/exports.md). Its path is in no digest: the sha256 of
    its content is."""

    BARE: ClassVar[str | None] = "path"

    path: str = param(meaning="an image folder, or DC's or MTT's tensors", in_config=False)
    mean: Mean | None = param(
        None, "that tensors are normalised by, in [0, 1]; null: the dataset's"
    )
    std: Std | None = param(None, "the same")
    range: Literal["unit", "byte", "symmetric", "normalised"] | None = param(
        None,
        "that tensors are in: unit [0, 1], byte [0, 255], symmetric [-1, 1]; null: normalised, and "
        "refused if the numbers plainly show another",
        as_before=None,
    )
    whitened: bool = param(
        False,
        "tensors are ZCA-whitened (MTT's --zca), by the matrix that the stage whiten fits",
        as_before=False,
    )
    matrix: str | None = param(
        None, "a file with the matrix that whitened them, in place of a fitted one", in_config=False
    )
    storage: Literal["uint8", "float32"] | None = param(
        None,
        "what students train on: uint8: 8-bit images; float32: the values of the tensors, nothing "
        "is rounded or clipped; null: float32 if whitened, else uint8",
        as_before=None,
    )
    learned_labels: bool = param(
        False,
        "labels [n, classes] are kept, for students with hard labels; false: the largest is the "
        "class",
        as_before=False,
    )
    student_lr: Positive | None = param(
        None,
        "the learning rate that was learned with the images, which their files do not have",
        as_before=None,
    )

    @property
    def pixels(self) -> Pixels:
        """What the numbers of its images are."""
        if (self.storage or ("float32" if self.whitened else "uint8")) == "uint8":
            return "uint8"
        return "zca" if self.whitened else "normalised"

    def __post_init__(self) -> None:
        require_mean_and_std(self.mean, self.std)
        if self.whitened and (self.mean or self.range):
            key = "mean" if self.mean else "range"
            raise ValueError(f"{key} is not for whitened tensors; leave it out, or whitened")
        if self.matrix is not None and not self.whitened:
            raise ValueError("matrix is for whitened tensors; set whitened: true, or leave it out")
        if self.mean is not None and self.range not in {None, "normalised"}:
            raise ValueError(
                f"mean and std are of normalised tensors, but range is {self.range}; set one of "
                "the two"
            )
