"""What earlier jobs took: their files of costs, and what can be expected of others from them."""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from scdd.jobs.costs import Cost, cost_path, load_cost
from scdd.plan.cost.machines import Machine
from scdd.plan.cost.passes import Job
from scdd.plan.plan import Node

CLOSE = 1.01  # factor within which two jobs do the same


@dataclass(frozen=True)
class Taken:
    """A finished job: the FLOPs that were counted for it, and its seconds."""

    flops: float
    seconds: float


@dataclass(frozen=True)
class History:
    """Finished jobs of one machine, by stage."""

    by_stage: dict[str, list[Taken]] = field(default_factory=lambda: defaultdict(list))

    def add(self, stage: str, job: Job, cost: Cost) -> None:
        self.by_stage[stage].append(Taken(job.work.flops, cost.seconds))

    def expected(self, stage: str, job: Job) -> float | None:
        """Seconds: those for each FLOP of the finished jobs of the stage whose FLOPs are nearest;
        of jobs without arithmetic their mean. None: there is none."""
        taken = self.by_stage.get(stage)
        if not taken:
            return None
        if not job.work.flops:
            return _mean([each.seconds for each in taken if not each.flops])
        distances = [
            (abs(math.log(each.flops / job.work.flops)), each) for each in taken if each.flops
        ]
        if not distances:
            return None
        least = min(distance for distance, _ in distances)
        near = [each for distance, each in distances if distance <= least + math.log(CLOSE)]
        rate = sum(each.seconds for each in near) / sum(each.flops for each in near)
        return rate * job.work.flops


def own_cost(node: Node, job: Job, machine: Machine) -> Cost | None:
    """What this job took when it was done on such a machine; None: it was not."""
    cost = load_cost(cost_path(node.folder, job.name))
    if cost is None or not _is_of(cost, machine):
        return None
    return cost


def _is_of(cost: Cost, machine: Machine) -> bool:
    if machine.is_gpu:
        return machine.device in cost.device
    return cost.device == "cpu" and cost.threads == machine.threads


def _mean(seconds: Iterable[float]) -> float | None:
    values = list(seconds)
    return sum(values) / len(values) if values else None
