"""The stages, in the order of the data: a row each. Whatever needs to know the stages reads them
here."""

from dataclasses import dataclass
from pathlib import Path

# in `done`: files whose names follow from the artifact; `Plan.targets` lists them
IMAGES, LABELS, EXPERTS, PAGES = (
    "<image shards>",
    "<label shards>",
    "<files of experts>",
    "<pages>",
)

PACKAGE = Path(__file__).parents[1]
CAPTIONS = [
    str(file.relative_to(PACKAGE)) for file in sorted(PACKAGE.glob("report/captions/*.rst"))
]


@dataclass(frozen=True)
class Stage:
    """A stage.

    program: the module that a job runs. done: the files in an artifact's folder that show that it
    is finished. job: what a job makes. heading: of its seconds in the table of what images cost;
    empty for a stage that makes none. minutes: until Slurm ends a job; mem: MB of memory; both are
    assumed, not measured. gpu: whether a job needs one. version: raised by hand when the stage's
    results would change, so that they are made again. plugins: the package of which the program
    loads a module, and the parameter that names the module. reads: files of scdd that the program
    reads beside its modules. imports: whether it only reads what others made.
    """

    program: str
    done: tuple[str, ...]
    job: str
    minutes: int
    mem: int
    gpu: bool = False
    version: int = 1
    plugins: tuple[str, str] | None = None
    reads: tuple[str, ...] = ()
    heading: str = ""
    imports: bool = False


STAGES = {
    "data": Stage(
        program="scdd.data",
        done=("dataset.json",),
        job="a dataset",
        minutes=240,
        mem=16_000,
        plugins=("scdd.data.sets", "name"),
    ),
    "whiten": Stage(
        program="scdd.learn.whiten",
        done=("whitening.safetensors",),
        job="a whitening of a dataset",
        heading="Whiten",
        minutes=120,
        mem=16_000,
    ),
    "experts": Stage(
        program="scdd.learn.train_experts",
        done=(EXPERTS,),
        job="some experts in a range of epochs",
        heading="Experts",
        minutes=720,
        mem=32_000,
        gpu=True,
    ),
    "learn": Stage(
        program="scdd.learn",
        done=(IMAGES,),
        job="the images of a classic method",
        heading="Learn",
        minutes=1440,
        mem=32_000,
        gpu=True,
        plugins=("scdd.learn.methods", "engine"),
    ),
    "squeeze": Stage(
        program="scdd.squeeze",
        done=("backbone.safetensors",),
        job="a backbone",
        heading="Squeeze",
        minutes=1440,
        mem=32_000,
        gpu=True,
        plugins=("scdd.squeeze.methods", "method"),
    ),
    "probe": Stage(
        program="scdd.probe",
        done=("probe.safetensors",),
        job="a backbone's classifier",
        heading="Probe",
        minutes=720,
        mem=32_000,
        gpu=True,
    ),
    "informativeness": Stage(
        program="scdd.informativeness",
        done=("informativeness.json",),
        job="a look at a backbone",
        heading="Informativeness",
        minutes=60,
        mem=32_000,
        gpu=True,
    ),
    "statistics": Stage(
        program="scdd.recover.statistics",
        done=("statistics.safetensors",),
        job="what a teacher's layers see of the training images",
        heading="Statistics",
        minutes=240,
        mem=32_000,
        gpu=True,
    ),
    "forgetting": Stage(
        program="scdd.select.forgetting",
        done=("order.safetensors",),
        job="the order of real images by a training run",
        heading="Forgetting run",
        minutes=1440,
        mem=32_000,
        gpu=True,
    ),
    "coreset": Stage(
        program="scdd.select.coreset",
        done=("order.safetensors",),
        job="the order of real images by a backbone's features",
        heading="Order",
        minutes=120,
        mem=32_000,
        gpu=True,
        plugins=("scdd.select.orders", "method"),
    ),
    "patches": Stage(
        program="scdd.patches",
        done=("patches.safetensors",),
        job="the order of real images, and a crop of each, by an observer",
        heading="Patches",
        minutes=240,
        mem=32_000,
        gpu=True,
    ),
    "curriculum": Stage(
        program="scdd.select.curriculum",
        done=("order.safetensors",),
        job="the order of real images by what a student of an image set lacks",
        heading="Curricula",
        minutes=720,
        mem=64_000,
        gpu=True,
    ),
    "select": Stage(
        program="scdd.select",
        done=(IMAGES,),
        job="a range of slots of a control, a coreset or of patches",
        heading="Choose",
        minutes=60,
        mem=16_000,
        plugins=("scdd.select.methods", "method"),
    ),
    "recover": Stage(
        program="scdd.recover",
        done=(IMAGES,),
        job="one block of classes × one range of slots",
        heading="Recover",
        minutes=240,
        mem=32_000,
        gpu=True,
    ),
    "import_images": Stage(
        program="scdd.interop.import_images",
        done=(IMAGES,),
        job="a range of slots of someone's distilled set",
        minutes=60,
        mem=16_000,
        imports=True,
    ),
    "imageset": Stage(
        program="scdd.imageset",
        done=("set.json",),
        job="an image set",
        minutes=60,
        mem=16_000,
    ),
    "verify": Stage(
        program="scdd.evaluate.verify",
        done=("metrics.json",),
        job="a look at an image set",
        minutes=60,
        mem=32_000,
        gpu=True,
    ),
    "relabel": Stage(
        program="scdd.labels.relabel",
        done=(LABELS,),
        job="a range of epochs of one image set",
        minutes=240,
        mem=64_000,
        gpu=True,
    ),
    "import_labels": Stage(
        program="scdd.interop.import_labels",
        done=(LABELS,),
        job="a range of epochs of an FKD folder",
        minutes=240,
        mem=64_000,
        imports=True,
    ),
    "validate": Stage(
        program="scdd.evaluate.validate",
        done=("metrics.json",),
        job="one student",
        minutes=720,
        mem=64_000,
        gpu=True,
    ),
    "tables": Stage(
        program="scdd.report",
        done=(PAGES,),
        job="an experiment",
        minutes=30,
        mem=8_000,
        reads=("report/published.csv", *CAPTIONS),
    ),
    "paper": Stage(
        program="scdd.report.paper",
        done=("summary.md",),
        job="the page of a paper",
        minutes=30,
        mem=8_000,
        reads=("report/published.csv",),
    ),
}
OF_EXPERIMENTS = ("tables", "paper")  # named after experiments and papers, not after a dataset


def stages_with(files: str) -> list[str]:
    """The stages whose artifacts are such files: IMAGES, LABELS or PAGES."""
    return [name for name, stage in STAGES.items() if files in stage.done]
