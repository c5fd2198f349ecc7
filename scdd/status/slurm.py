"""What Slurm's queue knows of the jobs of a folder."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from scdd.jobs.orphans import NAME, ask
from scdd.plan.jobs import Job
from scdd.plan.stages import OF_EXPERIMENTS

PATIENCE = 5.0  # seconds for squeue: a status is looked at often


@dataclass(frozen=True)
class Queued:
    """A job in the queue. state: as Slurm calls it, 'PENDING' or 'RUNNING'; reason: why it waits;
    rule: Snakemake's."""

    id: str
    state: str
    reason: str
    rule: str


class Queue:
    """The jobs of the drivers of `folder` that are in the queue of this machine's Slurm; none where
    there is no Slurm."""

    def __init__(self, folder: Path) -> None:
        self.jobs: dict[str, list[Queued]] = {}
        if shutil.which("squeue") is None:
            return
        options = ("--me", "--noheader", "--format=%A|%T|%j|%r|%k|%Z")
        for line in ask("squeue", *options, patience=PATIENCE).splitlines():
            number, state, name, reason, comment, place = line.split("|", 5)
            if NAME.match(name) and Path(place).resolve() == folder.resolve():
                rule, _, wildcards = comment.removeprefix("rule_").partition("_wildcards_")
                queued = Queued(number, state, reason, rule)
                self.jobs.setdefault(wildcards, []).append(queued)

    def of(self, job: Job) -> Queued | None:
        """What the queue has of a job."""
        node, classes = job.node, job.ranges.get("classes", "").replace("-", "_")
        # the names of rules in rules/: those of tables have an experiment's, or are the only ones
        alone = node.stage in OF_EXPERIMENTS
        ending = node.label if node.stage == "tables" else classes
        spans = [span for what, span in job.ranges.items() if what != "classes"]
        wildcards = [] if alone else [node.name, *spans]
        for queued in self.jobs.get("_".join(wildcards), ()):
            if queued.rule == node.stage or queued.rule.endswith(ending):
                return queued
        return None
