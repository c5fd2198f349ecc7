"""A run: which of its jobs run, how many are left, and how long that may take."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scdd.jobs.progress import Standing
from scdd.plan.pace import Pace, pace

LOOK_EVERY = 5.0  # seconds between two looks into a log, to which a line is added every 10 s


@dataclass(frozen=True)
class Job:
    """A job that runs. words: see scdd.plan.wording. log: of its program; size: see scdd.plan.jobs;
    since: by the clock."""

    stage: str
    words: str
    log: Path
    size: float
    since: float
    is_again: bool


@dataclass(frozen=True)
class Left:
    """Seconds until the run ends. is_all: whether the time of every job that is left is known."""

    seconds: float
    is_all: bool


class Run:
    """The jobs of a run, by number.

    to_do: the sizes of the jobs to do, by stage. before: how long those of a stage took in earlier
    runs.
    """

    def __init__(
        self,
        to_do: Mapping[str, Sequence[float]],
        before: Mapping[str, Pace],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.to_do = {stage: list(sizes) for stage, sizes in to_do.items()}
        self.total = self._count()
        self.paces, self.clock = dict(before), clock
        self.began = clock()
        self.running: dict[int, Job] = {}
        self.failed: dict[int, Job] = {}  # and not tried again
        self.stopped: dict[int, Job] = {}  # before they were done, since they were asked to
        self.took: dict[str, list[tuple[float, float]]] = defaultdict(list)  # size, seconds
        self.looks: dict[Path, tuple[float, Standing | None]] = {}

    @property
    def done(self) -> int:
        return self.total - self._count()

    def _count(self) -> int:
        return sum(map(len, self.to_do.values()))

    @property
    def elapsed(self) -> float:
        return self.clock() - self.began

    def start(self, number: int, stage: str, words: str, log: Path, size: float) -> Job:
        before = [ended.pop(number, None) for ended in (self.failed, self.stopped)]
        is_again = any(before)
        self.running[number] = Job(stage, words, log, size, self.clock(), is_again)
        return self.running[number]

    def end(self, number: int) -> tuple[Job, float]:
        """The job, and the seconds that it took."""
        job = self.running.pop(number)
        seconds = self.clock() - job.since
        self.took[job.stage].append((job.size, seconds))
        if usual := pace(self.took[job.stage]):
            self.paces[job.stage] = usual
        _take(self.to_do[job.stage], job.size)
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

        A job that runs takes as long as its log says, or as its size says less what it took so
        far. A job that waits takes what those of its stage that have ended in this run, or else in
        earlier ones, say of its size. As many jobs run at once as did on average so far. The run
        does not end before the longest job that runs now.
        """
        running = [self._left_of(job) for job in self.running.values()]
        waiting = {stage: list(sizes) for stage, sizes in self.to_do.items()}
        for job in self.running.values():
            _take(waiting[job.stage], job.size)
        unknown = sum(len(sizes) for stage, sizes in waiting.items() if stage not in self.paces)
        unknown += running.count(None)
        if 2 * unknown >= len(running) + sum(map(len, waiting.values())):
            return None
        seconds = [each for each in running if each is not None]
        known = (self.paces[stage].of(*waiting[stage]) for stage in waiting if stage in self.paces)
        work = sum(seconds) + sum(known)
        return Left(max([work / self._at_once(), *seconds]), unknown == 0)

    def usual(self, job: Job) -> float | None:
        """Seconds of a job; None where none of its stage is known."""
        return self.paces[job.stage].of(job.size) if job.stage in self.paces else None

    def _left_of(self, job: Job) -> float | None:
        standing = self.standing(job)
        if standing is not None and standing.left is not None:
            return standing.left
        usual = self.usual(job)
        return None if usual is None else max(usual - (self.clock() - job.since), 0.0)

    def _at_once(self) -> float:
        """How many jobs have run at once, on average."""
        now = sum(self.clock() - job.since for job in self.running.values())
        worked = sum(seconds for took in self.took.values() for _, seconds in took) + now
        return max(worked / max(self.elapsed, 1e-9), 1.0)


def _take(sizes: list[float], size: float) -> None:
    """Take a job of this size, or any one, from those that are there."""
    if size in sizes:
        sizes.remove(size)
    elif sizes:
        sizes.pop()
