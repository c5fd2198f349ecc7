"""What an artifact took to make: costs/<job>.json beside its config.json, a file for each job.

A cost is measured, so it is not part of the artifact: no rule declares these files, and where one
is missing, the cost is not known. Pure Python: the plan names the files that a table adds up.
"""

import math
from dataclasses import asdict, dataclass
from pathlib import Path

from scdd.artifacts.config import Frozen
from scdd.artifacts.files import damaged, read_json, write_json
from scdd.artifacts.slots import Range, range_name

FOLDER = "costs"


@dataclass(frozen=True)
class Cost:
    """What one job took.

    seconds: from when it had its device until its outputs were written, over all attempts that
    the outputs come from, without what an attempt did after its last save. device: name of the GPU,
    or 'cpu'; threads: on the CPU. peak_mib, peak_gpu_mib: the largest memory of the process that
    finished the job, and torch's on the GPU (0 without one), in MiB.
    """

    seconds: float
    device: str
    threads: int
    peak_mib: float
    peak_gpu_mib: float


def job_name(config: Frozen, work: Path | None, slots: Range | None) -> str:
    """The stage, if the job makes the whole artifact; otherwise the part that it makes: the name of
    its folder in work/, or its range of slots."""
    if work is not None and work.name != f"{config.label}-{config.digest}":
        return work.name
    return config.stage if slots is None else f"slots_{range_name(slots)}"


def cost_path(folder: Path, job: str) -> Path:
    """`folder`: the artifact's."""
    return folder / FOLDER / f"{job}.json"


def save_cost(path: Path, cost: Cost) -> None:
    """Write the cost as JSON."""
    write_json(path, asdict(cost))


def load_cost(path: Path) -> Cost | None:
    """None if there is no such file. Raises ScddError if it is damaged."""
    if not path.exists():
        return None
    content = read_json(path)
    try:
        cost = Cost(**content)
        whole = 0 <= cost.seconds < math.inf
    except TypeError:
        whole = False
    if not whole:
        raise damaged(path, "does not say what a job took")
    return cost
