"""Costs of a method's jobs, as files and as the report reads them."""

from pathlib import Path
from typing import Any

from scdd.jobs.costs import Cost, save_cost
from scdd.report import seconds
from scdd.report.scores import Column

HARD = Column("random-hard", "Random, hard labels", None)


STAGES = {
    "data": ["data"],
    "squeeze": ["squeeze"],
    "recover": ["slots_0000-0000", "slots_0001-0009"],
    "relabel": ["epochs_0000-0099"],
    "validate": ["seed0", "seed1"],
}


TOOK = {"data": 1.0, "squeeze": 300.0, "slots_0000-0000": 4.0, "slots_0001-0009": 40.0}
TOOK |= {"epochs_0000-0099": 2.5, "seed0": 10.0, "seed1": 14.0}


def listed(**changes: Any) -> dict[str, Any]:
    named = {"method": "scdd", "title": "SC-DD", "teacher": "scdd", "ipc": 10}
    named |= {"protocol": "paper", "student": "r18", "stages": STAGES}
    return named | changes


def spend(folder: Path, *lines: dict[str, Any], gpu: str = "", lost: str = "") -> list[Any]:
    """Write the costs of TOOK, all on the CPU but that of the job `gpu`; read `lines`."""
    for name, took in TOOK.items():
        device = "NVIDIA H100" if name == gpu else "cpu"
        save_cost(folder / f"{name}.json", Cost(took, device, 2, took + 100, 0.0))
    (folder / f"{lost}.json").unlink(missing_ok=True)
    for line in lines:
        line["stages"] = {s: [f"{n}.json" for n in names] for s, names in line["stages"].items()}
    return seconds.read(folder, lines)
