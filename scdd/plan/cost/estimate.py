"""What an experiment will cost: job by job, by the best that is known of each."""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from scdd.jobs.costs import Cost
from scdd.plan.cost.counts import NotCounted
from scdd.plan.cost.disk import bytes_of, files_of
from scdd.plan.cost.history import History, own_cost
from scdd.plan.cost.machines import Machine
from scdd.plan.cost.passes import Job
from scdd.plan.cost.stages import jobs_of
from scdd.plan.plan import Node, Plan
from scdd.plan.stages import PAGES, STAGES

# where seconds come from, the best first, in words
OWN, STAGE, RATE = "its own", "jobs like it", "machine"
# what comes of reading the parameters of a plan that another version made
OF_ANOTHER_VERSION = (KeyError, TypeError, ValueError)


@dataclass(frozen=True)
class Expected:
    """A job: what it does, its seconds with its start, where they come from, bytes at the peak, and
    whether it is done."""

    job: Job
    seconds: float
    source: str
    memory: float
    is_done: bool


@dataclass
class StageCost:
    """All jobs of a stage. unknown: what was not known, in words, so that the work of some was not
    counted."""

    stage: str
    jobs: list[Expected] = field(default_factory=list)
    bytes: float = 0.0
    files: int = 0
    unknown: list[str] = field(default_factory=list)

    @property
    def flops(self) -> float:
        return sum(each.job.work.flops for each in self.jobs)

    @property
    def seconds(self) -> float:
        return sum(each.seconds for each in self.jobs)

    @property
    def left(self) -> float:
        """Seconds of the jobs that are not done."""
        return sum(each.seconds for each in self.jobs if not each.is_done)

    @property
    def memory(self) -> float:
        return max((each.memory for each in self.jobs), default=0.0)


@dataclass(frozen=True)
class Total:
    """chain: seconds of the longest chain of jobs of which each waits for the one before."""

    stages: list[StageCost]
    chain: float

    @property
    def seconds(self) -> float:
        return sum(stage.seconds for stage in self.stages)

    def wall(self, at_once: int) -> float:
        """Seconds with so many jobs at once, at least."""
        return max(self.seconds / at_once, self.chain)


def estimate(plan: Plan, machine: Machine, earlier: Iterable[Plan] = ()) -> Total:
    """The cost of a plan. earlier: plans of other experiments whose finished jobs are looked at
    too. Raises ScddError for a damaged file of costs."""
    history = History()
    looks: dict[str, Look] = {}
    for node in plan.nodes.values():
        looks[node.key] = _look(plan, node, machine, history)
    for each in earlier:
        for node in each.nodes.values():
            if node.key not in looks:
                with contextlib.suppress(*OF_ANOTHER_VERSION):
                    looks[node.key] = _look(each, node, machine, history)
    by_stage: dict[str, StageCost] = {}
    ends: dict[str, float] = {}
    for node in plan.nodes.values():  # parents come first
        cost = by_stage.setdefault(node.stage, StageCost(node.stage))
        outputs = plan.targets(node)  # of ImageNet's recoveries tens of thousands
        is_done = all(file.exists() for file in outputs)
        jobs = _expected(node, looks[node.key], machine, history, is_done)
        cost.files += files_of(len(outputs), len(jobs))
        _add(cost, plan, node, looks[node.key], jobs)
        # tables wait for all that is in them, which they do not have as parents
        before = ends if PAGES in STAGES[node.stage].done else node.parents.values()
        longest = max((job.seconds for job in jobs), default=0.0)
        ends[node.key] = longest + max((ends[key] for key in before), default=0.0)
    stages = [by_stage[stage] for stage in STAGES if stage in by_stage]
    return Total(stages, max(ends.values(), default=0.0))


@dataclass(frozen=True)
class Look:
    """What is known of an artifact: its jobs, what those that are finished took, and why the jobs
    could not be counted."""

    jobs: list[Job]
    own: list[Cost | None]
    unknown: str | None = None


def _look(plan: Plan, node: Node, machine: Machine, history: History) -> Look:
    """Finished jobs are added to the history."""
    try:
        jobs = jobs_of(plan, node)
    except NotCounted as reason:
        return Look([], [], str(reason))
    own = [own_cost(node, job, machine) for job in jobs]
    for job, cost in zip(jobs, own, strict=True):
        if cost is not None:
            history.add(node.stage, job, cost)
    return Look(jobs, own)


def _add(cost: StageCost, plan: Plan, node: Node, look: Look, jobs: list[Expected]) -> None:
    cost.jobs += jobs
    unknown = look.unknown
    try:
        cost.bytes += bytes_of(plan, node)
    except NotCounted as reason:
        unknown = str(reason)
    if unknown is not None and unknown not in cost.unknown:
        cost.unknown.append(unknown)


def _expected(
    node: Node, look: Look, machine: Machine, history: History, is_done: bool
) -> list[Expected]:
    jobs = []
    for job, own in zip(look.jobs, look.own, strict=True):
        memory, source = machine.memory_of(job), STAGE
        seconds = history.expected(node.stage, job)
        if own is not None:
            peak = own.peak_gpu_mib if machine.is_gpu else own.peak_mib
            memory, seconds, source = peak * 2**20, own.seconds, OWN
        elif seconds is None:
            seconds, source = machine.seconds(job), RATE
        started = seconds + machine.start
        jobs.append(Expected(job, started, source, memory, is_done or own is not None))
    return jobs
