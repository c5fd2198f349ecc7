"""When a run will be finished, by what the finished jobs of each stage took."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from scdd.plan.pace import Pace, pace, taken
from scdd.plan.plan import Plan
from scdd.status.states import State, Status

SAMPLE = 50  # finished jobs of a stage whose costs are read, spread over them


@dataclass(frozen=True)
class Estimate:
    """What is left. work: seconds of all jobs that are left; seconds: of wall clock until the last
    one ends, None where no job runs; at_once: how many run now; unknown: how many jobs of which
    stages are left out, since none of their stage is finished."""

    work: float
    seconds: float | None
    at_once: int
    unknown: Mapping[str, int]


def estimate(plan: Plan, found: Sequence[Status]) -> Estimate:
    """Of a running job with a time left in its log, that; of the others what finished jobs of the
    stage took, by their sizes. As many jobs run at once as now. A chain of artifacts, each made of
    the one before, takes no less than the longest job of each."""
    left = [status for status in found if status.state is not State.DONE]
    paces = {stage: _pace(found, stage) for stage in {s.job.node.stage for s in left}}
    unknown: Counter[str] = Counter()
    longest: dict[str, float] = defaultdict(float)  # of the jobs that are left, by artifact
    work = 0.0
    for status in left:
        node, usual = status.job.node, paces[status.job.node.stage]
        seconds = status.standing.left if status.standing else None
        if seconds is None and usual is None:
            unknown[node.stage] += 1
        elif seconds is None and usual is not None:
            seconds = usual.of(status.job.size)
        work += seconds or 0.0
        longest[node.key] = max(longest[node.key], seconds or 0.0)
    at_once = sum(status.state is State.RUNNING for status in left)
    wall = max(work / at_once, _longest_chain(plan, longest)) if at_once else None
    return Estimate(work, wall, at_once, unknown)


def _pace(found: Sequence[Status], stage: str) -> Pace | None:
    done = [s.job for s in found if s.state is State.DONE and s.job.node.stage == stage]
    return pace(taken(done[:: -(-len(done) // SAMPLE) or 1]))


def _longest_chain(plan: Plan, longest: Mapping[str, float]) -> float:
    @cache
    def until(key: str) -> float:
        before = max(map(until, plan.nodes[key].parents.values()), default=0.0)
        return before + longest.get(key, 0.0)

    return max(map(until, longest), default=0.0)
