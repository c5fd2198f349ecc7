"""How long jobs take by their size, from what finished ones of their stage took."""

import statistics
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from scdd.errors import ScddError
from scdd.jobs.costs import load_cost
from scdd.plan.jobs import Job

START = 3.0  # seconds in which a program starts, which its cost does not count


@dataclass(frozen=True)
class Pace:
    """Seconds of a job: `constant`, and `slope` for each unit of its size (`scdd.plan.jobs`)."""

    constant: float
    slope: float

    def of(self, *sizes: float) -> float:
        """Seconds of jobs of these sizes, one after the other."""
        return self.constant * len(sizes) + self.slope * sum(sizes)


def pace(taken: Sequence[tuple[float, float]]) -> Pace | None:
    """From sizes and seconds of finished jobs: a constant and a multiple of the size, where they
    say both; otherwise the start of a program, and the rest in proportion. None: there are none."""
    if not taken:
        return None
    sizes, seconds = zip(*taken, strict=True)
    if len(set(sizes)) > 1:
        slope, constant = statistics.linear_regression(sizes, seconds)
        if slope >= 0 and constant >= 0:
            return Pace(constant, slope)
    start = min(START, statistics.fmean(seconds))
    return Pace(start, (sum(seconds) - start * len(seconds)) / sum(sizes))


def taken(jobs: Iterable[Job]) -> list[tuple[float, float]]:
    """Sizes and seconds of those of the jobs whose cost is known."""
    known = []
    for job in jobs:
        with suppress(ScddError):  # a damaged file of costs
            if cost := load_cost(job.cost):
                known.append((job.size, START + cost.seconds))
    return known
