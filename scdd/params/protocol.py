"""Evaluation protocols: soft labels and the students that are trained on them."""

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from scdd.params.base import (
    BelowOne,
    Checked,
    Count,
    CountOrZero,
    NotNegative,
    Positive,
    Precision,
    Section,
    Seed,
    Share,
    param,
)
from scdd.params.network import Network
from scdd.params.squeeze import require_warm_up_ends
from scdd.params.views import Mix, Transform, View

Labels = Literal["soft", "hard"]
Scope = Literal["set", "batch"]
Reuse = Literal["epochs", "batches", "shuffled"]


def _is_a_form(form: str) -> str:
    if not re.fullmatch(r"float16|int8|topk:[1-9]\d{0,5}|pca:([89]|[1-9]\d{1,5})", form):
        raise ValueError(
            f"{form!r} is not a form of logits; write float16, int8, topk:k, k a number, or "
            "pca:N, N from 8 on"
        )
    return form


@dataclass(frozen=True)
class Relabel(Transform):
    """The views of each epoch and how their soft labels are kept."""

    mix: Mix = param("mixup", "how a view is mixed with that of a partner")
    alpha: Positive = param(0.8, "lambda is drawn from Beta(alpha, alpha)")
    mix_by: Scope = param(
        "set",
        "set: a partner from the whole set and a lambda for each image; batch: partners from the "
        "student's batch, one lambda for all of it",
    )
    teacher_bn: Literal["eval", "batch"] = param(
        "eval",
        "batch: the teacher normalises by the statistics of the student's batches",
    )
    seed: Seed = param(0, "of the views; all students of a set share them")
    form: Annotated[str, Checked(_is_a_form)] = param(
        "float16",
        "how logits are kept: float16, int8, topk:k (the k largest, e.g. topk:5), or pca:N (N "
        "bits for the principal components of a view's logits)",
    )
    views: Literal["stored", "drawn"] = param(
        "stored", "drawn: not kept, but drawn again from the seed"
    )
    epochs_per_shard: Count = param(100, "epochs in one label file")
    label_precision: Precision = param("float32", "of the teacher's passes; bf16: autocast")
    bn_groups: Count = param(
        1,
        "groups of a batch, each with statistics of its own (teacher_bn: batch); BSSL: 2",
        as_before=1,
    )
    teacher_dropout: bool = param(
        False,
        "whether the teacher's dropout is live (teacher_bn: batch), as BSSL's",
        as_before=False,
    )

    def __post_init__(self) -> None:
        if self.mix_by == "batch" and self.mix == "none":
            raise ValueError("mix_by batch is for mixup and cutmix; set mix, or leave mix_by out")
        if self.teacher_bn == "eval" and (self.bn_groups > 1 or self.teacher_dropout):
            key = "bn_groups" if self.bn_groups > 1 else "teacher_dropout"
            raise ValueError(f"{key} is for teacher_bn: batch; set that, or leave {key} out")

    @property
    def by_batch(self) -> bool:
        """Whether labels depend on the batches that they are made in."""
        return "batch" in (self.mix_by, self.teacher_bn)


@dataclass(frozen=True)
class Train(Section):
    """How a student is trained."""

    batch: Count = param(64, "images a step")
    epochs: Count = param(200, "passes over the distilled set")
    optimizer: Literal["adamw", "sgd"] = param("adamw", "of the student")
    lr: Positive = param(0.001, "peak learning rate")
    momentum: Share = param(0.9, "SGD's momentum")
    weight_decay: NotNegative = param(0.01, "AdamW's decay or SGD's L2 penalty")
    warmup_epochs: CountOrZero = param(0, "epochs of linear warm-up")
    eta: Positive = param(1.0, "lr = .5 lr0 (1 + cos(pi e / epochs / eta)); 1: to 0")
    steep_from: Share = param(
        1.0,
        "share of the epochs e beyond which lr is the cosine there, times (1 - e / epochs), as "
        "EDC's; 1: never",
    )
    milestones: tuple[Share, ...] | None = param(
        None, "shares of the epochs at which lr falls; null: the cosine"
    )
    at_milestones: Literal["lower", "renew"] = param(
        "lower",
        "lower: lr alone falls, before the milestone's epoch; renew: after it, and the optimiser "
        "starts anew, as in DC's code",
        as_before="lower",
    )
    learned_lr: bool = param(
        False,
        "a learning rate that was learned with the images takes the place of lr",
        as_before=False,
    )
    ema: BelowOne = param(
        0.0,
        "share of the old in the moving average of the weights, by step, that is evaluated; 0: "
        "none",
    )
    decay_vectors: bool = param(True, "whether weight_decay is for biases and BatchNorm too")
    precision: Precision = param("float32", "bf16: autocast")
    passes: Count = param(
        1,
        "forward passes of a step, of batch / passes images each, which have BatchNorm statistics "
        "of their own",
        as_before=1,
    )
    bn_updates: Count = param(
        1,
        "how often the statistics of a pass go into BatchNorm's running ones; RDED: 2",
        as_before=1,
    )
    milestone_factor: Share = param(
        0.1, "what lr is multiplied by at each milestone", as_before=0.1
    )

    def __post_init__(self) -> None:
        require_warm_up_ends(self.warmup_epochs, self.epochs)
        if self.milestones is not None and (self.eta, self.steep_from) != (1.0, 1.0):
            raise ValueError(
                "milestones take the place of the cosine; set eta: 1 and steep_from: 1, or "
                "milestones: null"
            )
        if self.milestones is None and self.at_milestones != "lower":
            raise ValueError(f"at_milestones {self.at_milestones} needs milestones; set them")
        if self.milestones is None and self.milestone_factor != 0.1:
            raise ValueError(f"milestone_factor {self.milestone_factor} needs milestones; set them")
        if self.passes > 1 and (self.batch % self.passes or self.batch // self.passes < 2):
            raise ValueError(
                f"batch {self.batch} does not split into {self.passes} passes of 2 images or more"
            )


@dataclass(frozen=True)
class Student(Train):
    """One student: its training, and what it is trained and tested on."""

    seed: Seed = param(0, "of the weights and the order of the batches")
    labels: Labels = param("soft", "soft: a store's; hard: the classes of images and partners")
    label_epochs: Count | None = param(None, "epochs of its store that it uses; null: all")
    label_reuse: Reuse = param("epochs", "how it uses them", as_before="epochs")
    mix_by: Scope = param("set", "where partners come from (labels: hard)")
    dsa: bool = param(False, "DSA's augmentation of each batch (labels: hard)")
    val_resize: Count | None = param(
        None, "the shorter side of validation images; null: the resolution"
    )


@dataclass(frozen=True)
class Loss(Section):
    """What a student with soft labels minimises."""

    loss: Literal["kl", "kl-t2", "mse-ce"] = param(
        "kl",
        "kl: KL divergence; kl-t2: times temperature^2; mse-ce: MSE of the logits and ce_weight x "
        "cross-entropy with the image's class; unused by hard labels",
    )
    temperature: Positive = param(20.0, "of the KL divergence; unused by other losses")
    ce_weight: NotNegative = param(0.025, "of mse-ce; unused by other losses")


@dataclass(frozen=True)
class Protocol(Loss, Train, Relabel):
    """An evaluation protocol: views, labels and the student's training."""

    like: str | None = param(None, "the published protocol that this one varies")
    labels: Labels = param("soft", "soft: a teacher's; hard: the classes of images and partners")
    dsa: bool = param(False, "DSA's augmentation of each batch, after its view; for hard labels")
    student: Network | None = param(
        None, "the network this protocol prescribes; null: the experiment's students"
    )
    label_epochs: Count | None = param(
        None, "epochs that are labelled, and used over and over; null: all"
    )
    label_reuse: Reuse = param(
        "epochs",
        "epochs: the labelled epochs one after the other, then again; batches: each epoch is of "
        "batches drawn at random from all of them, as LPLD's; shuffled: the same, but none is "
        "drawn again before all have been",
    )
    prior_temperature: Positive | None = param(
        None,
        "teachers have the weights softmax(teacher_priors of the method / this); null: equal ones",
    )
    by_ipc: dict[Count, dict[str, Any]] = param(
        {},
        "other values from an IPC on, up to the next one here, as {10: {eta: 2}, 50: {eta: 1}}",
        in_config=False,
    )

    def __post_init__(self) -> None:
        Relabel.__post_init__(self)
        Train.__post_init__(self)
        for ipc, values in self.by_ipc.items():
            for key in {"by_ipc", "like"} & values.keys():
                raise ValueError(f"by_ipc.{ipc}.{key}: this key is not by IPC; leave it out there")
        if self.dsa and self.labels == "soft":
            raise ValueError(
                "dsa is drawn by batch while a student trains, and soft labels are made before; "
                "set labels: hard or dsa: false"
            )
        if self.loss == "mse-ce" and self.labels == "soft" and ":" in self.form:
            raise ValueError(
                f"loss mse-ce compares all logits as they are, which form {self.form} does not "
                "keep; set form to float16 or int8"
            )
        if self.label_epochs is not None and self.label_epochs > self.epochs:
            raise ValueError(
                f"label_epochs {self.label_epochs} are more than the {self.epochs} epochs of "
                "training; leave it out to label them all"
            )


@dataclass(frozen=True)
class Whole(Train):
    """Training on the whole training set with hard labels: the upper bound."""

    view: View = param(View())
    mix: Mix = param("none", "mixing of the views")
    alpha: Positive = param(1.0, "lambda is drawn from Beta(alpha, alpha)")
