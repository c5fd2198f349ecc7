"""The state of each job, by its files. Folders are listed once, whatever the number of jobs."""

import contextlib
import os
import platform
import time
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from scdd.artifacts.run import LOGS, WORK
from scdd.jobs.lock import SILENCE, dead, locks, myself, read_owner
from scdd.jobs.logs import Log, read_log
from scdd.jobs.progress import Standing
from scdd.plan.jobs import Job
from scdd.plan.stages import STAGES
from scdd.status.slurm import Queue, Queued


class State(StrEnum):
    DONE = "done"
    RUNNING = "running"
    QUEUED = "queued"  # by Slurm
    STOPPED = "stopped"  # with its state saved, since it was asked to leave
    FAILED = "failed"
    WAITING = "waiting"


@dataclass(frozen=True)
class Status:
    """A job and its state. where: its process, of a running job; Slurm's words, of a queued one.
    standing: how far a running one is. why: the line of its log that says why it failed, or what it
    said last."""

    job: Job
    state: State
    where: str = ""
    standing: Standing | None = None
    why: str = ""


class Files:
    """The names in folders, as they were when they were first asked for."""

    def __init__(self) -> None:
        self._of = cache(_names)

    def have(self, path: Path | str) -> bool:
        folder, name = os.path.split(path)
        return name in self._of(folder)


def _names(folder: str) -> frozenset[str]:
    try:
        return frozenset(entry.name for entry in os.scandir(folder))
    except OSError:
        return frozenset()


def states(jobs: Iterable[Job], queue: Queue) -> list[Status]:
    files = Files()
    return [_status(job, files, queue) for job in jobs]


def _status(job: Job, files: Files, queue: Queue) -> Status:
    if files.have(job.output):
        return Status(job, State.DONE)
    # most jobs of a large plan have left nothing yet; to ask for each file of theirs takes a second
    begun = any(files.have(f"{root}/{job.node.key}") for root in (LOGS, WORK))
    log = read_log(job.log) if begun and files.have(job.log) else None
    queued = queue.of(job)
    if where := _process(job, begun and files.have(job.work), log, queued):
        ended = log is None or log.ended  # an ended log is that of an earlier attempt
        return Status(job, State.RUNNING, where, None if ended else Standing.read(job.log))
    if queued is not None and queued.state == "PENDING":
        return Status(job, State.QUEUED, f"Slurm job {queued.id}: {queued.reason}")
    if log is None or log.ended == "done":
        return Status(job, State.WAITING)
    if log.ended == "left":
        return Status(job, State.STOPPED, why=log.last)
    words = [] if log.ended else ["ended without a word, as if killed"]
    return Status(job, State.FAILED, why="; ".join([*words, *filter(None, [log.last])]))


def _process(job: Job, has_state: bool, log: Log | None, queued: Queued | None) -> str:
    """The process that works on a job, in words; empty if there is none. has_state: whether the
    folder of its saved state is there."""
    if has_state:
        for newest in locks(job.work)[-1:]:
            if _beats(newest):
                return str(read_owner(newest) or "a process that starts")
    if queued is not None and queued.state == "RUNNING":
        return f"Slurm job {queued.id}"
    if log is None or log.ended:
        return ""
    lives = time.time() - log.modified <= SILENCE
    if log.host is None:
        return "a process that starts" if lives else ""
    if log.host == platform.node():
        lives = _runs(log.pid, STAGES[job.node.stage].program)
    return log.process if lives else ""


def _beats(lock: Path) -> bool:
    """Whether the owner of a lock lives, as far as one can know without writing: by its process on
    this machine, by its sign of life and this machine's clock on another."""
    me, owner = myself(), read_owner(lock)
    if owner is not None and owner.place == me.place:
        return not dead(lock, me)
    with contextlib.suppress(OSError):
        return time.time() - lock.stat().st_mtime <= SILENCE
    return False


def _runs(pid: int | None, program: str) -> bool:
    try:
        return program.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
