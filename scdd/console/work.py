"""What a run has to do, and what such jobs took before."""

from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import fmean

from scdd.artifacts.run import RESULTS
from scdd.errors import ScddError
from scdd.jobs.costs import FOLDER, load_cost
from scdd.plan.jobs import Job, jobs
from scdd.plan.pace import START, Pace, pace, taken
from scdd.plan.plan import Plan
from scdd.plan.stages import OF_EXPERIMENTS

SAMPLE = 20  # costs of a stage that are read
MOST = 1000  # files of other experiments among which the newest are, of each stage and dataset


@dataclass(frozen=True)
class Work:
    """sizes: of the plan's jobs, by their logs. to_do: those of the jobs to do, by stage. paces:
    how long jobs took that are finished, by stage; a stage of which none is known is missing."""

    sizes: dict[Path, float]
    to_do: dict[str, list[float]]
    paces: dict[str, Pace]


def work_of(plan: Plan, counts: Mapping[str, int], results: Path = RESULTS) -> Work:
    """counts: how many jobs Snakemake has to do, by stage. It does not say which: those without an
    output, or as many of the mean size where that is another number."""
    planned: dict[str, list[Job]] = defaultdict(list)
    for job in jobs(plan):
        planned[job.node.stage].append(job)
    to_do, paces = {}, {}
    for stage, count in counts.items():
        sizes = [job.size for job in planned[stage]]
        if count < len(sizes):
            done, missing = _by_output(planned[stage])
            sizes = [job.size for job in missing]
            if known := pace(taken(done[-SAMPLE:])):
                paces[stage] = known
        mean = fmean([job.size for job in planned[stage]] or [1.0])
        to_do[stage] = sizes if len(sizes) == count else [mean] * count
        if stage not in paces and (seconds := _seconds_elsewhere(plan, stage, results)):
            paces[stage] = Pace(seconds, 0.0)
    return Work({job.log: job.size for each in planned.values() for job in each}, to_do, paces)


def _by_output(planned: list[Job]) -> tuple[list[Job], list[Job]]:
    """Those that are finished, and those that are not."""
    done: list[Job] = []
    missing: list[Job] = []
    for job in planned:
        (done if job.output.exists() else missing).append(job)
    return done, missing


def _seconds_elsewhere(plan: Plan, stage: str, results: Path) -> float | None:
    """The mean of the newest costs of a stage, of any experiment with the plan's datasets."""
    labels = {plan.data_of(node).label for node in plan.of(stage)}
    if stage in OF_EXPERIMENTS:
        labels = {node.label for node in plan.of(stage)}
    patterns = [f"{stage}/{label}-*/{FOLDER}/*.json" for label in labels]
    files = [file for each in patterns for file in islice(results.glob(each), MOST)]
    files.sort(key=lambda file: file.stat().st_mtime)
    costs = []
    for file in files[-SAMPLE:]:
        with suppress(ScddError):  # it is damaged
            costs.append(load_cost(file))
    seconds = [cost.seconds for cost in costs if cost is not None]
    return START + fmean(seconds) if seconds else None
