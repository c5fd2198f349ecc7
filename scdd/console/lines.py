"""What a pipe or a file gets: plain lines with the time of day."""

import time
from typing import Protocol, TextIO


class Screen(Protocol):
    """has_bars: whether it shows the jobs that run, so that no line need say that they start."""

    has_bars: bool

    def say(self, text: str, style: str = "") -> None:
        """Print text that stays. style: its colour, on a terminal that has some."""

    def close(self) -> None:
        """Print no bars from now on."""


class Lines:
    """A screen without bars."""

    has_bars = False

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def say(self, text: str, style: str = "") -> None:
        self.stream.write(f"{time.strftime('%H:%M:%S')} {text}\n")
        self.stream.flush()

    def close(self) -> None:
        pass
