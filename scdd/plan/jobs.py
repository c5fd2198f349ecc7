"""The jobs of a plan: what each makes, and where it leaves its log, its state and its cost."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from math import prod
from pathlib import Path

from scdd.artifacts.run import LOGS, WORK
from scdd.artifacts.slots import checksums_path, range_name, slot_ranges
from scdd.jobs.costs import cost_path
from scdd.plan.plan import Node, Plan
from scdd.plan.stages import EXPERTS, IMAGES, LABELS, PAGES, STAGES


@dataclass(frozen=True)
class Job:
    """A job of Snakemake.

    ranges: which part of the artifact it makes, by what the names of files count: slots, classes,
    experts, epochs, each as `0001-0009`; none if it makes all. output: the file by which one sees
    that it is finished. size: how much it does, to be compared with other jobs of its stage:
    images × epochs or iterations, as far as they are known.
    """

    node: Node
    ranges: dict[str, str]
    output: Path
    size: float

    @property
    def part(self) -> str:
        """What it is called beside the other jobs of the artifact."""
        names = [f"{what}_{span}" for what, span in self.ranges.items()]
        return "_".join(names) or self.node.stage

    @property
    def log(self) -> Path:
        return LOGS.joinpath(self.node.key, f"{self.part}.log")

    @property
    def work(self) -> Path:
        """The folder of its saved state; there is none if its stage cannot be interrupted."""
        return WORK.joinpath(self.node.key, self.part if self.ranges else "")

    @property
    def cost(self) -> Path:
        return cost_path(self.node.folder, self.part)


def jobs(plan: Plan) -> Iterator[Job]:
    """All jobs, in the order of the stages."""
    ipcs: dict[str, int] = {}  # how many images of each source are used at most
    for filling in chain.from_iterable(map(plan.fillings, plan.of("imageset"))):
        key = filling.source.key
        ipcs[key] = max(ipcs.get(key, 0), filling.count)
    for stage in STAGES:
        for node in plan.of(stage):
            yield from _jobs_of(plan, node, ipcs.get(node.key, 1))


def _jobs_of(plan: Plan, node: Node, ipc: int) -> Iterator[Job]:
    files = STAGES[node.stage].done[0]
    if files == IMAGES:
        together = node.stage == "learn"  # and the last of them show that it is finished
        for slots in slot_ranges(ipc)[-1 if together else 0 :]:
            for block in plan.class_blocks(node):
                ranges = {} if together else {"slots": range_name(slots)}
                if node.stage == "recover":
                    ranges["classes"] = range_name(block)
                yield _job(plan, node, ranges, checksums_path(node.folder, slots, block))
    elif files == LABELS:
        for file in plan.label_shards(node, plan.store_epochs(node)):
            yield _job(plan, node, {"epochs": file.stem.removeprefix("epochs_")}, file)
    elif files == EXPERTS:
        for file in plan.expert_files(node, plan.expert_epochs(node)):
            experts, _, epochs = file.stem.removeprefix("experts_").partition("_epochs_")
            yield _job(plan, node, {"experts": experts, "epochs": epochs}, file)
    else:
        file = node.folder / files if files != PAGES else plan.targets(node)[0]
        yield _job(plan, node, {}, file)


def _job(plan: Plan, node: Node, ranges: dict[str, str], output: Path) -> Job:
    steps: float = node.params.get("epochs") or node.params.get("iterations") or 1
    images = 1 if "slots" in ranges else _images(plan, node)  # those of the range, or all
    return Job(node, ranges, output, steps * images * prod(map(_length, ranges.values())))


def _images(plan: Plan, node: Node) -> int:
    """How many images of a set a job reads, or the training images; 1 where that is not known."""
    if "labels" in node.parents:
        node = plan.parent(node, "labels")
    if "images" in node.parents:
        return plan.class_count(node) * int(plan.parent(node, "images").params["ipc"])
    if node.stage == "imageset":
        return plan.class_count(node) * int(node.params["ipc"])
    return plan.train.get(plan.data_of(node).key) or 1


def _length(span: str) -> int:
    """Of a range as `range_name` writes it."""
    first, last = map(int, span.split("-"))
    return last - first + 1
