"""One job a GPU on a machine with several, without a scheduler that hands them out.

Snakemake counts GPUs (`--resources gpu=4`) but does not say which one a job has. Each job takes
the first device whose lock file is free; the kernel frees a lock when its process ends, however.
"""

import fcntl
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from scdd.progress import say

LOOK = 0.5  # seconds between looks for a free device
REMIND = 60.0  # seconds between the lines that say why a job waits

_held: list[TextIO] = []  # open until the process ends, and with it the lock


def folder() -> Path:
    """Where this user's lock files are: the same for all jobs of a machine, whatever TMPDIR is."""
    return Path("/tmp") / f"scdd-gpus-{os.getuid()}"


def visible(count: int) -> list[str]:
    """Names of the devices this process may use, of which torch counts `count`."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = [str(index) for index in range(count)] if named is None else named.split(",")
    return [name.strip() for name in names][:count]


def take(names: Sequence[str]) -> int:
    """The index of a device that no other job has, which is this process's until it ends.

    Waits until there is one. A single device is taken without a lock: whoever made it the only
    one, Slurm or the user, has handed it out.
    """
    if len(names) == 1:
        return 0
    folder().mkdir(exist_ok=True)
    files = [(folder() / f"{name}.lock").open("a") for name in names]
    reminded = float("-inf")
    while True:
        for index, file in enumerate(files):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            _held.append(file)
            return index
        if time.monotonic() - reminded > REMIND:
            reminded = time.monotonic()
            say(
                f"all {len(names)} GPUs are taken; waiting for one. With --resources "
                f"gpu={len(names)} snakemake starts no more jobs than that."
            )
        time.sleep(LOOK)
