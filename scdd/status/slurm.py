"""What Slurm's queue knows of the jobs of a folder."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from scdd.jobs.orphans import NAME, ask
from scdd.plan.jobs import Job

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
        """What the queue has of a job.

        Its wildcards name the artifact. Where jobs share them, rules/ tells their rules apart.
        """
        stage = job.node.stage
        block = job.part.rpartition("_")[2].replace("-", "_")
        ending = {"recover": block, "tables": job.node.label}.get(stage, "")
        for queued in self.jobs.get("_".join(job.wildcards.values()), ()):
            if queued.rule == stage or queued.rule.endswith(ending):
                return queued
        return None
