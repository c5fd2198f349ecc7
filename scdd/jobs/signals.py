"""A job that is asked to leave, by Slurm, Snakemake or its user, saves its state first."""

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType

from scdd.jobs.saved import JobState

STOPPED = 128 + signal.SIGTERM  # exit code of a job that was asked to leave
SIGNALS = (signal.SIGTERM, signal.SIGINT)
PR_SET_PDEATHSIG = 1  # Linux's prctl


def end_with_the_driver() -> None:
    """Get SIGTERM when the process that started this one dies: Snakemake, if it is killed.

    A program that is started by hand may outlive its shell.
    """
    if "SCDD_PLAN" in os.environ:
        end_with_the_parent()


def end_with_the_parent() -> None:
    """Get SIGTERM when the process that started this one dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM))


@contextlib.contextmanager
def leaving_when_asked(saved: JobState) -> Iterator[None]:
    """Within, SIGTERM or Ctrl-C makes the job save and leave; a second Ctrl-C kills it.

    SIGTERM may come more than once: from Slurm, and because the parent process died of it.
    """

    def leave(number: int, _: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if not saved.leaving:
            saved.leaving = True
            # not by print, which this may have interrupted
            os.write(2, f"{signal.Signals(number).name}: saving, then leaving\n".encode())

    before = {number: signal.signal(number, leave) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_signals() -> None:
    """Until the process ends: for the processes that leave when the first one does."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
