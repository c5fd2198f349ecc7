"""The state of a job by its files."""

import json
import os
import platform
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from scdd.jobs.lock import SILENCE, myself
from scdd.plan.jobs import Job, jobs
from scdd.plan.load import plan_of
from scdd.status.slurm import Queue
from scdd.status.states import State, Status, states

END = "after 3.0 s, peak memory 1 MiB, of the GPU 0 MiB\n"


@pytest.fixture
def recovery(tiny: dict[str, Any], tmp_path: Path, monkeypatch: Any) -> Job:
    """A job that may be interrupted, in an empty folder without Slurm."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("scdd.status.slurm.shutil.which", lambda _: None)
    (job,) = (job for job in jobs(plan_of(tiny)) if job.node.stage == "recover")
    return job


def of(job: Job) -> Status:
    (status,) = states([job], Queue(Path()))
    return status


def write(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def lock(job: Job, age: float = 0.0, **owner: Any) -> None:
    path = write(job.work / "lock.0", json.dumps(asdict(replace(myself(), **owner))))
    os.utime(path, (time.time() - age,) * 2)


def test_a_job_of_which_there_is_nothing_waits(recovery: Job) -> None:
    assert of(recovery).state is State.WAITING


def test_a_job_is_done_when_its_last_file_is_there(recovery: Job) -> None:
    write(recovery.output)
    write(recovery.log, f"error: of an earlier attempt\nfailed {END}")
    assert of(recovery).state is State.DONE


def test_a_job_whose_lock_has_a_living_owner_runs(recovery: Job) -> None:
    lock(recovery)
    write(recovery.log, "12:00:01 images: 40/200, 4/s, 40 s left\n")
    status = of(recovery)
    assert (status.state, status.where) == (
        State.RUNNING,
        f"process {os.getpid()} on {platform.node()}",
    )
    assert status.standing is not None
    assert status.standing.left == 40


def test_an_owner_on_another_machine_runs_while_its_lock_is_touched(recovery: Job) -> None:
    lock(recovery, 3.0, host="node7", place="node7 boot", slurm_job="17")
    assert of(recovery).where == f"process {os.getpid()} on node7 (Slurm job 17)"
    lock(recovery, SILENCE + 9, host="node7", place="node7 boot", slurm_job="17")
    assert of(recovery).state is State.WAITING


def test_a_killed_job_has_failed_without_a_word(recovery: Job) -> None:
    lock(recovery, born="another")
    place = f"host {platform.node()}, process {os.getpid()}, device cpu\n"
    write(recovery.log, f"{place}12:00:01 images: 40/200, 4/s, 40 s left\n")
    status = of(recovery)
    assert status.state is State.FAILED
    assert status.why == "ended without a word, as if killed; images: 40/200, 4/s, 40 s left"


def test_a_failed_job_tells_why(recovery: Job) -> None:
    write(recovery.log, f"error: no room\nfailed {END}")
    assert of(recovery) == Status(recovery, State.FAILED, why="error: no room")


def test_a_job_that_was_asked_to_leave_has_stopped(recovery: Job) -> None:
    write(recovery.log, f"asked to leave; saved at step 3\nleft {END}")
    assert of(recovery) == Status(recovery, State.STOPPED, why="asked to leave; saved at step 3")


def test_a_job_without_a_saved_state_runs_while_its_process_does(
    recovery: Job, tiny: dict[str, Any]
) -> None:
    (images,) = (job for job in jobs(plan_of(tiny)) if job.node.stage == "imageset")
    place = f"host {platform.node()}, process {{}}, device cpu\n"
    write(images.log, place.format(os.getpid()))
    assert of(images).state is State.FAILED  # it is this test, not the program
    write(images.log, place.replace(platform.node(), "node7").format(1))
    assert of(images).state is State.RUNNING


def test_looking_writes_nothing(recovery: Job, tmp_path: Path) -> None:
    lock(recovery, 3.0, place="elsewhere")
    write(recovery.log, "12:00:01 images: 40/200, 4/s, 40 s left\n")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    of(recovery)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@pytest.mark.parametrize(
    ("comment", "expected"),
    [
        ("rule_recover_wildcards_{node}_0000-0000", State.QUEUED),
        ("rule_recover_0000_0002_wildcards_{node}_0000-0000", State.QUEUED),
        ("rule_recover_0003_0005_wildcards_{node}_0000-0000", State.STOPPED),
        ("rule_recover_wildcards_{node}_0001-0009", State.STOPPED),
        ("rule_squeeze_wildcards_other", State.STOPPED),
    ],
)
def test_slurms_queue_has_a_job(
    recovery: Job, monkeypatch: Any, tmp_path: Path, comment: str, expected: State
) -> None:
    write(recovery.log, f"asked to leave\nleft {END}")
    comment = comment.format(node=recovery.node.name)
    line = f"17|PENDING|scdd-login1-42_5f|Priority|{comment}|{tmp_path}"
    monkeypatch.setattr("scdd.status.slurm.shutil.which", lambda _: "squeue")
    monkeypatch.setattr("scdd.status.slurm.ask", lambda *_, **__: line)
    status = of(recovery)
    assert status.state is expected
    assert (status.where == "Slurm job 17: Priority") == (expected is State.QUEUED)
