"""What one attempt at a job leaves for the next."""

import contextlib
import hashlib
import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from scdd.artifacts.files import replacing
from scdd.artifacts.run import NAME as RUN
from scdd.errors import ScddError
from scdd.jobs import done
from scdd.jobs.saved import HASH, SavedState, Snapshot, Stopped

KEY = {"artifact": "a1", "code": "c1"}


def attempt(folder: Path, at: int = 0, key: dict[str, str] = KEY, error: Any = None) -> SavedState:
    """One that saves step `at`, if it is not 0, and ends, with `error` if one is given."""
    saved = SavedState(folder, key, every=1e9)
    with saved.locked(), saved.attempt(str):
        if at:
            saved.save(at, Snapshot({"step": at}, {"first": torch.arange(3)}))
        if error:
            raise error
    return saved


def found(folder: Path, key: dict[str, str] = KEY) -> SavedState:
    saved = SavedState(folder, key, every=1e9)
    with saved.locked(), saved.attempt(str):
        return saved


def test_tensors_come_back_with_their_bits_types_and_strides(tmp_path: Path) -> None:
    tensors = {
        "half": torch.randn(3).half(),
        "bf16": torch.randn(3).bfloat16(),
        "bool": torch.tensor([True, False]),
        "image": torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last),
        "odd": torch.tensor([float("nan"), float("-inf"), -0.0]),
    }
    saved = SavedState(tmp_path, KEY, every=1e9)
    with saved.locked(), saved.attempt(str):
        saved.save(1, Snapshot({"tensors": tensors, "rows": [(1, 0.1, None)]}))
    content = found(tmp_path).content
    assert content is not None
    assert content["rows"] == [(1, 0.1, None)]
    for name, tensor in tensors.items():
        back = content["tensors"][name]
        assert back.dtype == tensor.dtype
        assert back.stride() == tensor.stride()
        assert (
            back.contiguous()
            .view(-1)
            .view(torch.uint8)
            .equal(tensor.contiguous().view(-1).view(torch.uint8))
        )


@pytest.mark.parametrize("other", [{**KEY, "artifact": "a2"}, {**KEY, "code": "c2"}])
def test_a_state_of_other_parameters_or_code_is_void(tmp_path: Path, other: dict[str, str]) -> None:
    attempt(tmp_path, at=4)
    assert found(tmp_path).step == 4
    assert found(tmp_path).part("first").tolist() == [0, 1, 2]
    assert found(tmp_path, other).content is None
    assert not list(tmp_path.glob("*.part"))


def test_a_damaged_state_is_void(tmp_path: Path) -> None:
    attempt(tmp_path, at=4)
    state = tmp_path / "state.pt"
    data = bytearray(state.read_bytes())
    data[100] ^= 1
    state.write_bytes(data)
    assert found(tmp_path).step == 0


def test_a_state_is_saved_when_its_time_has_come(tmp_path: Path) -> None:
    saved = SavedState(tmp_path, KEY, every=1e9)
    with saved.locked(), saved.attempt(str):
        saved.offer(1, lambda: Snapshot({}))
        assert not (tmp_path / "state.pt").exists()
        saved.due = 0
        saved.offer(2, lambda: Snapshot({}))
        saved.wait()
        assert saved.step == 2
        saved.offer(3, lambda: Snapshot({}))
        assert saved.step == 2
        saved.leaving = True
        with pytest.raises(Stopped, match="step 4"):
            saved.offer(4, lambda: Snapshot({}))
    assert found(tmp_path).step == 4


def test_the_job_goes_on_while_its_state_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what is written is the state as it was offered."""
    disk_is_free = threading.Event()

    @contextlib.contextmanager
    def slow(path: Path) -> Iterator[Path]:
        disk_is_free.wait()
        with replacing(path) as temporary:
            yield temporary

    monkeypatch.setattr("scdd.jobs.saved.replacing", slow)
    state = torch.zeros(3)
    saved = SavedState(tmp_path, KEY, every=0)
    with saved.locked(), saved.attempt(str):
        saved.offer(1, lambda: Snapshot({"state": state}, {"part": state}))
        state += 1
        assert saved.step == 0
        disk_is_free.set()
    again = found(tmp_path)
    assert again.content is not None
    assert (again.step, again.content["state"].tolist()) == (1, [0, 0, 0])
    assert again.part("part").tolist() == [0, 0, 0]


def test_a_state_that_could_not_be_written_is_told_at_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextlib.contextmanager
    def full(path: Path) -> Iterator[Path]:
        raise ScddError(f"{path} was not written: the disk is full.")
        yield

    monkeypatch.setattr("scdd.jobs.saved.replacing", full)
    saved = SavedState(tmp_path, KEY, every=0)
    with saved.locked(), saved.attempt(str):
        saved.offer(1, lambda: Snapshot({}))
        with pytest.raises(ScddError, match="disk is full"):
            saved.offer(2, lambda: Snapshot({}))
    assert saved.step == 0


def test_two_attempts_without_a_new_step_are_enough_for_one_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(RUN, "monday")
    attempt(tmp_path, at=3)
    attempt(tmp_path)
    attempt(tmp_path, at=4)  # a new step: counted from the start again
    attempt(tmp_path)
    attempt(tmp_path)
    with pytest.raises(ScddError, match=r"2 attempts in a row.*save_every.*attempts\.log"):
        attempt(tmp_path)
    monkeypatch.setenv(RUN, "tuesday")
    assert attempt(tmp_path).step == 4


def test_saving_the_same_step_again_is_no_progress(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(RUN, "monday")
    for _ in range(3):
        attempt(tmp_path, at=3)
    with pytest.raises(ScddError, match="2 attempts"):
        attempt(tmp_path, at=3)


def test_an_error_that_would_come_again_is_told_again_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(RUN, "monday")
    with pytest.raises(ScddError, match="not finite"):
        attempt(tmp_path, at=3, error=ScddError("the loss is not finite"))
    with pytest.raises(ScddError, match="not tried again in this run: the loss is not finite"):
        attempt(tmp_path)


def test_attempts_by_hand_are_not_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(RUN, raising=False)
    for _ in range(4):
        attempt(tmp_path)


def test_a_new_attempt_tells_of_the_earlier_ones(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="boom"):
        attempt(tmp_path, at=3, error=ValueError("boom"))
    told: list[str] = []
    saved = SavedState(tmp_path, KEY, every=1e9)
    with saved.locked(), saved.attempt(told.append):
        pass
    assert [line.startswith("before: ") for line in told] == [True, True, False]
    assert f"begins at step 0: process {os.getpid()}" in told[0]
    assert "ends at step 3: boom" in told[1]


def test_after_the_end_nothing_is_left(tmp_path: Path) -> None:
    attempt(tmp_path, at=3).clear()
    assert not list(tmp_path.iterdir())


def places(folder: Path) -> dict[str, Path]:
    return {"out": folder / "results" / "folder", "b.csv": folder / "results" / "table.csv"}


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """work/ with two outputs, one of them in a folder."""
    work = tmp_path / "work" / "squeeze" / "x"
    staging = done.start(work)
    (staging / "out" / "deep").mkdir(parents=True)
    (staging / "out" / "deep" / "a.bin").write_bytes(b"a")
    (staging / "b.csv").write_text("b")
    files = done.commit(work, KEY, places(tmp_path))
    assert sorted(map(str, files)) == ["b.csv", "out/deep/a.bin"]
    return work


def test_finished_outputs_are_linked_to_their_places_again_and_again(
    finished: Path, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    for _ in range(2):
        done.deliver(finished, done.finished(finished, KEY), places(tmp_path))
        assert (results / "folder/deep/a.bin").read_bytes() == b"a"
        assert (results / "table.csv").read_text() == "b"
        assert (results / "table.csv").samefile(finished / "done" / "b.csv")
        assert sorted(p.name for p in results.rglob("*")) == [
            "a.bin",
            "deep",
            "folder",
            "table.csv",
        ]
        (results / "table.csv").unlink()


def test_linked_outputs_are_newer_than_what_they_were_made_of(
    finished: Path, tmp_path: Path
) -> None:
    os.utime(finished / "done" / "b.csv", (0, 0))
    source = tmp_path / "source"
    source.touch()
    done.deliver(finished, [Path("b.csv")], {"b.csv": tmp_path / "table.csv"})
    assert (tmp_path / "table.csv").stat().st_mtime_ns >= source.stat().st_mtime_ns


def test_outputs_on_another_file_system_are_copied(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", link)
    done.deliver(finished, [Path("b.csv")], {"b.csv": tmp_path / "table.csv"})
    assert (tmp_path / "table.csv").read_text() == "b"


def test_outputs_of_other_code_or_altered_are_not_used(finished: Path) -> None:
    assert done.finished(finished, {**KEY, "code": "c2"}) == []
    (finished / "done" / "b.csv").write_text("B")
    assert done.finished(finished, KEY) == []


def test_tidying_leaves_no_partial_file_and_no_job_whose_outputs_are_in_place(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (finished / "lock.3").touch()
    unfinished = Path("work/probe/y/state.pt")
    unfinished.parent.mkdir(parents=True)
    unfinished.touch()
    partial = Path("results/squeeze/x/.config.json.99.tmp")
    partial.parent.mkdir(parents=True)
    partial.touch()
    done.tidy(["squeeze/x", "probe/y", "recover/z"])
    assert finished.exists()
    assert not partial.exists()
    done.deliver(finished, done.finished(finished, KEY), places(tmp_path))
    done.tidy(["squeeze/x", "probe/y", "recover/z"])
    assert [str(path) for path in Path("work").rglob("*") if path.is_file()] == [str(unfinished)]
    unfinished.unlink()
    done.tidy(["squeeze/x", "probe/y", "recover/z"])
    assert not Path("work").exists()


def test_seconds_are_those_of_all_attempts_up_to_their_last_saves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("scdd.jobs.saved.time.monotonic", lambda: now)
    for begin, save, end in ((100, 130, 137), (500, 504, 504)):  # 7 s of the first are lost
        saved = SavedState(tmp_path, KEY, every=1e9)
        with saved.locked():
            now = begin
            with saved.attempt(str):
                now = save
                saved.save(saved.step + 1, Snapshot({}))
                now = end
    assert saved.seconds() == 30 + 4


def test_a_state_without_its_seconds_makes_the_sum_unknown(tmp_path: Path) -> None:
    attempt(tmp_path, at=1)
    path = tmp_path / "state.pt"
    state = torch.load(io.BytesIO(path.read_bytes()[HASH:]), weights_only=True)
    del state["seconds"]
    buffer = io.BytesIO()
    torch.save(state, buffer)
    path.write_bytes(hashlib.sha256(buffer.getvalue()).digest() + buffer.getvalue())
    again = found(tmp_path)
    assert again.step == 1
    assert again.seconds() is None
