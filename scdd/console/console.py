"""What is said when a job starts, ends or fails, and when the run is over."""

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

from scdd.console.lines import Lines, Screen
from scdd.console.run import Job, Run
from scdd.console.words import counted, joined, lasting, still, tail, told, was_stopped
from scdd.console.work import work_of
from scdd.plan.load import VARIABLE, thaw
from scdd.plan.paper import TARGETS
from scdd.plan.plan import Plan
from scdd.plan.stages import STAGES
from scdd.plan.wording import PARTS, describe

BRIEF = 120.0  # seconds; that such a job starts is not said, only that it is done
RANGE = re.compile(rf"({'|'.join(PARTS)})_(\d+-\d+)")


def stage_of(rule: str) -> str | None:
    """The stage that a rule makes artifacts of; some have a rule for each block of classes. None
    for a target."""
    if rule in TARGETS:
        return None
    stages = [stage for stage in STAGES if rule == stage or rule.startswith(f"{stage}_")]
    return max(stages, key=len, default=None)


def screen(stream: TextIO, run: Run, *, has_colour: bool, is_cluster: bool) -> Screen:
    """Bars on a terminal, lines elsewhere."""
    if not stream.isatty() or os.environ.get("TERM") == "dumb":
        return Lines(stream)
    from scdd.console.bars import Bars  # rich is needed for nothing else

    return Bars(stream, run, has_colour=has_colour, is_cluster=is_cluster)


class Console:
    """Tells what happens in a run of the plan that the driver has frozen.

    rules: how many jobs of each rule there are to do.
    """

    def __init__(
        self, rules: Mapping[str, int], stream: TextIO, *, has_colour: bool, is_cluster: bool
    ) -> None:
        self.plan: Plan = thaw(Path(os.environ[VARIABLE]))
        counts: Counter[str] = Counter()
        for rule, count in rules.items():
            if stage := stage_of(rule):
                counts[stage] += count
        self.is_cluster = is_cluster
        work = work_of(self.plan, counts)
        self.sizes = work.sizes
        self.run = Run(work.to_do, work.paces)
        self.screen = screen(stream, self.run, has_colour=has_colour, is_cluster=is_cluster)
        self.is_over = self.run.total == 0
        shown = self.plan.of("paper") or self.plan.of("tables")
        names = ", ".join(node.label for node in shown)
        to_do = f"{counted(self.run.total)} to do" if self.run.total else "nothing to do"
        self.screen.say(joined(f"{names}: {to_do}", still(self.run.left())))

    def say(self, text: str, style: str = "") -> None:
        self.screen.say(text, style)

    def starts(self, number: int, logs: Sequence[str]) -> None:
        """logs: of the job; they lie where the artifact's name and the part of it can be read."""
        if not logs or not (words := self._words(log := Path(logs[0]))):
            return
        job = self.run.start(number, log.parts[1], words, log, self.sizes.get(log, 1.0))
        usual = self.run.usual(job)
        if job.is_again or (not self.screen.has_bars and (usual is None or usual > BRIEF)):
            verb = "in the queue" if self.is_cluster else "starts"
            self.say(f"{verb}{' again' if job.is_again else ''}: {words}")

    def ends(self, number: int) -> None:
        if number not in self.run.running:
            return
        job, seconds = self.run.end(number)
        took = lasting(self._seconds(job, seconds))
        if self.screen.has_bars:
            self.say(joined(f"✓ {job.words}", took))
        else:
            count = f"{self.run.done} of {self.run.total}"
            self.say(joined(f"done: {job.words}", took, count, still(self.run.left())))
        if self.run.done == self.run.total:
            self._over("All jobs are done", "bold green")

    def fails(self, number: int, rule: str, logs: Sequence[str], message: str) -> None:
        """message: what else is known of it, if anything."""
        is_stopped = any(was_stopped(Path(log)) for log in logs)
        said = "stopped" if is_stopped else "FAILED"
        if number in self.run.running:
            job, seconds = self.run.fail(number, is_stopped=is_stopped)
            said = f"{said} after {lasting(self._seconds(job, seconds))}: {job.words}"
        else:
            said = f"{said}: {rule}"
        ends = [] if is_stopped else [line for log in logs for line in tail(Path(log))]
        self.say("\n".join([said, *filter(None, [message]), *ends]), "red")

    def close(self, account: str) -> None:
        """Say how it ended, if it did not end well. account: the file with Snakemake's own."""
        if not self.is_over:
            run = self.run
            count = f"Not finished: {run.done} of {counted(run.total)} done"
            failed = f"{len(run.failed)} failed" if run.failed else ""
            words = [f"  failed: {job.words} ({job.log})" for job in run.failed.values()]
            hints = [f"Snakemake's own account: {account}"] if account else []
            hints += ["What is done is kept. Run snakemake again to go on."]
            self._over(joined(count, failed), "bold red", *words, *hints)

    def _over(self, text: str, style: str, *more: str) -> None:
        self.is_over = True
        self.screen.close()
        self.say("\n".join([joined(text, lasting(self.run.elapsed)), *more]), style)

    def _words(self, log: Path) -> str:
        """Of the job that writes a log, `logs/<stage>/<node>/<part>.log`; empty if that is not a
        job of the plan."""
        node = self.plan.nodes.get("/".join(log.parts[1:-1]))
        if node is None:
            return ""
        return describe(self.plan, node, dict(RANGE.findall(log.stem)))

    def _seconds(self, job: Job, seconds: float) -> float:
        """What a job took: on a cluster without its time in the queue."""
        return (told(job.log) if self.is_cluster else None) or seconds
