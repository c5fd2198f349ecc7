"""A step in a process of its own, which ends with this one, whatever happens."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

PR_SET_PDEATHSIG = 1  # Linux's prctl
TAIL = 20  # lines of a log that tell why a step failed
GRACE = 25.0  # seconds to leave in, when asked to


def die_with_parent() -> None:
    """In a new process: be killed when the one that started it dies, however."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))


def run(command: Sequence[str], log: Path, limit: float, **options: object) -> int | None:
    """The exit code of a command with its output in `log`; None: ended after `limit` seconds.

    It is the first of a process group, which is asked to leave, and killed after a while.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as file:
        process = subprocess.Popen(
            command,
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            process_group=0,
            preexec_fn=die_with_parent,  # noqa: PLW1509
            **options,  # type: ignore[call-overload]
        )
        try:
            return process.wait(max(limit, 1))
        except subprocess.TimeoutExpired:
            return None
        finally:
            end(process)


def end(process: "subprocess.Popen[bytes]") -> None:
    """Interrupt its group, as Ctrl-C does, and kill what is left of it after a while."""
    for number, patience in ((signal.SIGINT, GRACE), (signal.SIGKILL, 5.0)):
        try:
            os.killpg(process.pid, number if process.poll() is None else signal.SIGKILL)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + patience
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)


def tail(log: Path) -> list[str]:
    return log.read_text(errors="replace").splitlines()[-TAIL:] if log.exists() else []
