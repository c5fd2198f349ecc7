"""Every key of the configuration: its type, range, default and meaning.

A model's fields are one stage's parameters; the frozen config of an artifact holds them all. A
field added later carries `as_before=...`: the value under which results are what they were without
the field. While it has that value it stays out of the digest, so an update keeps old results; and
since their frozen configs lack the key, its program reads it as `params.get(key, as_before)`.
"""

import re
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=60)]
Channels = tuple[Positive, Positive, Positive]
Ipc = Annotated[int, Field(ge=1, le=100_000)]


def _once(values: tuple[Any, ...]) -> tuple[Any, ...]:
    for value in values:
        if values.count(value) > 1:
            shown = getattr(value, "label", value)
            raise ValueError(f"{shown} stands twice")
    return values


Once = AfterValidator(_once)
Precision = Literal["float32", "bf16"]
# the names that scdd.models builds; listed here so that a plan needs no torch
ARCHITECTURES = ("resnet10", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
# the layouts that scdd.layouts knows, for the same reason
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


ASIDE: dict[str, Any] = {"in_digest": False}  # of a field that changes no result


class Section(BaseModel):
    """Unknown keys are errors; values are checked on the way in and fixed afterwards."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False
    )

    @model_validator(mode="before")
    @classmethod
    def _no_yes_for_a_number(cls, values: Any) -> Any:
        for key, value in values.items() if isinstance(values, dict) else ():
            field = cls.model_fields.get(key)
            for one in value if isinstance(value, list | tuple) else (value,):
                if isinstance(one, bool) and field and field.annotation is not bool:
                    raise ValueError(f"{key} cannot be {str(one).lower()}")
        return values

    def identity(self) -> dict[str, Any]:
        """The parameters that stand in the digest: all that change results, but later ones that are
        'as before'."""
        kept: dict[str, Any] = {}
        for key, value in self.model_dump(mode="json").items():
            extra = type(self).model_fields[key].json_schema_extra or {}
            if extra in ({"as_before": value}, ASIDE):
                continue
            own = getattr(self, key)
            kept[key] = own.identity() if isinstance(own, Section) else value
        return kept


C = TypeVar("C", bound="View | SmallCrops")


def _scale_is_a_range(crops: C) -> C:
    if not crops.scale[0] <= crops.scale[1] <= 1:
        raise ValueError(f"scale {list(crops.scale)} is no range within 0 and 1")
    return crops


class View(Section):
    """How an image is cropped and mirrored before a network sees it."""

    crop: Literal["none", "padded", "resized"] = Field(
        "padded", description="no crop; a crop after zero padding; a crop that is resized back"
    )
    pad: int = Field(
        4, ge=0, le=1024, description="pixels of zero padding on each side (crop: padded)"
    )
    scale: tuple[Positive, Positive] = Field(
        (0.08, 1.0), description="range of the crop's share of the area (crop: resized)"
    )
    flip: bool = Field(True, description="mirror left-right with probability 1/2")

    @model_validator(mode="after")
    def _scale_is_a_range(self) -> "View":
        return _scale_is_a_range(self)


def _named(value: Any) -> Any:
    return {"arch": value} if isinstance(value, str) else value


class Network(Section):
    """A backbone or student. A bare name stands for its `arch`."""

    arch: str = Field(
        "resnet18",
        description="resnet10, 18, 34, 50, 101 or 152; a student: also convnet3, a name of "
        "torchvision's or timm:<name> (docs/students.md)",
    )
    width: float = Field(
        1.0, ge=1 / 64, le=64, description="factor on the channels of a ResNet or ConvNet"
    )
    stem: Literal["auto", "small", "small-pad2", "imagenet"] = Field(
        "auto",
        description="small: 3x3, no pooling; small-pad2: solo-learn's; imagenet: as published; "
        "auto: small, if there is one, up to 64 pixels, imagenet above",
    )

    @property
    def label(self) -> str:
        width = "" if self.width == 1 else f"-w{self.width:g}"
        name = self.arch.replace(":", "-")  # it stands in paths
        return name + width + ("" if self.stem == "auto" else f"-{self.stem}")


T = TypeVar("T", bound="Training | Train")


def _warm_up_ends(section: T) -> T:
    if section.warmup_epochs >= section.epochs:
        raise ValueError(
            f"warmup_epochs {section.warmup_epochs} leave none of {section.epochs} epochs"
        )
    return section


Pair = tuple[Share, Share]


class Training(Section):
    """What all squeezes that train have in common: warm-up, cosine schedule, random views."""

    epochs: Count = Field(200, description="passes over the training set")
    batch: Count = Field(256, description="images a step")
    lr: Positive = Field(0.06, description="peak learning rate")
    momentum: Share = Field(0.9, description="SGD's momentum")
    weight_decay: NotNegative = Field(5e-4, description="L2 penalty")
    warmup_epochs: int = Field(0, ge=0, description="epochs of linear warm-up")
    seed: Seed = Field(0, description="of the weights, views and batch order of this squeeze")
    precision: Precision = Field("float32", description="bf16: autocast, statistics in float32")
    view: View = View(crop="resized", scale=(0.2, 1.0))
    jitter: tuple[NotNegative, NotNegative, NotNegative, Annotated[float, Field(ge=0, le=0.5)]] = (
        Field((0.4, 0.4, 0.4, 0.1), description="brightness, contrast, saturation, hue")
    )
    jitter_p: Share = Field(0.8, description="probability of colour jitter")
    grey_p: Share = Field(0.2, description="probability of turning an image grey")
    bn_groups: Count = Field(
        1,
        description="groups of BN statistics in a batch, as of so many devices",
        json_schema_extra={"as_before": 1},
    )
    knn_every: int = Field(
        10, ge=0, description="epochs between k-NN accuracies; 0: none", json_schema_extra=ASIDE
    )

    @model_validator(mode="after")
    def _warm_up_ends(self) -> "Training":
        return _warm_up_ends(self)

    @model_validator(mode="after")
    def _groups_fit(self) -> "Training":
        alone = self.bn_groups == 1
        if self.batch % self.bn_groups or (self.batch // self.bn_groups < 2 and not alone):
            raise ValueError(
                f"batch {self.batch} does not split into {self.bn_groups} BN groups of 2 or more"
            )
        return self


Q = TypeVar("Q", bound="MoCoV2 | SwAV")


def _queue_fits(section: Q) -> Q:
    if section.queue % section.batch:
        raise ValueError(f"queue {section.queue} is no multiple of batch {section.batch}")
    return section


class MoCoV2(Training):
    """MoCo v2 (arXiv 2003.04297): queue, momentum encoder, MLP head."""

    method: Literal["mocov2"] = "mocov2"
    queue: Count = Field(4096, description="keys kept as negatives")
    ema: Share = Field(0.99, description="momentum of the key encoder")
    temperature: Positive = Field(0.1, description="of the contrastive loss")
    dim: Count = Field(128, description="output of the MLP head")
    symmetric: bool = Field(True, description="both views are queries in turn")
    bn_groups: Count = Field(8, description="groups of BN statistics, in place of shuffling BN")
    blur_p: Pair = Field(
        (0.0, 0.0),
        description="probabilities of blurring the two views",
        json_schema_extra={"as_before": [0.0, 0.0]},
    )

    @model_validator(mode="after")
    def _queue_fits(self) -> "MoCoV2":
        return _queue_fits(self)


class Asymmetric(Training):
    """What the later self-supervised methods have in common: optimisers, views of two kinds."""

    optimizer: Literal["sgd", "adamw", "lars"] = Field(
        "sgd", description="lars: for large batches; it neither adapts nor decays vectors"
    )
    momentum: Share = Field(0.9, description="SGD's and LARS's momentum")
    weight_decay: NotNegative = Field(5e-4, description="L2 penalty, or AdamW's decay")
    final_lr: NotNegative = Field(0.0, description="learning rate at the end of the cosine")
    blur_p: Pair = Field((0.0, 0.0), description="probabilities of blurring the two large views")
    solarise_p: Pair = Field((0.0, 0.0), description="… and of solarising them")

    @model_validator(mode="after")
    def _lr_falls(self) -> "Asymmetric":
        if self.final_lr > self.lr:
            raise ValueError(f"final_lr {self.final_lr} is larger than lr {self.lr}")
        return self


class MoCoV3(Asymmetric):
    """MoCo v3 (arXiv 2104.02057) for ResNets: predictor, momentum encoder, no queue."""

    method: Literal["mocov3"] = "mocov3"
    ema: Share = Field(0.99, description="first momentum of the key encoder; a cosine to 1")
    temperature: Positive = Field(0.2, description="of the contrastive loss")
    hidden: Count = Field(4096, description="width of projector and predictor")
    dim: Count = Field(256, description="output of projector and predictor")


class SmallCrops(Section):
    """The small views of multi-crop, which see a part of an image."""

    count: int = Field(6, ge=0, le=64, description="how many of each image")
    size: Annotated[int, Field(ge=4)] | None = Field(
        None, description="pixels a side; null: 3/7 of the image's (96 of 224)"
    )
    scale: tuple[Positive, Positive] = Field(
        (0.05, 0.14), description="range of the crop's share of the area"
    )
    blur_p: Share = Field(0.0, description="probability of blurring one")

    @model_validator(mode="after")
    def _scale_is_a_range(self) -> "SmallCrops":
        return _scale_is_a_range(self)


class SwAV(Asymmetric):
    """SwAV (arXiv 2006.09882): online clustering, multi-crop."""

    method: Literal["swav"] = "swav"
    small: SmallCrops = SmallCrops()
    temperature: Positive = Field(0.1, description="of the predicted assignments")
    hidden: Count = Field(2048, description="width of the projector")
    dim: Count = Field(128, description="output of the projector")
    prototypes: Count = Field(3000, description="clusters")
    epsilon: Positive = Field(0.05, description="smoothness of the Sinkhorn-Knopp codes")
    iterations: Count = Field(3, description="of Sinkhorn-Knopp")
    queue: int = Field(0, ge=0, description="embeddings that join a small batch; 0: none")
    queue_from: int = Field(15, ge=0, description="epoch from which the queue is filled")
    freeze_steps: int = Field(313, ge=0, description="steps before the prototypes move")

    @model_validator(mode="after")
    def _queue_is_used(self) -> "SwAV":
        if self.queue and self.queue_from >= self.epochs:
            raise ValueError(
                f"queue_from {self.queue_from} comes after all {self.epochs} epochs; set queue: 0"
            )
        return _queue_fits(self)


class DINO(Asymmetric):
    """DINO (arXiv 2104.14294): self-distillation with a centred, sharpened teacher, multi-crop."""

    method: Literal["dino"] = "dino"
    small: SmallCrops = SmallCrops(count=8)
    ema: Share = Field(0.996, description="first momentum of the teacher; a cosine to 1")
    temperature: Positive = Field(0.1, description="of the student")
    teacher_temperatures: tuple[Positive, Positive] = Field(
        (0.04, 0.04), description="of the teacher, at first and after its warm-up"
    )
    temperature_epochs: int = Field(0, ge=0, description="epochs of that warm-up")
    centre_momentum: Share = Field(0.9, description="of the mean that is taken off the outputs")
    hidden: Count = Field(2048, description="width of the head")
    bottleneck: Count = Field(256, description="the head's width before its last layer")
    outputs: Count = Field(65536, description="the head's outputs")
    head_bn: bool = Field(True, description="BatchNorm in the head")
    freeze_epochs: int = Field(1, ge=0, description="epochs before the last layer moves")
    clip: NotNegative = Field(3.0, description="longest gradient of a weight; 0: any")


class Supervised(Training):
    """Cross-entropy with labels: SRe2L's squeeze."""

    method: Literal["supervised"] = "supervised"
    jitter_p: Share = Field(0.0, description="probability of colour jitter")
    grey_p: Share = Field(0.0, description="probability of turning an image grey")


class Untrained(Section):
    """A freshly initialised network: a control."""

    method: Literal["untrained"] = "untrained"
    seed: Seed = Field(0, description="of the weights")


class Source(Section):
    """A checkpoint that others trained. `file` is not even among an artifact's parameters: the
    sha256 of its content stands there."""

    file: str = Field(..., exclude=True, description="its path; in no digest")
    layout: LayoutName = Field("auto", description="whose keys it has; auto: found by them")
    classes: tuple[str, ...] | str | None = Field(
        None, description="its classifier's, in order: names, or a text file with one a line"
    )
    mean: Channels = Field(
        IMAGENET_MEAN,
        description="that it was trained with: the dataset's must be the same",
        json_schema_extra=ASIDE,
    )
    std: Channels = Field(IMAGENET_STD, description="the same", json_schema_extra=ASIDE)
    url: str = Field("", description="where it is from", json_schema_extra=ASIDE)
    licence: str = Field("", description="under which it may be used", json_schema_extra=ASIDE)


class Imported(Section):
    """A backbone from a public checkpoint (docs/checkpoints.md)."""

    method: Literal["imported"] = "imported"
    source: Source


SQUEEZES: dict[str, type[Section]] = {
    "mocov2": MoCoV2,
    "mocov3": MoCoV3,
    "swav": SwAV,
    "dino": DINO,
    "supervised": Supervised,
    "untrained": Untrained,
    "imported": Imported,
}


class Probe(Section):
    """The linear classifier on the frozen backbone: SGD with steps of 1/10."""

    views: Literal["clean", "augmented", "imported"] = Field(
        "augmented",
        description="clean: features computed once; augmented: anew every epoch; imported: the "
        "classifier in the imported file, untrained",
    )
    view: View = View(crop="resized", scale=(0.2, 1.0))
    epochs: Count = Field(100, description="passes over the training set")
    batch: Count = Field(512, description="images a step")
    lr: Positive = Field(30.0, description="learning rate")
    momentum: Share = Field(0.9, description="SGD's momentum")
    weight_decay: NotNegative = Field(0.0, description="L2 penalty")
    milestones: tuple[Share, ...] = Field((0.6, 0.8), description="when lr falls, as shares")
    seed: Seed = Field(0, description="of the classifier's weights and batch order")
    precision: Precision = Field(
        "float32",
        description="of the passes through the backbone; bf16: autocast",
        json_schema_extra={"as_before": "float32"},
    )


M = TypeVar("M", bound="Recover | Import")


def _mean_and_std(section: M) -> M:
    for one, other in (("mean", "std"), ("std", "mean")):
        value = getattr(section, one)
        if value is not None and getattr(section, other) is None:
            raise ValueError(f"{one} {list(value)} has no {other}; set both or neither")
    return section


class Recover(Section):
    """Recovering images by matching BatchNorm statistics and class scores."""

    iterations: Count = Field(1000, description="Adam steps an image")
    lr: Positive = Field(0.4, description="peak learning rate, cosine to 0")
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = Field(
        (0.5, 0.9), description="Adam's"
    )
    r_bn: NotNegative | Literal["auto"] = Field(
        0.005, description="factor of the BN-statistics loss; auto: what suits the teacher (inform)"
    )
    first_bn_multiplier: NotNegative = Field(10.0, description="factor of its first layer")
    tv_l2: NotNegative = Field(0.0, description="factor of the total variation")
    l2_scale: NotNegative = Field(0.0, description="factor of the images' L2 norm")
    jitter: int = Field(4, ge=0, le=4096, description="largest circular shift, in pixels")
    jitter_both_ways: bool = Field(
        False,
        description="shifts from -jitter; false: from 0",
        json_schema_extra={"as_before": False},
    )
    crop: tuple[Positive, Positive] | None = Field(
        None, description="range of area of the random resized crop of a batch; null: no crop"
    )
    flip: bool = Field(False, description="mirror the batch with probability 1/2")
    crop_by: Literal["batch", "image"] = Field(
        "batch",
        description="image: a crop and flip of its own for each image of the batch",
        json_schema_extra={"as_before": "batch"},
    )
    curriculum: Literal["none", "step", "linear", "cosine"] = Field(
        "none",
        description="how the least area of a crop falls from crop[1] to crop[0] (CDA's); none: "
        "crop[0] throughout",
        json_schema_extra={"as_before": "none"},
    )
    milestone: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0,
        description="share of the iterations after which a curriculum has reached crop[0]",
        json_schema_extra={"as_before": 1.0},
    )
    start: Literal["noise", "real"] = Field(
        "noise",
        description="real: the training images that the method random has in the same slots for "
        "an equal seed",
        json_schema_extra={"as_before": "noise"},
    )
    statistics: Literal["dataset", "class"] = Field(
        "dataset",
        description="class: a batch is the images of one class in a slot range, matched with the "
        "statistics of its training images (LPLD)",
        json_schema_extra={"as_before": "dataset"},
    )
    mean: Channels | None = Field(
        None,
        description="that images are normalised by, in [0, 1]; null: the dataset's",
        json_schema_extra={"as_before": None},
    )
    std: Channels | None = Field(
        None, description="the same", json_schema_extra={"as_before": None}
    )
    storage: Literal["lossless", "jpeg"] = Field(
        "lossless",
        description="jpeg: pixels are truncated and go through JPEG of quality 75",
        json_schema_extra={"as_before": "lossless"},
    )
    block: Count = Field(100, description="classes in a batch: part of the method")
    seed: Seed = Field(0, description="of the start, crops and shifts")
    precision: Precision = Field("float32", description="bf16: autocast, statistics in float32")

    @model_validator(mode="after")
    def _crop_is_a_range(self) -> "Recover":
        if self.crop and not self.crop[0] <= self.crop[1] <= 1:
            raise ValueError(f"crop {list(self.crop)} is no range within 0 and 1")
        return self

    @model_validator(mode="after")
    def _there_is_what_they_are_for(self) -> "Recover":
        curriculum = self.curriculum != "none"
        if curriculum and self.crop is None:
            raise ValueError(
                f"curriculum {self.curriculum} is of crops, and there are none; set crop, say to "
                "[0.08, 1.0]"
            )
        if self.milestone != 1 and not curriculum:
            raise ValueError(
                f"milestone {self.milestone} is that of a curriculum, and there is none; set "
                "curriculum to step, linear or cosine, or leave milestone out"
            )
        if self.crop_by == "image" and self.crop is None and not self.flip:
            raise ValueError(
                "crop_by image is for crops and flips, and there are none; set crop or flip, or "
                "leave crop_by out"
            )
        return self

    @model_validator(mode="after")
    def _mean_and_std(self) -> "Recover":
        return _mean_and_std(self)


class Inform(Section):
    """How informative a squeezed backbone is, and the r_bn that suits it."""

    iterations: Count = Field(100, description="Adam steps of the short recovery")
    balance: Positive = Field(
        0.1, description="suggested r_bn: the BN gradient on noise is so many times the CE gradient"
    )


class Sampling(Section):
    """Images that are not recovered: random real ones, or noise."""

    seed: Seed = Field(0, description="of the choice of images")


class Coreset(Section):
    """The features by which real images are chosen."""

    precision: Precision = Field(
        "float32",
        description="of the passes through the backbone; bf16: autocast",
        json_schema_extra={"as_before": "float32"},
    )


class Forgetting(Section):
    """The training run in which forgetting events are counted: SGD with Nesterov's momentum."""

    view: View = View()
    epochs: Count = Field(200, description="passes over the training set")
    batch: Count = Field(128, description="images a step")
    lr: Positive = Field(0.1, description="learning rate at first")
    momentum: Annotated[float, Field(gt=0, lt=1)] = Field(0.9, description="SGD's, Nesterov's kind")
    weight_decay: NotNegative = Field(5e-4, description="L2 penalty")
    milestones: tuple[Share, ...] = Field((0.3, 0.6, 0.8), description="when lr falls, as shares")
    factor: Annotated[float, Field(gt=0, le=1)] = Field(0.2, description="to this share of it")
    seed: Seed = Field(0, description="of the weights, views, batch order and ties")
    precision: Precision = Field("float32", description="bf16: autocast")


def _is_a_form(form: str) -> str:
    if not re.fullmatch(r"float16|int8|topk:[1-9]\d{0,5}", form):
        raise ValueError(
            f"{form!r} is no form of logits; write float16, int8 or topk:k, k a number"
        )
    return form


class RandAugment(Section):
    """Random operations on an image before its view: torchvision's RandAugment."""

    operations: Annotated[int, Field(ge=1, le=16)] = Field(
        2, description="on each image, one after the other"
    )
    magnitude: Annotated[int, Field(ge=0, le=30)] = Field(9, description="of each, 0 to 30")


class Relabel(Section):
    """The views of each epoch and how their soft labels are kept."""

    view: View = View()
    patches: Annotated[int, Field(ge=1, le=64)] = Field(
        1,
        description="rows and columns of patches that are shuffled before the view; 1: none",
        json_schema_extra={"as_before": 1},
    )
    randaugment: RandAugment | None = Field(
        None,
        description="RandAugment before the view, as {operations: 2, magnitude: 9}; null: none",
        json_schema_extra={"as_before": None},
    )
    mix: Literal["none", "mixup", "cutmix"] = Field(
        "mixup", description="how a view is mixed with that of a partner"
    )
    mix_by: Literal["set", "batch"] = Field(
        "set",
        description="set: a partner from the whole set and a lambda for each image; batch: "
        "partners from the student's batch, one lambda for all of it",
        json_schema_extra={"as_before": "set"},
    )
    alpha: Positive = Field(0.8, description="lambda is drawn from Beta(alpha, alpha)")
    teacher_bn: Literal["eval", "batch"] = Field(
        "eval",
        description="batch: the teacher normalises by the statistics of the student's batches",
        json_schema_extra={"as_before": "eval"},
    )
    seed: Seed = Field(0, description="of the views; all students of a set share them")
    form: Annotated[str, AfterValidator(_is_a_form)] = Field(
        "float16",
        description="how logits are kept: float16, int8, or topk:k (the k largest, e.g. topk:5)",
    )
    views: Literal["stored", "drawn"] = Field(
        "stored",
        description="drawn: not kept, but drawn again from the seed",
        json_schema_extra={"as_before": "stored"},
    )
    epochs_per_shard: Count = Field(100, description="epochs in one label file")
    label_precision: Precision = Field(
        "float32",
        description="of the teacher's passes; bf16: autocast",
        json_schema_extra={"as_before": "float32"},
    )

    @property
    def by_batch(self) -> bool:
        """Whether labels depend on the batches that they are made in."""
        return "batch" in (self.mix_by, self.teacher_bn)

    @model_validator(mode="after")
    def _there_is_something_to_mix(self) -> "Relabel":
        if self.mix_by == "batch" and self.mix == "none":
            raise ValueError("mix_by batch is for mixup and cutmix; set mix, or leave mix_by out")
        return self


class Train(Section):
    """How a student is trained."""

    batch: Count = Field(64, description="images a step")
    epochs: Count = Field(200, description="passes over the distilled set")
    optimizer: Literal["adamw", "sgd"] = Field("adamw", description="of the student")
    lr: Positive = Field(0.001, description="peak learning rate")
    momentum: Share = Field(0.9, description="SGD's momentum")
    weight_decay: NotNegative = Field(0.01, description="AdamW's decay or SGD's L2 penalty")
    warmup_epochs: int = Field(0, ge=0, description="epochs of linear warm-up")
    eta: Positive = Field(1.0, description="lr = .5 lr0 (1 + cos(pi e / epochs / eta)); 1: to 0")
    steep_from: Share = Field(
        1.0,
        description="share of the epochs e beyond which lr is the cosine there, times "
        "(1 - e / epochs), as EDC's; 1: never",
        json_schema_extra={"as_before": 1.0},
    )
    milestones: tuple[Share, ...] | None = Field(
        None,
        description="shares of the epochs at which lr falls to a tenth; null: the cosine",
        json_schema_extra={"as_before": None},
    )
    ema: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0,
        description="share of the old in the moving average of the weights, by step, that is "
        "evaluated; 0: none",
        json_schema_extra={"as_before": 0.0},
    )
    decay_vectors: bool = Field(
        True,
        description="whether weight_decay is for biases and BatchNorm too",
        json_schema_extra={"as_before": True},
    )
    precision: Precision = Field("float32", description="bf16: autocast")

    @model_validator(mode="after")
    def _warm_up_ends(self) -> "Train":
        return _warm_up_ends(self)

    @model_validator(mode="after")
    def _one_schedule(self) -> "Train":
        if self.milestones is not None and (self.eta, self.steep_from) != (1.0, 1.0):
            raise ValueError(
                "milestones stand in place of the cosine; set eta: 1 and steep_from: 1, or "
                "milestones: null"
            )
        return self


class Protocol(Relabel, Train):
    """An evaluation protocol: views, labels and the student's training."""

    like: str | None = Field(None, description="the published protocol that this one varies")
    labels: Literal["soft", "hard"] = Field(
        "soft", description="soft: a teacher's; hard: the classes of images and partners"
    )
    loss: Literal["kl", "kl-t2", "mse-ce"] = Field(
        "kl",
        description="kl: KL divergence; kl-t2: times temperature^2; mse-ce: MSE of the logits and "
        "ce_weight x cross-entropy with the image's class; unused by hard labels",
    )
    temperature: Positive = Field(20.0, description="of the KL divergence; unused by other losses")
    ce_weight: NotNegative = Field(0.025, description="of mse-ce; unused by other losses")
    dsa: bool = Field(
        False, description="DSA's augmentation of each batch, after its view; for hard labels"
    )
    student: Annotated[Network, BeforeValidator(_named)] | None = Field(
        None, description="the network this protocol prescribes; null: the experiment's students"
    )

    label_epochs: Count | None = Field(
        None, description="epochs that are labelled, and used over and over; null: all"
    )

    @model_validator(mode="after")
    def _labels_know_their_views(self) -> "Protocol":
        if self.dsa and self.labels == "soft":
            raise ValueError(
                "dsa is drawn by batch while a student trains, and soft labels are made before; "
                "set labels: hard or dsa: false"
            )
        if self.loss == "mse-ce" and self.labels == "soft" and self.form.startswith("topk"):
            raise ValueError(
                f"loss mse-ce compares all logits, of which form {self.form} keeps some; set form "
                "to float16 or int8"
            )
        return self

    @model_validator(mode="after")
    def _all_labels_are_used(self) -> "Protocol":
        if self.label_epochs is not None and self.label_epochs > self.epochs:
            raise ValueError(
                f"label_epochs {self.label_epochs} are more than the {self.epochs} epochs of "
                "training; leave it out to label them all"
            )
        return self


class Whole(Train):
    """Training on the whole training set with hard labels: the upper bound."""

    view: View = View()
    mix: Literal["none", "mixup", "cutmix"] = Field("none", description="mixing of the views")
    alpha: Positive = Field(1.0, description="lambda is drawn from Beta(alpha, alpha)")


class Dataset(Section):
    """Which images. A bare name stands for its `name`."""

    name: str = Field("digits", description="digits, cifar10, cifar100, tiny-imagenet, ...")
    root: str = Field("data", description="folder of the files; in no digest")
    download: bool = Field(False, description="let torchvision fetch the files; in no digest")
    classes: Annotated[int, Field(ge=2)] | tuple[str, ...] | None = Field(
        None, description="a subset: the first so many classes, or names in the order wanted"
    )
    resolution: Count | None = Field(None, description="pixels a side; null: the dataset's own")
    val_resize: Count | None = Field(
        None,
        description="the shorter side of the students' validation images, of which the centre is "
        "cut out; null: 256/224 of the resolution from ImageNet's sizes on (above 96 pixels), else "
        "the resolution",
    )
    mean: Channels | None = Field(None, description="by channel in [0, 1]; null: the dataset's own")
    std: Channels | None = Field(None, description="by channel in [0, 1]; null: the dataset's own")
    holdout: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0,
        description="share of each class's training images that is left out and takes the place of "
        "the test set, to choose by; 0: none",
    )


class Import(Section):
    """A distilled set that others made (docs/exports.md). Its path is in no digest: the sha256 of
    its content is."""

    path: str = Field(..., exclude=True, description="an image folder, or DC's or MTT's tensors")
    mean: Channels | None = Field(
        None, description="that tensors are normalised by, in [0, 1]; null: the dataset's"
    )
    std: Channels | None = Field(None, description="the same")

    @model_validator(mode="after")
    def _mean_and_std(self) -> "Import":
        return _mean_and_std(self)


def _one_or_more(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


class Method(Section):
    """One column of the table. A bare name stands for a built-in method."""

    name: Name = Field(..., description="in file names and on the command line")
    like: str | None = Field(None, description="the built-in method that this one varies")
    title: str | None = Field(None, description="in tables and figures")
    preset: str | None = Field(
        None, description="published recovery in place of its own: scdd-paper, scdd-code, ..."
    )
    imported: (
        Annotated[Import, BeforeValidator(lambda v: {"path": v} if isinstance(v, str) else v)]
        | None
    ) = Field(
        None, alias="import", description="a distilled set of others, in place of a built-in method"
    )
    labels: str | None = Field(
        None, description="its soft labels: a folder of SRe2L's FKD files, in place of a teacher's"
    )
    teacher: (
        Annotated[tuple[str, ...], Field(min_length=1), BeforeValidator(_one_or_more), Once] | None
    ) = Field(None, description="method whose probe labels the images; several: their mean")
    features: str | None = Field(
        None,
        description="method whose probed backbone a coreset is chosen by; null: the (first) one "
        "that labels the images",
    )
    committee: Annotated[tuple[Name, ...], Once] = Field(
        (), description="methods whose probes join its own in the recovery, by the losses' mean"
    )
    backbone: Annotated[Network, BeforeValidator(_named)] | None = Field(
        None, description="another network than the experiment's"
    )
    squeeze: dict[str, Any] = Field(
        {}, description="overrides for this method alone; `method`: another squeeze than its own"
    )
    probe: dict[str, Any] = Field({}, description="overrides for this method alone")
    recover: dict[str, Any] = Field({}, description="overrides for this method alone")
    ipc: Annotated[tuple[Ipc, ...], Field(min_length=1), Once] | None = Field(
        None, description="fewer IPCs than the experiment's"
    )
    protocols: Annotated[tuple[Name, ...], Field(min_length=1), Once] | None = Field(
        None, description="fewer protocols than the experiment's"
    )


class Backbone(Section):
    """A squeezed network to look at, by itself. A bare name stands for its `squeeze`."""

    squeeze: str = Field(..., description="mocov2, supervised, untrained, ...")
    title: str | None = Field(None, description="in tables and figures")
    backbone: Annotated[Network, BeforeValidator(_named)] | None = Field(
        None, description="another network than the experiment's"
    )
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1), Once] | None = Field(
        None, description="of the squeeze; null: its section's own"
    )
    overrides: dict[str, Any] = Field({}, description="of the squeeze, for this backbone alone")
    probe: dict[str, Any] = Field({}, description="overrides for this backbone alone")


class Ablation(Section):
    """What every other method and protocol of an experiment is compared with, one at a time."""

    method: str = Field(..., description="the method that the others vary")
    protocol: str = Field(..., description="the protocol that the others vary")


class Figures(Section):
    """Looks only: changing them trains nothing."""

    grid_columns: Count = Field(10, description="images of a class in the picture")
    grid_classes: Count = Field(10, description="classes in the picture")
    scale: Count = Field(2, description="images are enlarged to 32 times this many pixels at least")
    dpi: Count = Field(120, description="of the PNG figures")


def _compiled(value: Any) -> Any:
    return {True: "full", False: "none"}.get(value, value) if isinstance(value, bool) else value


class Machine(Section):
    """How this machine runs the jobs. In no digest, but in every header."""

    device: str = Field(
        "auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu or cuda"
    )
    threads: Count = Field(1, description="CPU threads of a job; changes float rounding")
    save_every: Positive = Field(300, description="seconds between saves of a long job's state")
    pass_width: Count | None = Field(
        None,
        description="images of a class in one pass of a recovery; null: one on the CPU, what fits "
        "on a GPU",
    )
    jobs_per_gpu: Count = Field(
        1,
        description="jobs that share a GPU of this machine; --resources gpu=N then counts places, "
        "this many a GPU; Slurm's jobs have their GPUs to themselves",
    )
    compile: Annotated[Literal["none", "graphs", "full"], BeforeValidator(_compiled)] = Field(
        "none",
        description="how steps get to a GPU: none: kernel by kernel; graphs: all kernels at once "
        "(CUDA graphs); full, or true: also compiled (torch.compile), on the CPU too, which takes "
        "a minute or more a job and changes float rounding",
    )


def _method(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


def _backbone(value: Any) -> Any:
    return {"squeeze": value} if isinstance(value, str) else value


class Experiment(Section):
    """One experiment: a configuration file. It has methods, backbones or both."""

    experiment: Name = Field(..., description="names the folder of its tables")
    dataset: Annotated[
        Dataset, BeforeValidator(lambda v: {"name": v} if isinstance(v, str) else v)
    ] = Dataset()
    backbone: Annotated[Network, BeforeValidator(_named)] = Network()
    methods: tuple[Annotated[Method, BeforeValidator(_method)], ...] = Field(
        (),
        description="scdd, sre2l, cda, random, random-hard, herding, kcenter, forgetting, noise, "
        "untrained, whole",
    )
    backbones: tuple[Annotated[Backbone, BeforeValidator(_backbone)], ...] = Field(
        (), description="squeezed networks whose informativeness is compared"
    )
    ipc: Annotated[tuple[Ipc, ...], Once] = Field((), description="images per class, for methods")
    verifier: str | None = Field(
        None, description="method whose probe is asked for its top-1 on all recovered images"
    )
    students: Annotated[tuple[Annotated[Network, BeforeValidator(_named)], ...], Once] = Field(
        (Network(),), min_length=1, description="networks trained on the distilled images"
    )
    protocols: Annotated[tuple[Name, ...], Once] = Field(
        ("scdd-paper",), min_length=1, description="evaluation protocols"
    )
    seeds: Annotated[tuple[Seed, ...], Once] = Field(
        (0, 1, 2), min_length=1, description="of the students"
    )
    squeeze: dict[str, dict[str, Any]] = Field({}, description="overrides by squeeze method")
    probe: dict[str, Any] = Field({}, description="overrides for every probe")
    recover: dict[str, Any] = Field({}, description="overrides for every recovery")
    inform: Inform = Inform()
    coreset: Coreset = Coreset()
    forgetting: dict[str, Any] = Field({}, description="overrides for the training run")
    sampling: Sampling = Sampling()
    protocol: dict[str, dict[str, Any]] = Field({}, description="overrides by protocol name")
    ablation: Ablation | None = Field(
        None, description="{method, protocol}: a table of differences from them"
    )
    figures: Figures = Figures()
    machine: Machine = Machine()

    @model_validator(mode="after")
    def _something_is_asked_for(self) -> "Experiment":
        if not self.methods and not self.backbones:
            raise ValueError("methods or backbones are missing")
        if self.methods and not self.ipc:
            raise ValueError("ipc is missing")
        return self
