"""The cost of an experiment for people: a table, its sums, and what the figures rest on."""

import math
import textwrap

from scdd.plan.cost.estimate import OWN, RATE, STAGE, StageCost, Total
from scdd.plan.cost.machines import Machine
from scdd.plan.stages import STAGES

HEADS = (
    "stage",
    "jobs",
    "done",
    "arithmetic",
    "time",
    "longest job",
    "peak memory",
    "disk",
    "files",
)
PREFIXES = ("", "k", "M", "G", "T", "P", "E")
WIDTH = 100  # characters of a line of prose
LEFT = 1  # columns of text, which are set to the left
NOT_COUNTED = (
    "Not counted: reading and decoding of files, tables and figures, Snakemake itself, waiting for "
    "machines, small files' bytes, saved states."
)


def text_of(total: Total, machine: Machine, gpus: int) -> str:
    """Lines, without a newline at the end. gpus: how many jobs' GPUs there are; of a CPU the jobs
    that run at once follow from its cores."""
    rows = [HEADS, *(_row(stage, machine) for stage in total.stages)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(HEADS))]
    lines = [f"Cost on {machine.name}"]
    for row in rows:
        cells = [
            cell.ljust(width) if place < LEFT else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    for stage in total.stages:
        lines += [
            f"{stage.stage}: not all is counted, since {why} is not known." for why in stage.unknown
        ]
    notes = (_in_all(total, machine, gpus), _basis(total, machine), NOT_COUNTED)
    return "\n".join([*lines, *(textwrap.fill(note, WIDTH) for note in notes)])


def _row(stage: StageCost, machine: Machine) -> tuple[str, ...]:
    on_device = STAGES[stage.stage].gpu or not machine.is_gpu
    done = sum(job.is_done for job in stage.jobs)
    longest = max((job.seconds for job in stage.jobs), default=0.0)
    unsure = "+?" if stage.unknown else ""
    return (
        stage.stage,
        str(len(stage.jobs)),
        str(done) if done else "-",
        flops(stage.flops) + unsure,
        duration(stage.seconds) + unsure,
        duration(longest),
        size(stage.memory) if on_device else "-",
        size(stage.bytes) + unsure,
        f"{stage.files:,}",
    )


def _in_all(total: Total, machine: Machine, gpus: int) -> str:
    at_once = gpus * machine.workers
    jobs = sum(len(stage.jobs) for stage in total.stages)
    arithmetic = sum(stage.flops for stage in total.stages)
    disk = sum(stage.bytes for stage in total.stages)
    files = sum(stage.files for stage in total.stages)
    # jobs that need no GPU run elsewhere
    own = [stage for stage in total.stages if STAGES[stage.stage].gpu or not machine.is_gpu]
    seconds, left = sum(stage.seconds for stage in own), sum(stage.left for stage in own)
    if machine.is_gpu:
        spent = of_gpus(seconds)
        where = f"{gpus} GPU{'s' * (gpus != 1)}"
    else:
        spent = f"{duration(seconds)} of jobs"
        where = f"{at_once} job{'s' * (at_once != 1)} at once"
    remaining = "" if math.isclose(left, seconds) else f", of which {duration(left)} are left"
    return (
        f"In all: {jobs:,} jobs, {flops(arithmetic)}, {spent}{remaining}; at least "
        f"{duration(total.wall(at_once))} with {where}; {size(disk)} in {files:,} files."
    )


def _basis(total: Total, machine: Machine) -> str:
    """What the seconds rest on, by the share of the time."""
    seconds = {OWN: 0.0, STAGE: 0.0, RATE: 0.0}
    for stage in total.stages:
        for job in stage.jobs:
            seconds[job.source] += job.seconds
    words = {
        OWN: "what finished jobs took",
        STAGE: "the seconds for each FLOP of finished jobs of the same stage",
        RATE: f"the machine's rates, {machine.basis}",
    }
    used = [source for source in words if seconds[source]]
    if len(used) == 1:
        return f"The figures rest on {words[used[0]]}."
    parts = [f"{seconds[source] / total.seconds:.0%} on {words[source]}" for source in used]
    return f"Of the time rest {'; '.join(parts)}."


def of_gpus(seconds: float) -> str:
    """The time of GPUs: in hours, as they are counted and paid for, where it is one or more."""
    hours = seconds / 3600
    return f"{duration(seconds)} of a GPU" if hours < 1 else f"{_digits(hours)} GPU hours"


def flops(count: float) -> str:
    """Floating-point operations with a prefix."""
    return f"{_scaled(count)}FLOP" if count else "-"


def duration(seconds: float) -> str:
    """In the unit that a person reads."""
    for unit, each, most in (("s", 1, 90), ("min", 60, 90), ("h", 3600, 72)):
        if seconds < most * each:
            return f"{_digits(seconds / each)} {unit}"
    return f"{_digits(seconds / 86_400)} days"


def size(count: float) -> str:
    """Bytes with a prefix, of 1000."""
    return f"{_scaled(count)}B" if count else "-"


def _scaled(count: float) -> str:
    power = min(max(math.floor(math.log10(count)) // 3, 0), len(PREFIXES) - 1)
    return f"{_digits(count / 1000**power)} {PREFIXES[power]}"


def _digits(number: float) -> str:
    """Two or three of them."""
    return f"{number:.1f}" if number < 10 else f"{number:,.0f}"
