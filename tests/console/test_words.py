"""Times and failures in words."""

from pathlib import Path

import pytest

from scdd.console.run import Left
from scdd.console.words import joined, lasting, still, tail, told, was_stopped


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "0 s"),
        (17.4, "17 s"),
        (59.6, "1 min 0 s"),
        (372, "6 min 12 s"),
        (2599, "43 min"),
        (3 * 3600 + 305, "3 h 5 min"),
        (52.5 * 3600, "2 d 4 h"),
    ],
)
def test_how_long_something_lasts(seconds: float, words: str) -> None:
    assert lasting(seconds) == words


def test_what_is_not_known_of_all_jobs_is_a_least() -> None:
    assert still(Left(240, is_all=True)) == "about 4 min 0 s left"
    assert still(Left(240, is_all=False)) == "at least 4 min 0 s left"
    assert still(None) == ""


def test_what_is_empty_is_left_out() -> None:
    assert joined("done", "", "17 s") == "done · 17 s"


def test_the_end_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "recover.log"
    log.write_text("".join(f"line {number}\n\n" for number in range(20)))
    assert tail(log) == [
        f"  the end of {log}:",
        *(f"    line {number}" for number in range(12, 20)),
    ]
    assert tail(tmp_path / "none.log") == []


def test_what_a_program_says_it_took(tmp_path: Path) -> None:
    log = tmp_path / "recover.log"
    log.write_text("12:00:00 begins at step 0\n12:00:40 done after 38.5 s, peak memory 5 MiB\n")
    assert told(log) == 38.5
    log.write_text("12:00:00 begins at step 0\n")
    assert told(log) is None


@pytest.mark.parametrize(
    ("last", "stopped"),
    [
        ("12:00:40 left after 38.5 s, peak memory 5 MiB", True),
        ("KeyboardInterrupt", True),
        ("12:00:40 failed after 38.5 s, peak memory 5 MiB", False),
        ("ValueError", False),
    ],
)
def test_whether_a_program_was_stopped(last: str, stopped: bool, tmp_path: Path) -> None:
    log = tmp_path / "recover.log"
    log.write_text(f"12:00:00 begins at step 0\n{last}\n")
    assert was_stopped(log) is stopped
    assert not was_stopped(tmp_path / "none.log")
