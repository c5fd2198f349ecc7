"""What jobs ask of Slurm: the numbers of each stage, and the user's `slurm/cluster.yaml`.

Nothing here is in a digest: a change never makes an artifact again.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from scdd.errors import ScddError
from scdd.params.base import Count, Section, param
from scdd.plan.config import parse, read_yaml
from scdd.plan.stages import STAGES

VARIABLE = "SCDD_CLUSTER"  # hands the settings of a run to its jobs


@dataclass(frozen=True)
class Request(Section):
    """What the jobs of a stage ask for in place of the defaults."""

    runtime: Count | None = param(None, "minutes until Slurm ends a job")
    mem: Count | None = param(None, "MB of memory of a first try")
    partition: str | None = param(None, "in place of the partition of all stages")


@dataclass(frozen=True)
class Cluster(Section):
    """`slurm/cluster.yaml`. Every key may be left out."""

    partition: str | None = param(None, "sbatch --partition; null: Slurm's default")
    account: str | None = param(None, "sbatch --account")
    qos: str | None = param(None, "sbatch --qos")
    constraint: str | None = param(None, "sbatch --constraint")
    gpu: Literal["gpus", "gres"] = param("gpus", "--gpus=1, or --gres=gpu:1")
    max_runtime: Count | None = param(None, "minutes: no job asks for more")
    max_mem: Count | None = param(None, "MB: no job asks for more")
    stages: dict[str, Request] = param({}, "overrides by stage")

    def __post_init__(self) -> None:
        for name in self.stages:
            if name not in STAGES:
                raise ValueError(f"stages: {name} is not one of the stages {', '.join(STAGES)}")

    def runtime(self, stage: str) -> int:
        """Minutes. They do not grow with the attempts, since a job that was ended resumes."""
        wanted = self._of(stage).runtime or STAGES[stage].minutes
        return min(wanted, self.max_runtime or wanted)

    def mem(self, stage: str, attempt: int) -> int:
        """MB. It grows with the attempts, to three times at most: Slurm may have ended the last
        attempt for its memory, or for another reason."""
        wanted = min(attempt, 3) * (self._of(stage).mem or STAGES[stage].mem)
        return min(wanted, self.max_mem or wanted)

    def placement(self, stage: str) -> dict[str, str]:
        """Where a job may run and who pays, as Snakemake resources; without what is not set."""
        resources = {
            "slurm_partition": self._of(stage).partition or self.partition,
            "slurm_account": self.account,
            "qos": self.qos,
            "constraint": self.constraint,
        }
        return {name: value for name, value in resources.items() if value is not None}

    def _of(self, stage: str) -> Request:
        return self.stages.get(stage, Request())


def for_run(path: Path, is_driver: bool) -> Cluster:
    """The settings of this run. The driver reads the file, if there is one, and its jobs get what
    it read: the file may be edited while they are queued.

    Raises ScddError, naming the file, for anything wrong with it.
    """
    if not is_driver:
        return Cluster.of(json.loads(os.environ[VARIABLE]))
    cluster = read(path) if path.exists() else Cluster()
    os.environ[VARIABLE] = json.dumps(cluster.dump())
    return cluster


def read(path: Path) -> Cluster:
    content = read_yaml(path)
    try:
        return parse(Cluster, content, "")
    except ScddError as error:
        raise ScddError(f"{path}: {error}") from None
