"""The runs of the workflow in this folder: each driver leaves a note beside its frozen plan when it
starts."""

import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from scdd.artifacts.files import read_json, write_json
from scdd.errors import ScddError
from scdd.jobs.lock import Owner, myself
from scdd.jobs.orphans import is_another_snakemake
from scdd.plan.load import PLANS, VARIABLE
from scdd.plan.plan import Plan

SUFFIX = ".run.json"


@dataclass(frozen=True)
class Run:
    """A run: the file of its plan, the names of its experiments, its driver (the process of
    Snakemake), and when it started, in seconds since 1970."""

    plan: Path
    experiments: tuple[str, ...]
    driver: Owner
    started: float

    def goes_on(self) -> bool | None:
        """Whether the driver still runs; None where only another machine can tell."""
        here = self.driver.place == myself().place
        return is_another_snakemake(self.driver.pid) if here else None


def note_start(plan: Plan) -> None:
    """For a driver that starts the first job of its frozen plan."""
    note = {
        "experiments": experiments_of(plan),
        "driver": asdict(myself()),
        "started": time.time(),
    }
    write_json(Path(os.environ[VARIABLE]).with_suffix(SUFFIX), note)


def last_run(experiments: set[str] | None = None) -> Run:
    """The last run of the experiments with these names; None: of any. Raises ScddError if there was
    none."""
    notes = [(file.stat().st_mtime, file) for file in PLANS.glob(f"*{SUFFIX}")]
    for _, file in sorted(notes, reverse=True):
        note = read_json(file)
        if (experiments or set()) <= set(note["experiments"]):
            plan = file.with_name(file.name.removesuffix(SUFFIX) + ".json")
            driver = Owner(**note["driver"])
            return Run(plan, tuple(note["experiments"]), driver, note["started"])
    names = "an experiment" if experiments is None else " and ".join(sorted(experiments))
    raise ScddError(
        f"no run of {names} was started in this folder. `scdd plan` lists what there is."
    )


def frozen_plans() -> list[Path]:
    """Of all runs and dry runs."""
    return [file for file in PLANS.glob("*.json") if not file.name.endswith(SUFFIX)]


def experiments_of(plan: Plan) -> list[str]:
    return [node.label for node in plan.of("tables")]
