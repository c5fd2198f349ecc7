"""What a driver does about its Slurm jobs that Snakemake does not do.

Snakemake forgets its jobs when it dies, but they stay in Slurm: a new driver would start second
copies beside them. And Snakemake expects Slurm to start a preempted job again, which Slurm does not
do if it preempts by cancelling: Snakemake would wait for ever.

A job is recognised by its name, which the profile sets: `scdd-<host>-<pid of the driver>_…`.
"""

import os
import re
import subprocess
import threading
import time
from pathlib import Path
from typing import NamedTuple

from scdd.artifacts.run import WORK
from scdd.errors import ScddError
from scdd.jobs.lock import locks, read_owner
from scdd.jobs.progress import say

SECONDS_TO_LEAVE = 120  # for cancelled jobs: Slurm grants them 30 by default, to save
SECONDS_BETWEEN_LOOKS = 30  # at preempted jobs: Slurm forgets them after some minutes

NAME = re.compile(r"scdd-(?P<host>[A-Za-z0-9-]+)-(?P<pid>\d+)_")


class Driver(NamedTuple):
    """The Snakemake process that a job belongs to."""

    host: str
    pid: int

    def is_dead(self) -> bool:
        """Whether it is known to be dead; False for drivers on other hosts."""
        return self.host == host() and not is_another_snakemake(self.pid)


class Job(NamedTuple):
    """A job in Slurm's queue."""

    id: str
    state: str
    driver: Driver
    folder: Path


def start(folder: Path) -> None:
    """What a driver of `folder` does before it submits its first job."""
    take_over(folder)
    threading.Thread(target=look_after_preempted_jobs, daemon=True).start()


def take_over(folder: Path) -> None:
    """Take care of the jobs that earlier drivers of this folder left in the queue.

    A running job of a dead driver that has the lock of a state may finish; this run's copy of it
    waits (see `after`). All others have nothing to lose: they are cancelled, since they would write
    the same files as this run's jobs.
    """
    left = [job for job in queue() if job.folder.resolve() == folder.resolve()]
    unsure = [job for job in left if job.driver.host != host()]
    orphans = [job for job in left if job.driver.is_dead()]
    holders = {holder(lock.parent) for lock in (folder / WORK).rglob("lock.*")}
    going_on = [job for job in orphans if job.state != "PENDING" and job.id in holders]
    lost = [job for job in orphans if job not in going_on]
    if unsure:
        say(f"If the run on {unsure[0].driver.host} has died: scancel {ids(unsure)}")
    if going_on:
        say(f"Jobs of an earlier run continue, and this run waits for them: {ids(going_on)}")
    if lost:
        say(f"Cancelling the jobs of an earlier run that has died: {ids(lost)}")
        cancel(lost)


def cancel(jobs: list[Job]) -> None:
    """Returns when all of them have ended. Raises ScddError if they do not."""
    ask("scancel", *(job.id for job in jobs))
    names = {job.id for job in jobs}
    end = time.monotonic() + SECONDS_TO_LEAVE
    while names & {job.id for job in queue()}:
        if time.monotonic() > end:
            raise ScddError(f"jobs {ids(jobs)} do not end. Cancel them, then run this again.")
        time.sleep(1)


def after(state: Path) -> str:
    """sbatch's option to wait for the job that holds the state in this folder; often there is none.

    Squeue is asked only where there is a lock.
    """
    job = holder(state)
    if job and ask("squeue", "--noheader", "--jobs", job, "--format=%i"):
        return f"--dependency=afterany:{job}"
    return ""


def holder(state: Path) -> str | None:
    """The Slurm job that took the state's newest lock, `lock.<number>`."""
    for newest in locks(state)[-1:]:
        owner = read_owner(newest)
        return owner.slurm_job if owner else None
    return None


def look_after_preempted_jobs() -> None:
    while True:
        time.sleep(SECONDS_BETWEEN_LOOKS)
        requeue_preempted_jobs()


def requeue_preempted_jobs() -> None:
    """Put this driver's jobs that were preempted by cancelling back into the queue.

    They keep their numbers, so the executor sees them wait, run and end.
    """
    own = Driver(host(), os.getpid())
    for job in queue("--states=PREEMPTED"):
        if job.driver == own:
            ask("scontrol", "requeue", job.id)


def queue(*options: str) -> list[Job]:
    """This user's jobs that drivers of this project submitted."""
    listed = ask("squeue", "--me", "--noheader", "--format=%A|%T|%j|%Z", *options)
    jobs = []
    for line in listed.splitlines():
        number, state, name, folder = line.split("|", 3)
        if found := NAME.match(name):
            driver = Driver(found["host"], int(found["pid"]))
            jobs.append(Job(number, state, driver, Path(folder)))
    return jobs


def host() -> str:
    """This host as the profile writes it into the names of jobs."""
    return re.sub("[^A-Za-z0-9]", "-", os.uname().nodename)[:30]


def is_another_snakemake(pid: int) -> bool:
    if pid == os.getpid():  # this process got the number after its last owner had died
        return False
    try:
        return b"snakemake" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def ids(jobs: list[Job]) -> str:
    return " ".join(job.id for job in jobs)


def ask(*command: str, patience: float = 30) -> str:
    """What a Slurm command prints; nothing where it fails, or has not ended after `patience`
    seconds."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=patience, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
