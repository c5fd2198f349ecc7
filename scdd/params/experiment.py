"""One experiment: what a configuration file may say."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Le, MinLen

from scdd.params.base import (
    BelowOne,
    Count,
    Distinct,
    FolderBelow,
    Matches,
    Mean,
    Name,
    Positive,
    Section,
    Seed,
    Std,
    param,
    require_mean_and_std,
)
from scdd.params.data import VAL
from scdd.params.network import Network
from scdd.params.probe import Informativeness
from scdd.params.select import Coreset, Import, Sampling

Ipc = Annotated[int, Ge(1), Le(100_000)]
Overrides = dict[str, Any]


@dataclass(frozen=True)
class Dataset(Section):
    """Which images. A bare name stands for its `name`."""

    BARE: ClassVar[str | None] = "name"

    name: str = param("digits", "digits, cifar10, cifar100, tiny-imagenet, ...")
    root: str = param("data", "folder of the files; in no digest")
    download: bool = param(False, "let torchvision fetch the files; in no digest")
    classes: Annotated[int, Ge(2)] | tuple[str, ...] | None = param(
        None, "a subset: the first so many classes, or names in the order wanted"
    )
    resolution: Count | None = param(None, "pixels a side; null: the dataset's own")
    val_resize: Count | None = param(
        None,
        "the shorter side of the students' validation images, of which the centre is cut out; "
        "null: 256/224 of the resolution from ImageNet's sizes on (above 96 pixels), else the "
        "resolution",
    )
    mean: Mean | None = param(None, "by channel in [0, 1]; null: the dataset's own")
    std: Std | None = param(None, "by channel in [0, 1]; null: the dataset's own")
    holdout: BelowOne = param(
        0.0,
        "share of each class's training images that is left out and takes the place of the test "
        "set, to choose by; 0: none",
    )
    val: FolderBelow = param(VAL, "folder of the validation images, below the root")

    def __post_init__(self) -> None:
        require_mean_and_std(self.mean, self.std)


@dataclass(frozen=True)
class Method(Section):
    """One row of the table. A bare name stands for a built-in method."""

    BARE: ClassVar[str | None] = "name"

    name: Name = param(meaning="in file names and on the command line")
    like: str | None = param(None, "the built-in method that this one varies")
    title: str | None = param(None, "in tables and figures")
    preset: str | None = param(
        None, "published recovery in place of its own: scdd-paper, scdd-code, ..."
    )
    imported: Import | None = param(
        None, "a distilled set of others, in place of a built-in method", key="import"
    )
    labels: str | None = param(
        None, "its soft labels: a folder of SRe2L's FKD files, in place of a teacher's"
    )
    teacher: Annotated[tuple[str, ...], MinLen(1), Distinct] | None = param(
        None, "method whose probe labels the images; several: their mean"
    )
    teacher_priors: tuple[float, ...] | None = param(
        None,
        "a number for each of several teachers, as the accuracy of students of its own images: by "
        "protocols with a prior_temperature, a higher one has more weight in the labels",
    )
    features: str | None = param(
        None,
        "method whose probed backbone a coreset is chosen by; null: the (first) one that labels "
        "the images",
    )
    observer: str | None = param(
        None,
        "method whose probe chooses real patches; null: the (first) one that labels the images",
    )
    committee: Annotated[tuple[Name, ...], Distinct] = param(
        (), "methods whose probes join its own in the recovery, as recover.teachers says"
    )
    base: Name | None = param(
        None,
        "method whose images real ones are added to (ccfs); null: the first that has a teacher of "
        "its own",
    )
    backbone: Network | None = param(None, "another network than the experiment's")
    squeeze: Overrides = param(
        {}, "overrides for this method alone; `method`: another squeeze than its own"
    )
    probe: Overrides = param({}, "overrides for this method alone")
    recover: Overrides = param({}, "overrides for this method alone")
    patches: Overrides = param(
        {}, "overrides for this method alone (rded; recoveries that start from patches)"
    )
    learn: Overrides = param({}, "overrides for this method alone (dc, dsa, dm, cafe, mtt, ...)")
    ccfs: Overrides = param({}, "overrides for this method alone (ccfs)")
    storage: Literal["float32", "uint8"] | None = param(
        None, "of learned images: float32, the default, as they are learned; uint8: as 8-bit ones"
    )
    experts: str | None = param(
        None, "a folder of the MTT authors' replay buffers, in place of experts trained here"
    )
    sweep: Overrides = param(
        {},
        "lists of values where backbone, squeeze, probe, recover, patches, learn or ccfs have one: "
        "{recover: {lr: [0.2, 0.4]}}; variants with one value each take the method's place",
    )
    ipc: Annotated[tuple[Ipc, ...], MinLen(1), Distinct] | None = param(
        None, "fewer IPCs than the experiment's"
    )
    protocols: Annotated[tuple[Name, ...], MinLen(1), Distinct] | None = param(
        None, "fewer protocols than the experiment's"
    )


@dataclass(frozen=True)
class Backbone(Section):
    """A squeezed network to look at, by itself. A bare name stands for its `method`."""

    BARE: ClassVar[str | None] = "method"
    RENAMED: ClassVar = {"overrides": "squeeze", "squeeze": "method"}

    method: str = param(meaning="mocov2, supervised, untrained, ...")
    title: str | None = param(None, "in tables and figures")
    backbone: Network | None = param(None, "another network than the experiment's")
    seeds: Annotated[tuple[Seed, ...], MinLen(1), Distinct] | None = param(
        None, "of the squeeze; null: its section's own"
    )
    squeeze: Overrides = param({}, "overrides for this backbone alone")
    probe: Overrides = param({}, "overrides for this backbone alone")


@dataclass(frozen=True)
class Ablation(Section):
    """What every other method and protocol of an experiment is compared with, one at a time."""

    method: str = param(meaning="the method that the others vary")
    protocol: str = param(meaning="the protocol that the others vary")


@dataclass(frozen=True)
class Continual(Section):
    """Class-incremental learning: students of the classes seen so far, after each step."""

    steps: Annotated[tuple[Annotated[int, Ge(2)], ...], MinLen(1), Distinct] = param(
        (5, 10), "in how many steps the classes come; several: each way is evaluated"
    )
    orders: Annotated[int, Ge(1), Le(1000)] = param(
        5, "class orders, 0, 1, …; an order is its students' seed too"
    )


@dataclass(frozen=True)
class Figures(Section):
    """Looks only: changing them trains nothing."""

    grid_columns: Count = param(10, "images of a class in the picture")
    grid_classes: Count = param(10, "classes in the picture")
    scale: Count = param(2, "images are enlarged to 32 times this many pixels at least")
    dpi: Count = param(120, "of the PNG figures")


@dataclass(frozen=True)
class Machine(Section):
    """How this machine runs the jobs. In no digest, but in every header."""

    device: Annotated[str, Matches(r"^(auto|cpu|cuda(:\d+)?)$")] = param(
        "auto", "auto, cpu or cuda"
    )
    threads: Count = param(1, "CPU threads of a job; changes float rounding")
    save_every: Positive = param(300, "seconds between saves of a long job's state")
    tensorboard: bool = param(
        False,
        "write the curves of long jobs to logs/tensorboard/ too, for TensorBoard",
    )
    pass_width: Count | None = param(
        None,
        "images of a class in one pass of a recovery; null: one on the CPU, what fits on a GPU",
    )
    jobs_per_gpu: Count = param(
        1,
        "jobs that share a GPU of this machine; --resources gpu=N then counts places, this many a "
        "GPU; Slurm's jobs have their GPUs to themselves",
    )
    compile: Literal["none", "graphs", "full"] | bool = param(
        "none",
        "how steps get to a GPU: none: kernel by kernel; graphs: all kernels at once (CUDA "
        "graphs); full, or true: also compiled (torch.compile), on the CPU too, which takes a "
        "minute or more a job and changes float rounding",
    )

    def __post_init__(self) -> None:
        words: dict[Any, str] = {True: "full", False: "none"}
        object.__setattr__(self, "compile", words.get(self.compile, str(self.compile)))


@dataclass(frozen=True)
class Experiment(Section):
    """One experiment: a configuration file. It has methods, backbones or both."""

    RENAMED: ClassVar = {"inform": "informativeness"}

    experiment: Name = param(meaning="names the folder of its tables")
    dataset: Dataset = param(Dataset())
    backbone: Network = param(Network())
    methods: tuple[Method, ...] = param(
        (),
        "scdd, scdd-mocov3, scdd-swav, scdd-dino, scdd-best, sre2l, cda, sre2lpp, cvdd, fadrm, "
        "fadrm-plus, delt, gvbsm, edc, rded, ccfs, dc, dsa, dm, cafe, cafe-dsa, mtt, tesla, "
        "tesla-exact, random, random-hard, herding, kcenter, forgetting, noise, untrained, "
        "teacher, whole",
    )
    backbones: tuple[Backbone, ...] = param(
        (), "squeezed networks whose informativeness is compared"
    )
    ipc: Annotated[tuple[Ipc, ...], Distinct] = param((), "images per class, for methods")
    verifier: str | None = param(
        None, "method whose probe is asked for its top-1 on all recovered images"
    )
    students: Annotated[tuple[Network, ...], MinLen(1), Distinct] = param(
        (Network(),), "networks trained on the distilled images"
    )
    protocols: Annotated[tuple[Name, ...], MinLen(1), Distinct] = param(
        ("scdd-paper",), "evaluation protocols"
    )
    seeds: Annotated[tuple[Seed, ...], MinLen(1), Distinct] = param((0, 1, 2), "of the students")
    squeeze: dict[str, Overrides] = param({}, "overrides by squeeze method")
    probe: Overrides = param({}, "overrides for every probe")
    recover: Overrides = param({}, "overrides for every recovery")
    patches: Overrides = param({}, "overrides for all real patches")
    learn: dict[str, Overrides] = param({}, "overrides by method (dc, dsa, dm, cafe, mtt, ...)")
    experts: Overrides = param({}, "overrides for all experts (mtt, tesla)")
    informativeness: Informativeness = param(Informativeness())
    coreset: Coreset = param(Coreset())
    forgetting: Overrides = param({}, "overrides for the training run")
    ccfs: Overrides = param({}, "overrides for every ccfs")
    sampling: Sampling = param(Sampling())
    protocol: dict[str, Overrides] = param(
        {}, "overrides by protocol name; `sweep`, lists of values, as a method's"
    )
    ablation: Ablation | None = param(None, "{method, protocol}: a table of differences from them")
    ranking: Annotated[tuple[str, ...], MinLen(1), Distinct] | None = param(
        None,
        "protocols by whose students methods get DD-Ranking's scores, label-robust and "
        "augmentation-robust",
    )
    continual: Continual | None = param(
        None,
        "{steps: [5, 10], orders: 5}: students of the images of some classes, then of more, until "
        "all are seen (docs/continual.md)",
    )
    figures: Figures = param(Figures())
    machine: Machine = param(Machine())

    def __post_init__(self) -> None:
        if not self.methods and not self.backbones:
            raise ValueError("methods or backbones are missing")
        if self.methods and not self.ipc:
            raise ValueError("ipc is missing")
