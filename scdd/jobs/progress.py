"""How a long job shows where it is: a bar on a terminal, lines in a log, which can be read back."""

import contextlib
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

from tqdm import tqdm

T = TypeVar("T")
LINE_EVERY = 10.0  # seconds between the lines of a log
END = 4096  # bytes of a log in which its last such line is looked for
STANDING = re.compile(
    r"\d\d:\d\d:\d\d (?P<what>.+): (?P<done>\d+)/(?P<total>\d+|\?), (?P<rate>[0-9.e+-]+)/s"
)


def say(text: str) -> None:
    """A line in the log, with the time of day before it; on a terminal without.

    A log that cannot be written, as on a full disk, does not stop a job.
    """
    when = "" if sys.stderr.isatty() else time.strftime("%H:%M:%S ")
    with contextlib.suppress(OSError):
        print(f"{when}{text}", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Standing:
    """Where a job is: `done` of `total` (None: unknown) things, `rate` of them a second."""

    what: str
    done: float
    total: float | None
    rate: float

    @property
    def left(self) -> float | None:
        """Seconds; None where they are not known."""
        return (self.total - self.done) / self.rate if self.total and self.rate else None

    def __str__(self) -> str:
        total = "?" if self.total is None else f"{self.total:.0f}"
        left = "" if self.left is None else f", {self.left:.0f} s left"
        return f"{self.what}: {self.done:.0f}/{total}, {self.rate:.3g}/s{left}"

    @classmethod
    def read(cls, log: Path) -> Self | None:
        """The last one in a log; None if there is none near its end, or no log."""
        lines = [match for line in last_lines(log) if (match := STANDING.match(line))]
        if not lines:
            return None
        what, done, total, rate = lines[-1].groups()
        return cls(what, float(done), None if total == "?" else float(total), float(rate))


def last_lines(log: Path) -> list[str]:
    """The lines at the end of a log; the first may be cut. Empty where there is no log."""
    try:
        with log.open("rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - END, 0))
            return file.read().decode(errors="replace").splitlines()
    except OSError:
        return []


class Progress:
    """Counts from `at` to `total` (None: unknown), and shows the rate and the time left.

    Lines come every 10 s and at the end; the rate is that of this process.
    """

    def __init__(self, what: str, total: float | None, at: float = 0) -> None:
        self.what, self.total, self.first, self.done = what, total, at, at
        self.started = self.shown = time.monotonic()
        self.bar = tqdm(desc=what, total=total, initial=at) if sys.stderr.isatty() else None

    def advance(self, by: float = 1) -> None:
        self.done += by
        if self.bar is not None:
            self.bar.update(by)
            return
        now = time.monotonic()
        ended = self.total is not None and self.done > self.total - 1e-6  # parts may not add up
        if now - self.shown >= LINE_EVERY or ended:
            self.shown = now
            rate = (self.done - self.first) / max(now - self.started, 1e-9)
            say(str(Standing(self.what, self.done, self.total, rate)))

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()


def track(items: Iterable[T], what: str, *, total: int | None = None) -> Iterator[T]:
    """Iterate over `items` and show the progress."""
    total = len(items) if total is None and isinstance(items, Sized) else total
    with Progress(what, total) as progress:
        for item in items:
            yield item
            progress.advance()
