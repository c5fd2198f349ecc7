"""The workflow on a real Slurm: `make test-slurm`, as root.

The experiment runs from a fresh clone. Beside it, all at the same time, run recoveries to whose
jobs something happens. With SCDD_TEST_ACCOUNTING=1 this Slurm has an accounting database.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import one_node
import pytest
import yaml
from conftest import OWN_LINES, ROOT, TINY, Checkout

ACCOUNTING = bool(os.environ.get("SCDD_TEST_ACCOUNTING"))
PATIENCE = 240  # seconds for one recovery, whatever happens to it
# a recovery of its own, long enough for something to happen to it
RECOVERY = {
    **TINY,
    "recover": {**TINY["recover"], "iterations": 400},
    "machine": {"save_every": 0.5},
}
THE_RECOVERY = ("--until", "recover")
IMAGES = "results/recover/*/slots_*/*"


class OnSlurm(Checkout):
    """A checkout that runs its jobs through Slurm."""

    def configure_cluster(self, **settings: Any) -> None:
        (self.folder / "slurm" / "cluster.yaml").write_text(yaml.safe_dump(settings))

    def command(self, *arguments: str) -> list[str]:
        # Jobs are first looked at after so many seconds, in which most of the experiment's end;
        # every further look that finds no end comes 10 seconds later than the last.
        soon = ("--slurm-init-seconds-before-status-checks", "12", "--latency-wait", "5")
        return [sys.executable, "-m", "snakemake", "--profile", "slurm", *soon, *arguments]

    def programs(self, name: str) -> list[int]:
        """The processes that run a stage's program for this checkout."""
        parents = {}
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                started = process.joinpath("cmdline").read_bytes().split(b"\0")
                if started[1:3] == [b"-m", name.encode()] and self.is_home(process / "cwd"):
                    status = process.joinpath("status").read_text()
                    parents[int(process.name)] = int(re.findall(r"PPid:\s*(\d+)", status)[0])
        # a program's child has its command line for a moment, until it becomes something else
        return [program for program, parent in parents.items() if parent not in parents]

    def is_home(self, folder: Path) -> bool:
        return self.folder.samefile(folder)

    def running(self) -> str:
        """The number of this checkout's running Slurm job."""
        listed = one_node.output("squeue", "-h", "-t", "RUNNING", "-o", "%A|%Z").splitlines()
        pairs = [line.split("|") for line in listed]
        (job,) = [number for number, folder in pairs if self.is_home(Path(folder))]
        return job


class Recovery:
    """A recovery on Slurm, to which something is to happen."""

    stop = threading.Event()  # all of them, since the tests are at their end

    def __init__(self, base: Checkout, folder: Path, **cluster: Any) -> None:
        shutil.copytree(base.folder, folder, symlinks=True)
        self.checkout = OnSlurm(folder)
        self.checkout.configure(RECOVERY)
        self.checkout.configure_cluster(**cluster)
        self.most_programs = 0  # that ran at once
        self.start_driver()

    def start_driver(self) -> None:
        with self.log.open("a") as log:
            self.driver = subprocess.Popen(
                [
                    "nice",
                    *self.checkout.command(OWN_LINES, *THE_RECOVERY),
                ],  # the experiment goes first
                cwd=self.checkout.folder,
                env=self.checkout.environment,
                stdout=log,
                stderr=log,
            )

    @property
    def log(self) -> Path:
        return self.checkout.folder / "driver.log"

    @property
    def submissions(self) -> int:
        return self.log.read_text().count("has been submitted with SLURM jobid")

    def programs(self) -> list[int]:
        found = self.checkout.programs("scdd.recover")
        self.most_programs = max(self.most_programs, len(found))
        return found

    def wait(self, come: Callable[[], object]) -> None:
        end = time.monotonic() + PATIENCE
        while not come():
            self.programs()
            assert time.monotonic() < end, self.log.read_text()
            assert not self.stop.is_set()
            time.sleep(0.2)

    def survive(self, event: "Event") -> "Recovery":
        """Let it happen when the program has saved its state once, and wait for the end."""
        try:
            self.wait(lambda: list(self.checkout.folder.glob("work/recover/*/*/state.pt")))
            (program,) = self.programs()
            os.kill(program, signal.SIGSTOP)  # it shall not end before it has happened
            event(self, program)
            with suppress(ProcessLookupError):
                os.kill(program, signal.SIGCONT)
            self.wait(lambda: self.driver.poll() is not None)
        finally:
            self.driver.kill()
            self.driver.wait()
        return self


# what happens to a recovery and its program
Event = Callable[[Recovery, int], None]


def is_told_to_end(program: int) -> bool:
    """Whether a stopped program has a SIGTERM waiting, or is gone."""
    try:
        status = Path(f"/proc/{program}/status").read_text()
    except OSError:
        return True
    waiting = int(re.findall(r"ShdPnd:\s*(\w+)", status)[0], base=16)
    return bool(waiting >> (signal.SIGTERM - 1) & 1)


def is_cancelled(recovery: Recovery, program: int) -> None:
    one_node.run(["scancel", recovery.checkout.running()])
    recovery.wait(lambda: is_told_to_end(program))


def is_killed(_: Recovery, program: int) -> None:
    os.kill(program, signal.SIGKILL)


def exceeds_its_time(recovery: Recovery, program: int) -> None:
    job = recovery.checkout.running()
    one_node.run(["scontrol", "update", f"JobId={job}", "EndTime=now+2"])
    recovery.wait(lambda: is_told_to_end(program))


def is_requeued(recovery: Recovery, program: int) -> None:
    one_node.run(["scontrol", "requeue", recovery.checkout.running()])
    recovery.wait(lambda: is_told_to_end(program))


def loses_its_driver(recovery: Recovery, _: int) -> None:
    recovery.driver.kill()
    recovery.driver.wait()
    recovery.checkout.run("--unlock")
    recovery.start_driver()
    recovery.wait(lambda: " of an earlier run " in recovery.log.read_text())


def submit_something_more_important() -> None:
    """It needs the memory of both recoveries that can be preempted, and of no other."""
    memory = f"--mem={one_node.MEMORY - 20_000}"
    one_node.run(["sbatch", "-p", "high", memory, "-o", "/dev/null", "--wrap", "sleep 3"])


both_run = threading.Barrier(2, action=submit_something_more_important)


def is_preempted(recovery: Recovery, program: int) -> None:
    both_run.wait(PATIENCE)
    recovery.wait(lambda: is_told_to_end(program))


SMALL = {"stages": {"recover": {"mem": 1000}}}
LARGE = {"stages": {"recover": {"mem": 100_000}}}
# what happens, the cluster, and how often a job is then submitted in all
EVENTS: dict[str, tuple[Event, dict[str, Any], int]] = {
    "scancel": (is_cancelled, SMALL, 2),
    "SIGKILL": (is_killed, SMALL, 2),
    "time limit": (exceeds_its_time, SMALL, 2),
    "requeue": (is_requeued, SMALL, 1),
    "driver killed": (loses_its_driver, {**SMALL, "gpu": "gres"}, 2),
    "preemption at once": (is_preempted, {**LARGE, "partition": "low"}, 1),
    "preemption with notice": (is_preempted, {**LARGE, "partition": "lowgrace"}, 2),
}


@pytest.fixture(scope="session")
def slurm() -> Iterator[None]:
    reason = one_node.why_not(ACCOUNTING)
    if reason:
        pytest.skip(reason)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends it as well as Ctrl-C does
    with one_node.slurm(ACCOUNTING):
        yield


@pytest.fixture(scope="session")
def undisturbed(finished: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The recovery as it is without Slurm, and without anything happening."""
    folder = tmp_path_factory.mktemp("undisturbed") / "checkout"
    shutil.copytree(finished.folder, folder, symlinks=True)
    checkout = Checkout(folder)
    checkout.configure(RECOVERY)
    checkout.run(*THE_RECOVERY)
    return checkout


@pytest.fixture(scope="session")
def recoveries(
    slurm: None, finished: Checkout, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, "Future[Recovery]"]]:
    """All of them, under way."""
    folder = tmp_path_factory.mktemp("recoveries")
    with ThreadPoolExecutor(len(EVENTS)) as pool:

        def start(name: str) -> "Future[Recovery]":
            event, cluster, _ = EVENTS[name]
            recovery = Recovery(finished, folder / name.replace(" ", "-"), **cluster)
            return pool.submit(recovery.survive, event)

        yield {name: start(name) for name in EVENTS}
        Recovery.stop.set()


def test_the_experiment_arrives_from_a_fresh_clone(
    recoveries: dict[str, "Future[Recovery]"], finished: Checkout, tmp_path: Path
) -> None:
    clone = OnSlurm(tmp_path / "clone")
    subprocess.run(["git", "clone", "--quiet", ROOT, clone.folder], check=True)
    clone.configure(TINY)
    clone.configure_cluster(partition="gpu")
    printed = clone.run()
    assert "SC-DD" in printed
    submitted = re.findall(r"has been submitted with SLURM jobid (\d+)", printed)
    assert len(submitted) == 8  # data, squeeze, probe, recover, imageset, relabel, validate, tables
    table = "results/tables/tiny/main.csv"
    assert (clone.folder / table).read_bytes() == (finished.folder / table).read_bytes()
    recorded = one_node.output("sacct", "-X", "-n", "-j", ",".join(submitted), "-o", "State")
    assert recorded.split() == ["COMPLETED"] * 8 * ACCOUNTING


@pytest.mark.parametrize("name", EVENTS)
def test_a_recovery_ends_the_same_whatever_happens(
    name: str, recoveries: dict[str, "Future[Recovery]"], undisturbed: Checkout
) -> None:
    recovery = recoveries[name].result()
    assert recovery.driver.returncode == 0, recovery.log.read_text()
    assert recovery.submissions == EVENTS[name][-1], recovery.log.read_text()
    assert recovery.most_programs == 1
    logs = recovery.checkout.folder.glob("logs/recover/*/*.log")
    said = max(logs, key=lambda log: log.stat().st_mtime).read_text()
    # nothing is repeated but the work since the last saved state
    assert re.search(
        r"^[\d:]{8} (begins at step [1-9]|finished by an earlier)", said, re.MULTILINE
    ), said
    assert not (recovery.checkout.folder / "work").exists()
    images = {file: content for file, (content, _) in recovery.checkout.files(IMAGES).items()}
    assert images == {file: content for file, (content, _) in undisturbed.files(IMAGES).items()}
