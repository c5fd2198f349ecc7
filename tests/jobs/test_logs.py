"""What a log says of its job."""

from pathlib import Path

import pytest

from scdd.jobs.logs import read_log

START = "host node3, process 42, Slurm job 17, device cpu\n"
END = "failed after 12.5 s, peak memory 300 MiB, of the GPU 0 MiB\n"


def log(path: Path, text: str):
    (path / "a.log").write_text(text)
    return read_log(path / "a.log")


def test_a_running_job_tells_where_it_is(tmp_path: Path) -> None:
    read = log(
        tmp_path, START + "images: 10/200, 3.1/s, 61 s left\nimages: 40/200, 4/s, 40 s left\n"
    )
    assert (read.host, read.pid, read.ended) == ("node3", 42, None)
    assert read.process == "process 42 on node3 (Slurm job 17)"


@pytest.mark.parametrize(
    ("text", "ended", "last"),
    [
        (f"{START}error: r_bn is wrong\n{END}", "failed", "error: r_bn is wrong"),
        ("error: first\nTraceback\nIndexError: 5\n" + END, "failed", "error: first"),
        ("Traceback\nIndexError: 5\n" + END, "failed", "IndexError: 5"),
        (
            "10:00:01 asked to leave\n10:00:02 left after 3.0 s, peak memory 1 MiB",
            "left",
            "asked to leave",
        ),
        ("images: 1/2, 3/s\n\n", None, "images: 1/2, 3/s"),
        ("", None, ""),
    ],
)
def test_how_a_job_ended_and_why(tmp_path: Path, text: str, ended: str | None, last: str) -> None:
    read = log(tmp_path, text)
    assert (read.ended, read.last) == (ended, last)


def test_of_a_long_log_the_start_and_the_end_are_read(tmp_path: Path) -> None:
    lines = "".join(f"step: {i}/9999, 1/s, 1 s left\n" for i in range(9999))
    read = log(tmp_path, START + lines)
    assert (read.host, read.last) == ("node3", "step: 9998/9999, 1/s, 1 s left")


def test_there_may_be_no_log(tmp_path: Path) -> None:
    assert read_log(tmp_path / "none.log") is None
