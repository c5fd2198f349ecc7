"""The curve of a run as it comes: its lines in the log, the CSV that grows, event files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_resume import Cut, squeezed

from scdd.errors import ScddError
from scdd.jobs import curve, events
from scdd.jobs.curve import Curve, csv_text
from scdd.jobs.epochs import Epochs
from scdd.jobs.saved import JobState, SavedState, Stopped
from scdd.plan.load import plan_of

COLUMNS = ("epoch", "loss", "top1")


def run(saved: JobState, seen: Callable[[], None] = lambda: None) -> Curve:
    """Four epochs of two steps; every other one is evaluated."""
    told = Curve("validate", COLUMNS, saved)
    epochs = Epochs("validate", 4, 2, saved, {"curve": told})
    for epoch in epochs:
        for _ in epochs.steps_of(range(epochs.skip, 2)):
            pass
        told.add(epoch, 1 / (1 + epoch), 50.0 if epoch % 2 else None)
        seen()
    return told


def interrupted(folder: Path, step: int) -> None:
    """A run that leaves after `step` of its steps."""
    cut = Cut(folder, {}, every=1e9)
    cut.at = step
    with cut.locked(), cut.attempt(str), pytest.raises(Stopped):
        run(cut)


# ---- history.csv -------------------------------------------------------------------------------


def test_the_csv_grows_by_a_row_an_epoch(tmp_path: Path) -> None:
    saved, contents = SavedState(tmp_path, {}, every=1e9), []
    path = tmp_path / "history.csv"
    with saved.locked(), saved.attempt(str):
        told = run(saved, lambda: contents.append(path.read_text()))
    whole = "epoch,loss,top1\n0,1.0,\n1,0.5,50.0\n2,0.3333333333333333,\n3,0.25,50.0\n"
    lines = whole.splitlines(keepends=True)
    assert contents == ["".join(lines[:count]) for count in (2, 3, 4, 5)]
    assert csv_text(COLUMNS, told.rows) == whole
    saved.clear()
    assert not path.exists()


@pytest.mark.parametrize(("step", "rows"), [(1, 0), (2, 1), (5, 2), (6, 3)])
def test_after_an_interruption_it_has_the_rows_of_the_saved_state(
    tmp_path: Path, step: int, rows: int
) -> None:
    interrupted(tmp_path, step)
    path = tmp_path / "history.csv"
    assert len(path.read_text().splitlines()) == 1 + rows
    path.write_text(path.read_text() + "9,9,\n")  # as a killed attempt leaves, beyond its state
    again = SavedState(tmp_path, {}, every=1e9)
    with again.locked(), again.attempt(str):
        told = run(again)
    assert (
        path.read_text() == csv_text(COLUMNS, told.rows) == csv_text(COLUMNS, run(JobState()).rows)
    )


def test_an_engine_that_is_resumed_continues_its_csv(tmp_path: Path) -> None:
    """Two epochs of three steps, cut within the second one."""
    cut = Cut(tmp_path, {}, every=1e9)
    cut.at = 4
    with cut.locked(), cut.attempt(str), pytest.raises(Stopped):
        squeezed("supervised sgd", cut)
    first = (tmp_path / "history.csv").read_text()
    again = SavedState(tmp_path, {}, every=1e9)
    with again.locked(), again.attempt(str):
        rows = squeezed("supervised sgd", again)[:2]
    assert (tmp_path / "history.csv").read_text() == csv_text(("epoch", "lr", "loss", "knn"), rows)
    assert first == csv_text(("epoch", "lr", "loss", "knn"), rows[:1])


def test_numbers_beyond_the_columns_are_kept_and_not_told(capsys: Any) -> None:
    told = Curve("validate", ("epoch", "loss"), None)
    told.add(0, 2.0, 99.0)
    assert told.rows == [(0, 2.0, 99.0)]
    assert capsys.readouterr().err.endswith("validate: epoch 0, loss 2\n")
    assert csv_text(("epoch", "loss"), told.rows) == "epoch,loss\n0,2.0\n"


def test_a_disk_that_is_full_does_not_stop_a_run(tmp_path: Path) -> None:
    (tmp_path / "history.csv").mkdir()  # what cannot be written
    saved = SavedState(tmp_path, {}, every=1e9)
    with saved.locked(), saved.attempt(str):
        assert len(run(saved).rows) == 4


# ---- the log -----------------------------------------------------------------------------------


def test_the_log_has_the_first_row_accuracies_and_of_the_others_one_in_ten_seconds(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(curve.time, "monotonic", lambda: now[0])
    told = Curve("squeeze", ("epoch", "lr", "loss", "knn"), None)
    for epoch, knn in ((1, None), (2, None), (3, 81.25), (4, None), (5, None)):
        now[0] += 6
        told.add(epoch, 0.03, 5.12345, knn)
    lines = [line[line.index("squeeze:") :] for line in capsys.readouterr().err.splitlines()]
    assert lines == [
        "squeeze: epoch 1, lr 0.03, loss 5.123",
        "squeeze: epoch 3, lr 0.03, loss 5.123, k-NN 81.2 % of held-out training images",
        "squeeze: epoch 5, lr 0.03, loss 5.123",
    ]


# ---- TensorBoard -------------------------------------------------------------------------------


def points(folder: Path, name: str) -> list[tuple[int, float]]:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    read = accumulator.EventAccumulator(str(folder), purge_orphaned_data=True).Reload()
    return [(point.step, point.value) for point in read.Scalars(name)]


def test_event_files_have_the_points_of_a_resumed_run_once(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    folder = tmp_path / "events"

    def attempt(at: int) -> None:
        """Ends after `at` steps, with the state that was saved after four: a killed one's."""
        saved = SavedState(tmp_path, {}, every=1e9)
        saved.events = events.Events(folder)
        with saved.locked(), saved.attempt(str):
            count = [0]

            def seen() -> None:
                count[0] += 1
                if count[0] == at:
                    raise KeyboardInterrupt

            try:
                run(saved, seen)
            except KeyboardInterrupt:
                pass
            finally:
                saved.events.close()

    interrupted(tmp_path, 4)
    attempt(1)  # epoch 2, which no saved state has
    attempt(9)
    assert points(folder, "loss") == [(2, pytest.approx(1 / 3)), (3, 0.25)]
    assert points(folder, "top1") == [(3, 50.0)]


def test_tensorboard_that_is_missing_is_told_before_the_first_job(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(events.importlib.util, "find_spec", lambda name: None)
    config = {"experiment": "e", "methods": ["random-hard"], "ipc": [1]}
    plan_of(config)
    with pytest.raises(ScddError, match=r"machine\.tensorboard: the package tensorboard is not"):
        plan_of({**config, "machine": {"tensorboard": True}})


def test_tensorboard_is_in_no_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events.importlib.util, "find_spec", lambda name: object())
    config = {"experiment": "e", "methods": ["random-hard"], "ipc": [1]}
    asked = plan_of({**config, "machine": {"tensorboard": True}})
    assert asked.nodes.keys() == plan_of(config).nodes.keys()
