"""The lines of a log: they have the time of day, and tell where a job is."""

import re
from pathlib import Path

import pytest

from scdd.jobs import progress
from scdd.jobs.progress import Progress, Standing, last_lines, say


def test_a_line_of_a_log_begins_with_the_time_of_day(capsys: pytest.CaptureFixture[str]) -> None:
    say("begins at step 0")
    assert re.fullmatch(r"\d\d:\d\d:\d\d begins at step 0\n", capsys.readouterr().err)


def test_on_a_terminal_it_does_not(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    say("hashing 3 GiB, once")
    assert capsys.readouterr().err == "hashing 3 GiB, once\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "squeeze.log"


@pytest.mark.parametrize("total", [400, None])
def test_where_a_job_is_can_be_read_from_its_log(
    total: int | None,
    log: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY", 0.0)
    with Progress("squeeze: mocov2", total, at=10) as bar:
        for _ in range(30):
            bar.advance()
    log.write_text(capsys.readouterr().err + "12:00:00 top-1 80.0 % after 3 epochs\n")
    standing = Standing.read(log)
    assert standing is not None
    assert (standing.what, standing.done, standing.total) == ("squeeze: mocov2", 40, total)
    assert standing.rate > 30  # in far less than a second


def test_the_time_left() -> None:
    assert Standing("recover", 30, 90, 0.5).left == 120
    assert Standing("recover", 30, None, 0.5).left is None
    assert Standing("recover", 0, 90, 0.0).left is None


def test_what_a_line_says() -> None:
    assert str(Standing("recover", 30, 90, 0.5)) == "recover: 30/90, 0.5/s, 120 s left"
    assert str(Standing("import", 30, None, 0.5)) == "import: 30/?, 0.5/s"


def test_the_end_of_a_long_log_is_read_alone(log: Path) -> None:
    log.write_text("12:00:00 squeeze: 1/9, 1/s, 8 s left\n" + 1000 * "12:00:00 loss 1\n")
    assert Standing.read(log) is None
    assert len(last_lines(log)) < 300


def test_a_log_that_is_not_there_tells_nothing(log: Path) -> None:
    assert Standing.read(log) is None
    assert last_lines(log) == []
