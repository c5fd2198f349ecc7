"""Times and failures in words."""

import re
from pathlib import Path

from scdd.console.run import Left
from scdd.jobs.progress import last_lines

TAIL = 8  # lines of a failed job's log that are shown
MINUTE, HOUR, DAY = 60, 3600, 86400


def lasting(seconds: float) -> str:
    """As `17 s`, `6 min 12 s`, `43 min`, `3 h 5 min` or `2 d 4 h`."""
    whole = round(seconds)
    if whole < MINUTE:
        return f"{whole} s"
    if whole < 10 * MINUTE:
        return f"{whole // MINUTE} min {whole % MINUTE} s"
    if whole < HOUR:
        return f"{whole // MINUTE} min"
    if whole < DAY:
        return f"{whole // HOUR} h {whole % HOUR // MINUTE} min"
    return f"{whole // DAY} d {whole % DAY // HOUR} h"


def still(left: Left | None) -> str:
    """How long it may take: empty where nobody knows, `at least` where it is not known of all."""
    if left is None:
        return ""
    return f"{'about' if left.is_all else 'at least'} {lasting(left.seconds)} left"


def counted(jobs: int) -> str:
    return f"{jobs} job{'' if jobs == 1 else 's'}"


def joined(*parts: str) -> str:
    """What is not empty, with dots between."""
    return " · ".join(filter(None, parts))


def tail(log: Path) -> list[str]:
    """The end of a log, indented, below its name; empty if it has no lines."""
    lines = [line for line in last_lines(log) if line.strip()]
    return [f"  the end of {log}:", *(f"    {line}" for line in lines[-TAIL:])] if lines else []


def was_stopped(log: Path) -> bool:
    """Whether a program says in its last line that it was asked to leave, or interrupted."""
    last = "".join(last_lines(log)[-1:])
    return last == "KeyboardInterrupt" or re.match(r"[\d:]{8} left after ", last) is not None


def told(log: Path) -> float | None:
    """The seconds that a program says it took, in the last lines of its log."""
    for line in reversed(last_lines(log)):
        if said := re.match(r"[\d:]{8} \w+ after ([\d.]+) s", line):
            return float(said[1])
    return None
