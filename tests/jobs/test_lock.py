"""One process at a time, and nobody waits for the dead."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from conftest import ROOT

from scdd.errors import ScddError
from scdd.jobs import lock
from scdd.jobs.lock import Lock, Owner, locks, myself


def process(folder: Path, body: str) -> subprocess.Popen[str]:
    """A process that takes the lock of `folder`, says so and goes on with `body`."""
    code = f"""
        import time
        from pathlib import Path
        from scdd.jobs.lock import Lock
        folder = Path({str(folder)!r})
        lock = Lock(folder)
        lock.acquire()
        print("mine", flush=True)
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code) + textwrap.dedent(body)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def wait_for_it(running: subprocess.Popen[str]) -> None:
    assert running.stdout is not None
    assert running.stdout.readline() == "mine\n"


def leave(folder: Path, owner: Owner, age: float, number: int = 0) -> Path:
    """The lock of another process, which gave its last sign of life `age` seconds ago."""
    path = folder / f"lock.{number}"
    path.write_text(json.dumps(asdict(owner)))
    os.utime(path, (time.time() - age,) * 2)
    return path


@pytest.fixture
def elsewhere() -> Owner:
    return replace(myself(), host="node7", place="node7 boot pid:[1]", pid=42, token="x")


def test_a_second_process_is_refused_by_name(tmp_path: Path) -> None:
    first = process(tmp_path, "time.sleep(60)")
    wait_for_it(first)
    with pytest.raises(ScddError, match=rf"process {first.pid} on .*already works on this"):
        Lock(tmp_path).acquire(patience=0.1)
    first.send_signal(signal.SIGKILL)
    first.wait()
    second = Lock(tmp_path)
    second.acquire(patience=0.1)
    assert second.held()
    assert len(locks(tmp_path)) == 1


def test_a_released_lock_is_free_and_leaves_nothing(tmp_path: Path) -> None:
    first = Lock(tmp_path)
    first.acquire()
    first.release()
    assert not list(tmp_path.iterdir())
    Lock(tmp_path).acquire(patience=0)


def test_who_leaves_soon_is_waited_for(tmp_path: Path) -> None:
    first = process(tmp_path, "time.sleep(0.5); lock.release(); time.sleep(60)")
    wait_for_it(first)
    Lock(tmp_path).acquire(patience=20)
    first.kill()
    first.wait()


def test_a_process_number_that_was_given_again_does_not_block(tmp_path: Path) -> None:
    leave(tmp_path, replace(myself(), born="1"), age=0)
    Lock(tmp_path).acquire(patience=0)


def test_another_host_that_beats_is_refused_with_its_slurm_job(
    tmp_path: Path, elsewhere: Owner
) -> None:
    leave(tmp_path, replace(elsewhere, slurm_job="77"), age=1)
    with pytest.raises(ScddError, match=r"node7 \(Slurm job 77\).*scancel 77"):
        Lock(tmp_path).acquire(patience=0)


def test_another_host_that_was_silent_for_long_does_not_block(
    tmp_path: Path, elsewhere: Owner
) -> None:
    leave(tmp_path, elsewhere, age=lock.SILENCE + 1)
    Lock(tmp_path).acquire(patience=0)


def test_another_host_that_fell_silent_is_waited_for_until_it_counts_as_dead(
    tmp_path: Path, elsewhere: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "QUIET", 0.5)
    monkeypatch.setattr(lock, "SILENCE", 1.5)
    leave(tmp_path, elsewhere, age=0.6)
    started = time.monotonic()
    Lock(tmp_path).acquire(patience=0)
    assert time.monotonic() - started > 0.5


def test_the_same_slurm_job_after_a_requeue_does_not_wait_for_itself(
    tmp_path: Path, elsewhere: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(tmp_path, replace(elsewhere, slurm_job="77", slurm_restart=0), age=1)
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    Lock(tmp_path).acquire(patience=0)


def test_a_lock_that_was_never_written_to_the_end_is_given_up_by_age(tmp_path: Path) -> None:
    path = tmp_path / "lock.3"
    path.write_text('{"host": "no')
    os.utime(path, (0, 0))
    mine = Lock(tmp_path)
    mine.acquire(patience=0)
    assert locks(tmp_path) == [tmp_path / "lock.4"]


def test_whoever_was_given_up_notices(tmp_path: Path, elsewhere: Owner) -> None:
    mine = Lock(tmp_path)
    mine.acquire()
    assert mine.held()
    leave(tmp_path, elsewhere, age=0, number=1)
    assert not mine.held()
    mine.release()
    assert (tmp_path / "lock.1").exists()


def test_a_live_owner_gives_signs_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "BEAT", 0.05)
    mine = Lock(tmp_path)
    mine.acquire()
    (path,) = locks(tmp_path)
    os.utime(path, (0, 0))
    deadline = time.monotonic() + 10
    while path.stat().st_mtime == 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert path.stat().st_mtime > 0
    mine.release()


def test_of_many_that_find_a_dead_owner_one_works_at_a_time(tmp_path: Path) -> None:
    leave(tmp_path, replace(myself(), born="1"), age=0, number=5)
    counter = tmp_path / "counter"
    counter.write_text("0")
    body = """
        for _ in range(5):
            count = int((folder / "counter").read_text())
            time.sleep(0.01)
            (folder / "counter").write_text(str(count + 1))
        lock.release()
    """
    running = [process(tmp_path, body) for _ in range(6)]
    assert [each.wait(60) for each in running] == [0] * 6
    assert counter.read_text() == "30"
