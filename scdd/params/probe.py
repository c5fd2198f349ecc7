"""The linear classifier on the frozen backbone."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from scdd.params.base import (
    Count,
    NotNegative,
    Positive,
    Precision,
    Section,
    Seed,
    Share,
    param,
)
from scdd.params.views import View


@dataclass(frozen=True)
class Probe(Section):
    """The linear classifier on the frozen backbone: SGD with steps of 1/10."""

    RENAMED: ClassVar = {"views": "features"}

    features: Literal["clean", "augmented", "imported"] = param(
        "augmented",
        "clean: of whole images, computed once; augmented: of views, anew every epoch; imported: "
        "none, the classifier is the one in the imported file, untrained",
    )
    view: View = param(View(crop="resized", scale=(0.2, 1.0)))
    epochs: Count = param(100, "passes over the training set")
    batch: Count = param(512, "images a step")
    lr: Positive = param(30.0, "learning rate")
    momentum: Share = param(0.9, "SGD's momentum")
    weight_decay: NotNegative = param(0.0, "L2 penalty")
    milestones: tuple[Share, ...] = param((0.6, 0.8), "when lr falls, as shares of the epochs")
    seed: Seed = param(0, "of the classifier's weights and batch order")
    precision: Precision = param("float32", "of the passes through the backbone; bf16: autocast")


@dataclass(frozen=True)
class Informativeness(Section):
    """How informative a squeezed backbone is, and the r_bn that suits it."""

    iterations: Count = param(100, "Adam steps of the short recovery")
    balance: Positive = param(
        0.1, "suggested r_bn: the BN gradient on noise is so many times the CE gradient"
    )
