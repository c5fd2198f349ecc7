"""Recovering images from a teacher."""

from dataclasses import dataclass
from itertools import accumulate
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Le, MinLen

from scdd.params.base import (
    BelowOne,
    Count,
    CountOrZero,
    Mean,
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
from scdd.params.statistics import Convolutions, Statistics
from scdd.params.views import require_range


@dataclass(frozen=True)
class Residual(Section):
    """The start, mixed into the images again wherever a segment ends (FADRM, section 3)."""

    alpha: Share = param(0.5, "share of the recovered image; the rest is the start")
    every: Count | None = param(
        None, "iterations of a segment; null: as recover.budgets says, which it needs then"
    )
    pool: Count | None = param(
        None,
        "the start is chosen anew each time: of the first so many of the class that which the "
        "method's own teacher sees nearest to the image (after RETA); null: the image's own",
    )


@dataclass(frozen=True)
class Segment:
    """The iterations first <= t < end of a recovery, in which images have `size` pixels a side and
    Adam is its own."""

    first: int
    end: int
    size: int


@dataclass(frozen=True)
class Recover(Section):
    """Recovering images by matching BatchNorm statistics and class scores (SC-DD, section 3)."""

    RENAMED: ClassVar = {"jitter": "shift", "jitter_both_ways": "shift_both_ways"}

    iterations: Count = param(1000, "Adam steps an image")
    lr: Positive = param(0.4, "peak learning rate, cosine to 0, without warm-up")
    betas: tuple[BelowOne, BelowOne] = param((0.5, 0.9), "Adam's")
    r_bn: NotNegative | Literal["auto"] = param(
        0.005,
        "factor of the BN-statistics loss; auto: what suits the teacher (stage informativeness)",
    )
    first_bn_multiplier: NotNegative = param(10.0, "factor of its first layer")
    tv_l2: NotNegative = param(0.0, "factor of the total variation")
    l2_scale: NotNegative = param(0.0, "factor of the images' L2 norm")
    shift: Annotated[int, Ge(0), Le(4096)] = param(4, "largest circular shift, in pixels")
    crop: tuple[Positive, Positive] | None = param(
        None, "range of area of the random resized crop of a batch; null: no crop"
    )
    flip: bool = param(False, "mirror the batch with probability 1/2")
    precision: Precision = param("float32", "bf16: autocast, statistics in float32")
    crop_by: Literal["batch", "image"] = param(
        "batch", "image: a crop and flip of its own for each image of the batch"
    )
    curriculum: Literal["none", "step", "linear", "cosine"] = param(
        "none",
        "how the least area of a crop falls from crop[1] to crop[0] (CDA's); none: crop[0] "
        "throughout",
    )
    milestone: Annotated[float, Gt(0), Le(1)] = param(
        1.0, "share of the iterations after which a curriculum has reached crop[0]"
    )
    shift_both_ways: bool = param(False, "shifts from -shift; false: from 0")
    start: Literal["noise", "real", "patches", "median"] = param(
        "noise",
        "real: the training images that the method random has in the same slots for an equal seed; "
        "patches: RDED's, median: those around the median of its classes' probabilities, both by "
        "the own teacher, from the first slot on",
    )
    statistics: Literal["dataset", "class"] = param(
        "dataset",
        "class: a batch is the images of one class in a slot range, matched with the statistics of "
        "its training images (LPLD)",
    )
    convolutions: Convolutions = param(
        "none",
        "convolutions' inputs that are matched beside BatchNorm's: channels: their mean and "
        "variance by channel; patches: those, and by tile of `patch` pixels (G-VBSM)",
        as_before="none",
    )
    patch: Annotated[int, Ge(1), Le(4096)] = param(4, "pixels a side of a tile", as_before=4)
    drop: BelowOne = param(
        0.0, "probability with which an iteration leaves out a convolution", as_before=0.0
    )
    momentum: BelowOne = param(
        0.0,
        "of the moving averages that are matched in place of a batch's statistics; they begin at 0 "
        "with each batch; 0: the statistics themselves",
        as_before=0.0,
    )
    class_share: Share = param(
        0.0,
        "weight of the distance to the statistics of the batch's classes; the rest is that to the "
        "dataset's (EDC)",
        as_before=0.0,
    )
    class_patches: Literal["plain", "code"] = param(
        "plain",
        "code: mean and variance of a class's tiles are exchanged, as in EDC's program",
        as_before="plain",
    )
    flatness: NotNegative = param(
        0.0,
        "factor of the KL between what the teacher says of the images and of their moving average "
        "(EDC)",
        as_before=0.0,
    )
    densification: NotNegative = param(
        0.0, "factor of the term for images of a class that differ (G-VBSM)", as_before=0.0
    )
    slots: Count = param(
        1, "images of a class in a batch, at most: part of the method", as_before=1
    )
    pad: CountOrZero = param(
        0,
        "pixels of the mean colour around the batch, out of which a crop of the images' size is "
        "cut; 0: none",
        as_before=0,
    )
    mean: Mean | None = param(None, "that images are normalised by, in [0, 1]; null: the dataset's")
    std: Std | None = param(None, "the same")
    storage: Literal["lossless", "truncated", "jpeg"] = param(
        "lossless",
        "how pixels become bytes: rounded; truncated; jpeg: truncated and through JPEG of quality "
        "75",
    )
    block: Count = param(100, "classes in a batch: part of the method")
    seed: Seed = param(0, "of the start, crops and shifts")
    teachers: Literal["mean", "turn", "vote"] = param(
        "mean",
        "how a committee acts in an iteration, the method's own teacher and then the others: mean "
        "of all losses; turn: one of them, in turn; vote: all, weighted by softmax(priors / "
        "prior_temperature)",
        as_before="mean",
    )
    pairs: Literal["none", "drawn", "listed", "best"] = param(
        "none",
        "two teachers of the committee for each slot: drawn anew; listed: the pairs in the "
        "committee's order, one after the other; best: the two of highest priors",
        as_before="none",
    )
    priors: Annotated[tuple[Positive, ...], MinLen(1)] | dict[str, Positive] | None = param(
        None,
        "how good each teacher is (CV-DD: a student's top-1 from it alone): a list in the "
        "committee's order, or by architecture {resnet18: 64}",
        as_before=None,
    )
    prior_temperature: Positive = param(5.0, "of the votes", as_before=5.0)
    sizes: Annotated[tuple[Count, ...], MinLen(1)] | None = param(
        None,
        "pixels a side in each segment, the last the resolution; each segment has an Adam of its "
        "own; null: all at the resolution",
        as_before=None,
    )
    budgets: Annotated[tuple[Count, ...], MinLen(1)] | None = param(
        None, "iterations of each segment", as_before=None
    )
    residual: Residual | None = param(
        None,
        "{every, alpha, pool}: after each segment but the last x = alpha x + (1 - alpha) start",
        as_before=None,
    )
    rounds: Count = param(
        1,
        "rounds of equal length, in which the images that a class has in a batch join one after "
        "the other and stay until the end, so that the first slots are recovered longest (DELT)",
        as_before=1,
    )

    def __post_init__(self) -> None:
        if self.crop:
            require_range(self.crop, "crop")
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
        self._check_statistics()
        require_mean_and_std(self.mean, self.std)
        self._check_committee()
        self._check_segments()

    def _check_committee(self) -> None:
        weighed = self.teachers == "vote" or self.pairs == "best"
        user = "teachers vote" if self.teachers == "vote" else "pairs best"
        if weighed and self.priors is None:
            raise ValueError(f"{user} needs priors, and there are none; set priors")
        if self.priors is not None and not weighed:
            raise ValueError(
                "priors are for teachers vote and pairs best, and neither is set; set one of them, "
                "or leave priors out"
            )
        several = "statistics class" if self.statistics == "class" else f"slots {self.slots}"
        if self.pairs != "none" and several != "slots 1":
            raise ValueError(
                f"pairs {self.pairs} is by slot, and with {several} a batch has the images of "
                "several; leave one of them out"
            )

    def _check_statistics(self) -> None:
        if self.pad and self.crop is not None:
            raise ValueError("crop and pad are two crops; leave one of them out")
        if self.statistics == "class":
            for key, value, usual in (
                ("convolutions", self.convolutions, "none"),
                ("class_share", self.class_share, 0),
                ("slots", self.slots, 1),
            ):
                if value != usual:
                    raise ValueError(
                        f"{key} {value} is for batches of several classes, and with statistics "
                        "class a batch has one; leave one of them out"
                    )
        if self.patch != 4 and self.convolutions != "patches":
            raise ValueError(f"patch {self.patch} is that of tiles; set convolutions to patches")
        if self.convolutions == "patches" and len(set(self.sizes or ())) > 1:
            raise ValueError(
                f"sizes {list(self.sizes or ())}: images of another size have other tiles; set "
                "convolutions to channels, or leave sizes out"
            )
        if self.drop and self.convolutions == "none":
            raise ValueError(
                f"drop {self.drop} is of convolutions; set convolutions to channels or patches"
            )
        if self.class_patches == "code" and not (
            self.class_share and self.convolutions == "patches"
        ):
            raise ValueError(
                "class_patches code is of classes' tiles; set class_share, and convolutions to "
                "patches"
            )
        if self.r_bn == "auto" and (self.convolutions != "none" or self.class_share):
            raise ValueError(
                "r_bn auto is what suits the dataset's BatchNorm statistics alone; give a number "
                "where convolutions or class_share are set"
            )

    @property
    def gathers(self) -> Statistics | None:
        """What it needs of the stage `statistics`, of each teacher; None: nothing."""
        if self.convolutions == "none" and not self.class_share:
            return None
        patch = self.patch if self.convolutions == "patches" else None
        return Statistics(self.convolutions, patch, self.mean, self.std)

    def _check_segments(self) -> None:
        if (self.sizes is None) != (self.budgets is None):
            raise ValueError("sizes and budgets belong together; set both or neither")
        if self.sizes is not None and self.budgets is not None:
            sizes, budgets = list(self.sizes), list(self.budgets)
            if len(sizes) != len(budgets):
                raise ValueError(
                    f"sizes {sizes} and budgets {budgets} are of unequal length; give one of each "
                    "for a segment"
                )
            if sum(budgets) != self.iterations:
                raise ValueError(
                    f"budgets {budgets} are {sum(budgets)} iterations together, and iterations is "
                    f"{self.iterations}; make them equal"
                )
        if self.residual is not None:
            self._check_residual(self.residual)
        if self.rounds > 1 and self.slots == 1:
            raise ValueError(
                f"rounds {self.rounds} are for several images of a class in a batch, and there is "
                "one; set slots, or rounds to 1"
            )
        if self.rounds > self.iterations:
            raise ValueError(
                f"rounds {self.rounds} are more than the {self.iterations} iterations; set fewer"
            )

    def _check_residual(self, residual: Residual) -> None:
        if self.start == "noise":
            raise ValueError(
                "residual mixes the start into the images again, and start is noise; set start to "
                "patches, median or real, or leave residual out"
            )
        if (self.budgets is None) == (residual.every is None):
            raise ValueError(
                "residual needs the segments' lengths once; set either residual.every, or sizes "
                "and budgets"
            )
        if len(self.segments(1)) == 1:
            raise ValueError(
                f"residual acts between segments, and {self.iterations} iterations are a single "
                "one; set residual.every to fewer, or residual to null"
            )

    @property
    def best_pair(self) -> tuple[int, int]:
        """The numbers of the two teachers of highest priors, in the committee's order."""
        assert isinstance(self.priors, tuple)  # a list in the committee's order by now
        by_prior = sorted(enumerate(self.priors), key=lambda each: -each[1])
        first, second = sorted(number for number, _ in by_prior[:2])
        return first, second

    def joins(self, together: int) -> tuple[int, ...]:
        """The iteration in which each of the images that a class has in a batch joins. Rounds get
        as many each, the first ones the remainder."""
        each, remainder = divmod(together, self.rounds)
        counts = [each + (number < remainder) for number in range(self.rounds)]
        starts = [self.iterations * number // self.rounds for number in range(self.rounds)]
        by_round = zip(starts, counts, strict=True)
        return tuple(start for start, count in by_round for _ in range(count))

    def segments(self, resolution: int) -> tuple[Segment, ...]:
        """The recovery's segments, in order, of images that end with `resolution` pixels a side;
        without sizes, budgets and residual a single one."""
        sizes, budgets = self.sizes, self.budgets
        if sizes is not None and budgets is not None:
            ends = tuple(accumulate(budgets))
        else:
            every = (self.residual and self.residual.every) or self.iterations
            ends = (*range(every, self.iterations, every), self.iterations)
            sizes = (resolution,) * len(ends)
        return tuple(map(Segment, (0, *ends), ends, sizes))

    @property
    def reads_images(self) -> bool:
        """Whether it needs real training images."""
        return self.start != "noise" or self.statistics == "class"
