"""A run: which of its jobs run, how many are left, and how long that may take."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import fmean

from scdd.artifacts.run import RESULTS
from scdd.errors import ScddError
from scdd.jobs.costs import FOLDER, load_cost
from scdd.jobs.progress import Standing
from scdd.plan.plan import Plan

SAMPLE = 20  # costs of earlier jobs of a stage that are read: the newest
MOST = 1000  # among so many, of each stage and dataset
START = 3.0  # seconds in which a program starts, which its cost does not count
LOOK_EVERY = 5.0  # seconds between two looks into a log, to which a line is added every 10 s


@dataclass(frozen=True)
class Job:
    """A job that runs. words: see scdd.plan.wording. log: of its program; since: by the clock."""

    stage: str
    words: str
    log: Path
    since: float
    is_again: bool


@dataclass(frozen=True)
class Left:
    """Seconds until the run ends. is_all: whether the time of every job that is left is known."""

    seconds: float
    is_all: bool


class Run:
    """The jobs of a run, by number.

    counts: how many jobs there are to do, by stage. before: what a job of a stage took in earlier
    runs, in seconds.
    """

    def __init__(
        self,
        counts: Mapping[str, int],
        before: Mapping[str, float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.to_do = Counter(counts)  # without those that have ended
        self.total, self.before, self.clock = self.to_do.total(), before, clock
        self.began = clock()
        self.running: dict[int, Job] = {}
        self.failed: dict[int, Job] = {}  # and not tried again
        self.stopped: dict[int, Job] = {}  # before they were done, since they were asked to
        self.took: dict[str, list[float]] = {stage: [] for stage in counts}
        self.looks: dict[Path, tuple[float, Standing | None]] = {}

    @property
    def done(self) -> int:
        return self.total - self.to_do.total()

    @property
    def elapsed(self) -> float:
        return self.clock() - self.began

    def start(self, number: int, stage: str, words: str, log: Path) -> Job:
        before = [ended.pop(number, None) for ended in (self.failed, self.stopped)]
        is_again = any(before)
        self.running[number] = Job(stage, words, log, self.clock(), is_again)
        return self.running[number]

    def end(self, number: int) -> tuple[Job, float]:
        """The job, and the seconds that it took."""
        job = self.running.pop(number)
        seconds = self.clock() - job.since
        self.took.setdefault(job.stage, []).append(seconds)
        self.to_do[job.stage] -= 1
        return job, seconds

    def fail(self, number: int, *, is_stopped: bool = False) -> tuple[Job, float]:
        """The job, and the seconds after which it failed, or was stopped."""
        job = self.running.pop(number)
        (self.stopped if is_stopped else self.failed)[number] = job
        return job, self.clock() - job.since

    def standing(self, job: Job) -> Standing | None:
        """Where a job is, by its log; None where that is not known."""
        when, standing = self.looks.get(job.log, (-LOOK_EVERY, None))
        if self.clock() - when >= LOOK_EVERY:
            standing = Standing.read(job.log)
            self.looks[job.log] = self.clock(), standing
        return standing

    def left(self) -> Left | None:
        """An estimate; None where at least half of the jobs that are left cannot be told.

        A job that runs takes as long as its log says, or as its stage says less what it took so
        far. A job that waits takes the mean of those of its stage that have ended in this run, or
        else in earlier ones. As many jobs run at once as did on average so far. The run does not
        end before the longest job that runs now.
        """
        running = [self._left_of(job) for job in self.running.values()]
        waiting = self.to_do - Counter(job.stage for job in self.running.values())
        usual = {stage: self.usual(stage) for stage in waiting}
        unknown = running.count(None) + sum(waiting[s] for s in usual if usual[s] is None)
        if 2 * unknown >= len(running) + waiting.total():
            return None
        seconds = [each for each in running if each is not None]
        work = sum(seconds) + sum(waiting[stage] * (each or 0.0) for stage, each in usual.items())
        return Left(max([work / self._at_once(), *seconds]), unknown == 0)

    def usual(self, stage: str) -> float | None:
        """Seconds of a job of a stage; None where no one is known."""
        return fmean(took) if (took := self.took.get(stage)) else self.before.get(stage)

    def _left_of(self, job: Job) -> float | None:
        standing = self.standing(job)
        if standing is not None and standing.left is not None:
            return standing.left
        usual = self.usual(job.stage)
        return None if usual is None else max(usual - (self.clock() - job.since), 0.0)

    def _at_once(self) -> float:
        """How many jobs have run at once, on average."""
        now = sum(self.clock() - job.since for job in self.running.values())
        worked = sum(map(sum, self.took.values())) + now
        return max(worked / max(self.elapsed, 1e-9), 1.0)


def seconds_before(plan: Plan, results: Path = RESULTS) -> dict[str, float]:
    """What jobs took, by stage, in the newest costs of the plan's datasets that are there."""
    before = {}
    for stage in {node.stage for node in plan.nodes.values()}:
        labels = {plan.data_of(node).label for node in plan.of(stage)}
        if stage == "tables":  # they are named after experiments
            labels = {node.label for node in plan.of(stage)}
        patterns = [f"{stage}/{label}-*/{FOLDER}/*.json" for label in labels]
        files = [file for each in patterns for file in islice(results.glob(each), MOST)]
        files.sort(key=lambda file: file.stat().st_mtime)
        costs = []
        for file in files[-SAMPLE:]:
            with suppress(ScddError):  # it is damaged
                costs.append(load_cost(file))
        if seconds := [cost.seconds for cost in costs if cost is not None]:
            before[stage] = START + fmean(seconds)
    return before
