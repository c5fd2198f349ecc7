"""The frame of a long job: signals, outputs, what its log says."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from conftest import ROOT

PROGRAM = """
import sys, time
from scdd.artifacts.files import write_text
from scdd.jobs import arguments, runtime
from scdd.jobs.saved import Snapshot

def work(args, config, device, saved):
    done = saved.content["done"] if saved.content else 0
    while done < 40:
        time.sleep(0.05)
        done += 1
        saved.offer(done, lambda: Snapshot({"done": done}))
    write_text(args.out, "the output")

parser = arguments.long_parser("counts to 40 in two seconds", out="a file")
sys.exit(runtime.run_long("probe", parser, work, None, outputs=("out",)))
"""


class Job:
    """The program above in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        frozen = {"stage": "probe", "version": 1, "label": "x", "digest": "d", "params": {}}
        (folder / "config.json").write_text(json.dumps({**frozen, "parents": {}}))
        (folder / "code.txt").write_text("print")
        (folder / "program.py").write_text(textwrap.dedent(PROGRAM))

    def start(self, wrapper: str = "", **environment: str) -> subprocess.Popen[str]:
        argv = "--config config.json --code code.txt --work work/x --out out.txt --device cpu"
        command = [sys.executable, "program.py", *argv.split()]
        if wrapper:
            command = [sys.executable, "-c", wrapper, *command]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_until_it_works(self) -> None:
        log = self.folder / "work" / "x" / "attempts.log"
        deadline = time.monotonic() + 30
        while not log.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.3)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_job_that_is_asked_to_leave_saves_and_the_next_goes_on(
    job: Job, number: signal.Signals
) -> None:
    first = job.start()
    job.wait_until_it_works()
    first.send_signal(number)
    assert first.stderr
    log = ""
    while "leaving" not in log and (line := first.stderr.readline()):
        log += line
    first.send_signal(signal.SIGTERM)  # as Slurm may, more than once
    log += first.stderr.read()
    assert first.wait() == 143
    assert f"{number.name}: saving, then leaving" in log
    assert "saved at step" in log
    assert "Traceback" not in log
    assert not (job.folder / "out.txt").exists()
    second = job.start()
    log = second.communicate()[1]
    assert second.returncode == 0
    assert "before: " in log
    assert (job.folder / "out.txt").read_text() == "the output"
    assert [path.name for path in (job.folder / "work" / "x").iterdir()] == ["done"]


def test_the_log_says_where_with_what_and_at_what_cost(job: Job) -> None:
    log = job.start(SLURM_JOB_ID="77").communicate()[1]
    for said in ("config config.json", "Slurm job 77", "device cpu", '"torch": ', "peak memory"):
        assert said in log


def test_a_finished_job_is_linked_without_working_again(job: Job) -> None:
    job.start().wait()
    (job.folder / "out.txt").unlink()
    log = job.start().communicate()[1]
    assert "finished by an earlier attempt" in log
    assert (job.folder / "out.txt").read_text() == "the output"


def cost(job: Job) -> dict[str, float]:
    read: dict[str, float] = json.loads((job.folder / "costs" / "x.json").read_text())
    return read


def test_a_job_leaves_what_all_its_attempts_took(job: Job) -> None:
    """40 steps of 0.05 s and more, of which the second attempt makes a part."""
    first = job.start()
    job.wait_until_it_works()
    first.terminate()
    first.communicate()
    assert not (job.folder / "costs").exists()
    second = job.start()
    started = time.monotonic()
    second.communicate()
    assert 2.0 <= cost(job)["seconds"] < 2.0 + time.monotonic() - started
    assert cost(job)["device"] == "cpu"
    assert cost(job)["peak_mib"] > 0


def test_a_job_that_is_linked_keeps_its_cost(job: Job) -> None:
    job.start().communicate()
    before = cost(job)
    (job.folder / "costs" / "x.json").unlink()
    (job.folder / "out.txt").unlink()
    job.start().communicate()
    assert cost(job) == before


def test_a_job_of_a_driver_that_is_killed_saves_and_leaves(job: Job) -> None:
    wrapper = "import subprocess, sys; subprocess.run(sys.argv[1:])"
    driver = job.start(wrapper, SCDD_PLAN="plan.json")
    job.wait_until_it_works()
    driver.kill()
    log = driver.communicate()[1]  # ends when the job has closed it too
    assert "SIGTERM: saving, then leaving" in log
    assert (job.folder / "work" / "x" / "state.pt").exists()


def test_a_user_error_is_one_line(job: Job) -> None:
    (job.folder / "config.json").write_text("{")
    failed = job.start()
    log = failed.communicate()[1]
    assert failed.returncode == 1
    assert log.startswith("error: config.json")
    assert "Traceback" not in log
