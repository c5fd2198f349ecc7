"""A status in words."""

import textwrap
import time
from collections import Counter
from collections.abc import Iterator, Sequence

from scdd.jobs.progress import Standing
from scdd.plan.plan import Plan
from scdd.plan.runs import Run
from scdd.plan.stages import STAGES
from scdd.plan.wording import describe
from scdd.status.estimate import Estimate
from scdd.status.states import State, Status

MOST = 20  # jobs that are listed of a state
LISTED = {  # the states whose jobs are named, with what stands above them
    State.RUNNING: "Running",
    State.FAILED: "Failed",
    State.STOPPED: "Stopped, with what they have saved: the next run goes on there",
    State.QUEUED: "In Slurm's queue",
}


def page(run: Run, plan: Plan, found: Sequence[Status], left: Estimate, width: int) -> str:
    """width: characters of a line of prose."""
    parts = [_head(run), _table(found), textwrap.fill(_outlook(found, left), width)]
    for state, heading in LISTED.items():
        if jobs := [status for status in found if status.state is state]:
            parts.append("\n".join([f"{heading}:", *_listed(plan, jobs)]))
    return "\n\n".join(parts) + "\n"


def _head(run: Run) -> str:
    goes_on = {
        True: "it goes on",
        False: "it has ended",
        None: f"whether it goes on can be seen on {run.driver.host}",
    }
    return (
        f"{', '.join(run.experiments)}: run of {clock(run.started)} by process {run.driver.pid} "
        f"on {run.driver.host}; {goes_on[run.goes_on()]}"
    )


def _table(found: Sequence[Status]) -> str:
    """How many jobs of each stage are in each state; without states that no job is in."""
    counts = Counter((status.job.node.stage, status.state) for status in found)
    states = [state for state in State if any(of == state for _, of in counts)]
    stages = [stage for stage in STAGES if any(counts[stage, state] for state in states)]
    lines = [["", *states]]
    lines += [[stage, *(str(counts[stage, state] or "·") for state in states)] for stage in stages]
    lines.append(["all", *(str(sum(counts[stage, s] for stage in stages)) for s in states)])
    return "\n".join(
        name.ljust(16) + "".join(text.rjust(10) for text in texts) for name, *texts in lines
    )


def _listed(plan: Plan, jobs: Sequence[Status]) -> Iterator[str]:
    for status in jobs[:MOST]:
        words = describe(plan, status.job.node, status.job.ranges)
        facts = [shown(status.standing) if status.standing else "", status.where]
        yield f"  {words}" + "".join(f" · {fact}" for fact in facts if fact)
        if status.why:
            yield f"    {status.why}"
        if status.state is State.FAILED:
            yield f"    {status.job.log}"
    if len(jobs) > MOST:
        yield f"  and {len(jobs) - MOST} more"


def _outlook(found: Sequence[Status], left: Estimate) -> str:
    """When it will be finished, and how that is known."""
    if all(status.state is State.DONE for status in found):
        return "All is done."
    if left.seconds is None:
        parts = ["No job is running."]
    elif left.unknown and not left.work:
        parts = ["When it will be finished is not known yet."]
    else:
        end, wait = clock(time.time() + left.seconds), length(left.seconds)
        when = "Not finished before" if left.unknown else "Finished at about"
        jobs = f"{left.at_once} job{'s' * (left.at_once > 1)}"
        parts = [f"{when} {end}, in {wait}, with {jobs} at a time as now."]
    if left.work:
        parts.append(
            f"Left: {length(left.work)} of work, by the logs of running jobs and by what finished "
            "jobs of the same stage took."
        )
    if left.unknown:
        unknown = ", ".join(f"{count} of {stage}" for stage, count in left.unknown.items())
        parts.append(f"Not counted are stages of which no job is finished yet: {unknown}.")
    return " ".join(parts)


def shown(standing: Standing) -> str:
    total = "?" if standing.total is None else f"{standing.total:.0f}"
    left = "" if standing.left is None else f", {length(standing.left)} left"
    return f"{standing.what} {standing.done:.0f}/{total}, {standing.rate:.3g}/s{left}"


def clock(seconds: float) -> str:
    """A time since 1970 as people say it: with the date if it is not today."""
    then, today = time.localtime(seconds), time.localtime()
    form = "%H:%M" if then[:3] == today[:3] else "%Y-%m-%d %H:%M"
    return time.strftime(form, then)


def length(seconds: float) -> str:
    """As `40 s`, `12 min` or `5 h 20 min`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
