"""When a run will be finished, by what the finished jobs of each stage took."""

import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scdd.errors import ScddError
from scdd.jobs.costs import load_cost
from scdd.plan.plan import Plan
from scdd.status.states import State, Status

SAMPLE = 100  # finished jobs of a stage whose costs are read, evenly over them

Seconds = Callable[[float], float]


@dataclass(frozen=True)
class Estimate:
    """What is left. seconds: of wall clock, None where no job runs; work: seconds of all jobs that
    are left; at_once: how many run now; unknown: jobs by stage of which none is finished, which the
    seconds are without."""

    seconds: float | None
    work: float
    at_once: int
    unknown: dict[str, int]


def estimate(plan: Plan, found: Sequence[Status]) -> Estimate:
    """The jobs that are left share the machines as those that run now do. They take no less than
    the longest chain of jobs that wait for each other."""
    rules = {stage: _rule(jobs) for stage, jobs in _by_stage(found).items()}
    left: dict[str, float] = defaultdict(float)  # the longest job that is left of each artifact
    unknown: dict[str, int] = defaultdict(int)
    work, at_once = 0.0, 0
    for status in found:
        stage, key = status.job.node.stage, status.job.node.key
        if status.state is State.DONE:
            continue
        at_once += status.state is State.RUNNING
        seconds = None if status.progress is None else status.progress.left
        rule = rules[stage]
        if seconds is None and rule is None:
            unknown[stage] += 1
            continue
        if seconds is None and rule is not None:
            seconds = rule(status.job.size)
        work += seconds or 0.0
        left[key] = max(left[key], seconds or 0.0)
    wall = max(work / at_once, _longest_chain(plan, left)) if at_once else None
    return Estimate(wall, work, at_once, dict(unknown))
