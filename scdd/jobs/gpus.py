"""Which GPU a job has, on a machine with several and no scheduler that hands them out.

Snakemake counts GPUs (`--resources gpu=4`) but does not say which one a job has. Each device has as
many places, which are lock files, as jobs may share it. A job takes a place on the device with the
most free ones; the kernel frees it when the process ends, in whatever way.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from scdd.jobs.progress import say

LOOK = 0.5  # seconds between looks for a free place
REMIND = 60.0  # seconds between the lines that say why a job waits

_taken: list[TextIO] = []  # open until the process ends, and with it the lock
_jobs = 1  # that share the device of this process


def folder() -> Path:
    """This user's lock files: the same folder for all jobs of a machine, whatever TMPDIR is."""
    return Path("/tmp") / f"scdd-gpus-{os.getuid()}"


def visible(count: int) -> list[str]:
    """Names of the devices this process may use, of which torch counts `count`."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = [str(index) for index in range(count)] if named is None else named.split(",")
    return [name.strip() for name in names][:count]


def share() -> float:
    """The part of its GPU's memory that this job may fill."""
    return 1 / _jobs


def take(names: Sequence[str], jobs: int = 1) -> int:
    """The index of the device on which this process has one of `jobs` places until it ends.

    Waits until there is one. A single device is taken without a lock if it is for one job, or if
    Slurm assigned it: each of Slurm's jobs may have a GPU of its own by the same name.
    """
    global _jobs  # noqa: PLW0603
    _jobs = jobs
    if len(names) == 1 and (jobs == 1 or "SLURM_JOB_ID" in os.environ):
        return 0
    folder().mkdir(exist_ok=True)
    reminded = float("-inf")
    while True:
        with _alone():
            free = [_lock_free_places(name, jobs) for name in names]
            index = max(range(len(names)), key=lambda index: len(free[index]))
            place = free[index].pop() if free[index] else None
            for file in (file for files in free for file in files):
                file.close()
        if place is not None:
            _taken.append(place)
            return index
        if time.monotonic() - reminded > REMIND:
            reminded = time.monotonic()
            say(
                f"all {jobs * len(names)} places on {len(names)} GPUs are taken; waiting for one. "
                f"With --resources gpu={jobs * len(names)} snakemake starts no more jobs than that."
            )
        time.sleep(LOOK)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Within, no other process looks for a place: a look locks all free ones for a moment."""
    with (folder() / "look.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _lock_free_places(name: str, jobs: int) -> list[TextIO]:
    """The free places of a device, locked."""
    free: list[TextIO] = []
    for place in range(jobs):
        file = (folder() / f"{name}.{place}.lock").open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
        else:
            free.append(file)
    return free
