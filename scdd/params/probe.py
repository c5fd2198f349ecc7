"""Parameters of the stages `probe` and `informativeness`."""

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
    """The linear classifier on the frozen backbone, trained by SGD with a step schedule. `tune` has
    more of the network trained."""

    RENAMED: ClassVar = {"views": "features"}

    features: Literal["clean", "augmented", "imported"] = param(
        "augmented",
        "what the classifier is trained on. clean: the features of whole images, computed once; "
        "augmented: those of new views in every epoch; imported: nothing, the classifier in the "
        "imported file is used as it is",
    )
    view: View = param(View(crop="resized", scale=(0.2, 1.0)))
    epochs: Count = param(100, "passes over the training set")
    batch: Count = param(512, "images per step")
    lr: Positive = param(30.0, "learning rate")
    momentum: Share = param(0.9, "SGD's momentum")
    weight_decay: NotNegative = param(0.0, "L2 penalty")
    milestones: tuple[Share, ...] = param(
        (0.6, 0.8), "shares of the epochs at which lr falls to a tenth"
    )
    seed: Seed = param(0, "of the classifier's initial weights and the order of the batches")
    precision: Precision = param("float32", "of the backbone's forward passes; bf16: autocast")
    tune: Literal["classifier", "statistics", "all"] = param(
        "classifier",
        "what is trained. classifier: it alone; statistics: BatchNorm's running statistics move "
        "too, as those of a network that is left in training mode; all: so do all weights",
        as_before="classifier",
    )

    def __post_init__(self) -> None:
        if self.tune != "classifier" and self.features != "augmented":
            raise ValueError(
                f"tune {self.tune} moves the backbone, and features {self.features} are those of "
                "one that does not move; set features to augmented, or tune to classifier"
            )


@dataclass(frozen=True)
class Informativeness(Section):
    """How informative a squeezed backbone is, and which recover.r_bn suits it."""

    iterations: Count = param(100, "Adam steps of a short trial recovery")
    balance: Positive = param(
        0.1,
        "the suggested r_bn makes the gradient of r_bn x the BatchNorm loss, on noise, this many "
        "times that of the cross-entropy",
    )
