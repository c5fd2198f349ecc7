"""How a long job shows where it is: a bar on a terminal, lines in a log."""

import contextlib
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
LINE_EVERY = 10.0  # seconds between the lines of a log


def say(text: str) -> None:
    """A line in the log. A log that cannot be written, as on a full disk, does not stop a job."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


class Progress:
    """Counts from `at` to `total` (None: unknown), and shows the rate and the time left.

    Lines come every 10 s and at the end; the rate is that of this process.
    """

    def __init__(self, what: str, total: int | None, at: float = 0) -> None:
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
            left = f", {(self.total - self.done) / rate:.0f} s left" if self.total else ""
            say(f"{self.what}: {self.done:.0f}/{self.total or '?'}, {rate:.3g}/s{left}")

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
