"""What a job's log says: where it runs, and how it ended (scdd.jobs.runtime)."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

TAIL = 16_384  # bytes that are read of a log's end
TIME = re.compile(r"\d\d:\d\d:\d\d ")
PLACE = re.compile(r"host (?P<host>\S+), process (?P<pid>\d+)(?:, Slurm job (?P<slurm_job>\w+))?,")
END = re.compile(r"(?P<how>done|left|failed) after [\d.]+ s, peak memory")


@dataclass(frozen=True)
class Log:
    """host, pid, slurm_job: of the process that wrote it; None where it did not come to say so, or
    the log is too long. ended: 'done', 'left' (it was asked to) or 'failed'; None where it ended
    without a word, or has not ended. last: the last line before that, or the error's. modified:
    when it was written to, in seconds since 1970."""

    host: str | None
    pid: int | None
    slurm_job: str | None
    ended: str | None
    last: str
    modified: float

    @property
    def process(self) -> str:
        """In words, as the owner of a lock."""
        job = f" (Slurm job {self.slurm_job})" if self.slurm_job else ""
        return f"process {self.pid} on {self.host}{job}"


def read_log(path: Path) -> Log | None:
    """None where there is no log."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            modified = os.fstat(file.fileno()).st_mtime
            file.seek(0)
            head = file.read(min(size, TAIL))
            file.seek(max(len(head), size - TAIL))
            tail = file.read()
    except OSError:
        return None
    text = (head + b"\n" * (size > 2 * TAIL) + tail).decode(errors="replace")
    return _log([TIME.sub("", line, count=1) for line in text.splitlines() if line], modified)


def _log(lines: list[str], modified: float) -> Log:
    place, ended = None, None
    for line in lines:
        place = place or PLACE.match(line)
        ended = END.match(line) or ended
    said = [line for line in lines if not END.match(line) and line.strip()]
    errors = [line for line in said if line.startswith("error: ")]
    return Log(
        place["host"] if place else None,
        int(place["pid"]) if place else None,
        place["slurm_job"] if place else None,
        ended["how"] if ended else None,
        (errors or said or [""])[-1],
        modified,
    )
