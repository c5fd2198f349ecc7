"""Squeezing a dataset into a backbone."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, get_args

from annotated_types import Ge, Le

from scdd.params.base import (
    Count,
    CountOrZero,
    Mean,
    NotNegative,
    Pair,
    Positive,
    Precision,
    Section,
    Seed,
    Share,
    Std,
    param,
)
from scdd.params.views import SmallCrops, View

# the layouts that scdd.interop.checkpoints knows; listed here so that a plan needs no torch
LayoutName = Literal[
    "auto",
    "mocov2",
    "mocov3",
    "swav",
    "dino",
    "barlow-twins",
    "solo-learn",
    "lightly",
    "timm",
    "torchvision",
]
LAYOUTS: tuple[str, ...] = get_args(LayoutName)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def require_warm_up_ends(warmup_epochs: int, epochs: int) -> None:
    if warmup_epochs >= epochs:
        raise ValueError(f"warmup_epochs {warmup_epochs} leave none of {epochs} epochs")


def require_queue_fits(queue: int, batch: int) -> None:
    if queue % batch:
        raise ValueError(f"queue {queue} is not a multiple of batch {batch}")


@dataclass(frozen=True)
class Training(Section):
    """What all squeezes that train have in common: warm-up, cosine schedule, random views."""

    RENAMED: ClassVar = {
        "jitter": "colour_jitter",
        "jitter_p": "colour_jitter_p",
        "ema": "target_momentum",
    }

    epochs: Count = param(200, "passes over the training set")
    batch: Count = param(256, "images a step, of all processes together")
    lr: Positive = param(0.06, "peak learning rate")
    optimizer: Literal["sgd", "adamw", "lars"] = param(
        "sgd", "lars: for large batches; it neither adapts nor decays vectors"
    )
    momentum: Share = param(0.9, "SGD's and LARS's momentum")
    weight_decay: NotNegative = param(5e-4, "L2 penalty, or AdamW's decay")
    warmup_epochs: CountOrZero = param(0, "epochs of linear warm-up")
    final_lr: NotNegative = param(0.0, "learning rate at the end of the cosine")
    seed: Seed = param(0, "of the weights, views and batch order of this squeeze")
    precision: Precision = param("float32", "bf16: autocast, statistics in float32")
    view: View = param(View(crop="resized", scale=(0.2, 1.0)))
    colour_jitter: tuple[
        NotNegative, NotNegative, NotNegative, Annotated[float, Ge(0), Le(0.5)]
    ] = param((0.4, 0.4, 0.4, 0.1), "brightness, contrast, saturation, hue")
    colour_jitter_p: Share = param(0.8, "probability of colour jitter")
    grey_p: Share = param(0.2, "probability of turning an image grey")
    bn_groups: Count = param(1, "groups of BN statistics in a batch, as of so many devices")
    knn_every: CountOrZero = param(10, "epochs between k-NN accuracies; 0: none", in_digest=False)

    def __post_init__(self) -> None:
        require_warm_up_ends(self.warmup_epochs, self.epochs)
        alone = self.bn_groups == 1
        if self.batch % self.bn_groups or (self.batch // self.bn_groups < 2 and not alone):
            raise ValueError(
                f"batch {self.batch} does not split into {self.bn_groups} BN groups of 2 or more"
            )
        if self.final_lr > self.lr:
            raise ValueError(f"final_lr {self.final_lr} is larger than lr {self.lr}")

    @property
    def blurs(self) -> Pair:
        """The probabilities of blurring the large views."""
        return (0.0, 0.0)

    @property
    def solarises(self) -> Pair:
        """The probabilities of solarising the large views."""
        return (0.0, 0.0)

    @property
    def multi_crop(self) -> SmallCrops | None:
        """The small views beside the large ones."""
        return None


@dataclass(frozen=True)
class MoCoV2(Training):
    """MoCo v2 (arXiv 2003.04297): queue, momentum encoder, MLP head."""

    method: Literal["mocov2"] = param("mocov2")
    queue: Count = param(4096, "keys kept as negatives")
    target_momentum: Share = param(0.99, "of the key encoder")
    temperature: Positive = param(0.1, "of the contrastive loss")
    dim: Count = param(128, "output of the MLP head")
    symmetric: bool = param(True, "both views are queries in turn")
    bn_groups: Count = param(8, "groups of BN statistics, in place of shuffling BN")
    blur_p: Pair = param((0.0, 0.0), "probabilities of blurring the two views")

    def __post_init__(self) -> None:
        super().__post_init__()
        require_queue_fits(self.queue, self.batch)

    @property
    def blurs(self) -> Pair:
        return self.blur_p


@dataclass(frozen=True)
class Asymmetric(Training):
    """What the later self-supervised methods have in common: views of two kinds."""

    blur_p: Pair = param((0.0, 0.0), "probabilities of blurring the two large views")
    solarise_p: Pair = param((0.0, 0.0), "… and of solarising them")

    @property
    def blurs(self) -> Pair:
        return self.blur_p

    @property
    def solarises(self) -> Pair:
        return self.solarise_p


@dataclass(frozen=True)
class MultiCrop(Asymmetric):
    """Two large views and several small ones."""

    small: SmallCrops = param(SmallCrops())

    @property
    def multi_crop(self) -> SmallCrops:
        return self.small


@dataclass(frozen=True)
class MoCoV3(Asymmetric):
    """MoCo v3 (arXiv 2104.02057) for ResNets: predictor, momentum encoder, no queue."""

    method: Literal["mocov3"] = param("mocov3")
    target_momentum: Share = param(0.99, "of the key encoder at first; a cosine to 1")
    temperature: Positive = param(0.2, "of the contrastive loss")
    hidden: Count = param(4096, "width of projector and predictor")
    dim: Count = param(256, "output of projector and predictor")


@dataclass(frozen=True)
class SwAV(MultiCrop):
    """SwAV (arXiv 2006.09882): online clustering, multi-crop."""

    method: Literal["swav"] = param("swav")
    temperature: Positive = param(0.1, "of the predicted assignments")
    hidden: Count = param(2048, "width of the projector")
    dim: Count = param(128, "output of the projector")
    prototypes: Count = param(3000, "clusters")
    epsilon: Positive = param(0.05, "smoothness of the Sinkhorn-Knopp codes")
    iterations: Count = param(3, "of Sinkhorn-Knopp")
    queue: CountOrZero = param(0, "embeddings that join a small batch; 0: none")
    queue_from: CountOrZero = param(15, "epoch from which the queue is filled")
    freeze_steps: CountOrZero = param(313, "steps before the prototypes move")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.queue and self.queue_from >= self.epochs:
            raise ValueError(
                f"queue_from {self.queue_from} comes after all {self.epochs} epochs; set queue: 0"
            )
        require_queue_fits(self.queue, self.batch)


@dataclass(frozen=True)
class DINO(MultiCrop):
    """DINO (arXiv 2104.14294): self-distillation with a centred, sharpened teacher, multi-crop."""

    method: Literal["dino"] = param("dino")
    small: SmallCrops = param(SmallCrops(count=8))
    target_momentum: Share = param(0.996, "of the teacher at first; a cosine to 1")
    temperature: Positive = param(0.1, "of the student")
    teacher_temperatures: tuple[Positive, Positive] = param(
        (0.04, 0.04), "of the teacher, at first and after its warm-up"
    )
    temperature_epochs: CountOrZero = param(0, "epochs of that warm-up")
    centre_momentum: Share = param(0.9, "of the mean that is subtracted from the outputs")
    hidden: Count = param(2048, "width of the head")
    bottleneck: Count = param(256, "the head's width before its last layer")
    outputs: Count = param(65536, "the head's outputs")
    head_bn: bool = param(True, "BatchNorm in the head")
    freeze_epochs: CountOrZero = param(1, "epochs before the last layer moves")
    clip: NotNegative = param(3.0, "longest gradient of a weight; 0: any")


@dataclass(frozen=True)
class Supervised(Training):
    """Cross-entropy with labels: SRe2L's squeeze."""

    method: Literal["supervised"] = param("supervised")
    colour_jitter_p: Share = param(0.0, "probability of colour jitter")
    grey_p: Share = param(0.0, "probability of turning an image grey")


@dataclass(frozen=True)
class Untrained(Section):
    """A freshly initialised network: a control."""

    method: Literal["untrained"] = param("untrained")
    seed: Seed = param(0, "of the weights")


@dataclass(frozen=True)
class Source(Section):
    """A checkpoint that others trained. `file` is not among an artifact's parameters: the sha256 of
    its content is."""

    file: str = param(meaning="its path; in no digest", in_config=False)
    layout: LayoutName = param("auto", "whose keys it has; auto: found by them")
    classes: tuple[str, ...] | str | None = param(
        None, "its classifier's, in order: names, or a text file with one a line"
    )
    mean: Mean = param(
        IMAGENET_MEAN,
        "that it was trained with: the dataset's must be the same",
        in_digest=False,
    )
    std: Std = param(IMAGENET_STD, "the same", in_digest=False)
    url: str = param("", "where it is from", in_digest=False)
    licence: str = param("", "under which it may be used", in_digest=False)


@dataclass(frozen=True)
class Imported(Section):
    """A backbone from a public checkpoint (docs/checkpoints.md)."""

    source: Source = param()
    method: Literal["imported"] = param("imported")


SQUEEZES: dict[str, type[Section]] = {
    "mocov2": MoCoV2,
    "mocov3": MoCoV3,
    "swav": SwAV,
    "dino": DINO,
    "supervised": Supervised,
    "untrained": Untrained,
    "imported": Imported,
}
