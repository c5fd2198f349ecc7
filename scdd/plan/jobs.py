"""The jobs of a plan: what each makes, and where it leaves its log, its state and its cost."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scdd.artifacts.run import LOGS, WORK
from scdd.artifacts.slots import Range, checksums_path, range_name, slot_ranges
from scdd.jobs.costs import cost_path
from scdd.plan.plan import Node, Plan
from scdd.plan.stages import EXPERTS, IMAGES, LABELS, STAGES


@dataclass(frozen=True)
class Job:
    """A job of Snakemake.

    part: what it is called beside the other jobs of the artifact; the stage, if it is the only one.
    wildcards: those of its rule. output: the file by which one sees that it is finished. size: how
    much it does, to be compared with other jobs of its stage: images × epochs or iterations, as far
    as they are known.
    """

    node: Node
    part: str
    wildcards: dict[str, str]
    output: Path
    size: float

    @property
    def log(self) -> Path:
        return LOGS / self.node.key / f"{self.part}.log"

    @property
    def work(self) -> Path:
        """The folder of its saved state; there is none if its stage cannot be interrupted."""
        folder = WORK / self.node.key
        return folder if self.part == self.node.stage else folder / self.part

    @property
    def cost(self) -> Path:
        return cost_path(self.node.folder, self.part)


def jobs(plan: Plan) -> Iterator[Job]:
    """All jobs, in the order of the stages; without those that freeze configurations."""
    ipcs: dict[str, int] = {}  # of the largest image set of each source
    for images in plan.of("imageset"):
        source = images.parents["source"]
        ipcs[source] = max(ipcs.get(source, 0), images.params["ipc"])
    for stage in STAGES:
        for node in plan.of(stage):
            yield from _jobs_of(plan, node, ipcs.get(node.key, 1))


def _jobs_of(plan: Plan, node: Node, ipc: int) -> Iterator[Job]:
    name, each = {"node": node.name}, _size(plan, node)
    files = STAGES[node.stage].done[0]
    if node.stage == "learn":  # all images together, the last of which show that it is finished
        (block,), slots = plan.class_blocks(node), slot_ranges(ipc)[-1]
        yield Job(node, node.stage, name, checksums_path(node.folder, slots, block), each)
    elif files == IMAGES:
        for slots in slot_ranges(ipc):
            for block in plan.class_blocks(node):
                part = f"slots_{range_name(slots)}"
                if node.stage == "recover":
                    part += f"_classes_{range_name(block)}"
                wildcards = {**name, "slots": range_name(slots)}
                output = checksums_path(node.folder, slots, block)
                yield Job(node, part, wildcards, output, each * _length(slots) * _length(block))
    elif files == LABELS:
        for file in plan.label_shards(node, plan.store_epochs(node)):
            epochs = file.stem.removeprefix("epochs_")
            wildcards = {**name, "epochs": epochs}
            yield Job(node, file.stem, wildcards, file, each * _named(epochs))
    elif files == EXPERTS:
        for file in plan.expert_files(node, plan.expert_epochs(node)):
            experts, _, epochs = file.stem.removeprefix("experts_").partition("_epochs_")
            wildcards = {**name, "experts": experts, "epochs": epochs}
            yield Job(node, file.stem, wildcards, file, each * _named(experts) * _named(epochs))
    else:
        wildcards = {} if node.stage == "tables" else name  # each has a rule of its own
        yield Job(node, node.stage, wildcards, plan.targets(node)[0], each)


def _size(plan: Plan, node: Node) -> float:
    """Of a job that makes one image, one epoch, or all of the artifact."""
    steps: float = node.params.get("epochs") or node.params.get("iterations") or 1
    return steps * _images(plan, node)


def _images(plan: Plan, node: Node) -> int:
    """How many images of a set a job reads, or the training images; 1 where that is not known."""
    if "labels" in node.parents:
        node = plan.parent(node, "labels")
    if "images" in node.parents:
        return plan.class_count(node) * int(plan.parent(node, "images").params["ipc"])
    if node.stage == "imageset":
        return plan.class_count(node) * int(node.params["ipc"])
    return plan.train.get(plan.data_of(node).key) or 1


def _length(span: Range) -> int:
    return span[1] - span[0]


def _named(span: str) -> int:
    """The length of a range as `range_name` writes it."""
    first, last = map(int, span.split("-"))
    return last - first + 1
