"""costs.csv: what every stage took for each setting and column of the main table.

The files of costs are not inputs: a job that left none has an empty cell.
"""

from collections.abc import Sequence

from scdd.report.measured import Measured
from scdd.report.scores import labels
from scdd.report.seconds import Spent
from scdd.report.section import Params, Section, nothing
from scdd.report.typeset import csv_of, integer, number


def files(params: Params) -> list[str]:
    return ["costs.csv"] if params["cells"] else []


def make(measured: Measured) -> dict[str, bytes]:
    return {"costs.csv": to_csv(measured.spent).encode()}


def to_csv(spent: Sequence[Spent]) -> str:
    """One line a setting, column and stage. Empty seconds: those of a job are not known; known jobs
    and peaks are of the others. Peak memory in MiB, the greatest of the jobs."""
    return csv_of(
        spent,
        {
            "method": lambda part: part.column.method,
            "title": lambda part: part.column.title,
            "labels": lambda part: labels(part.column.teacher),
            "ipc": lambda part: integer(part.row.ipc),
            "protocol": lambda part: part.row.protocol,
            "student": lambda part: part.row.student,
            "stage": lambda part: part.stage,
            "jobs": lambda part: str(len(part.costs)),
            "known": lambda part: str(len(part.known)),
            "seconds": lambda part: number(part.total),
            "seconds a student": lambda part: number(part.seconds if part.of_students else None),
            "device": lambda part: "; ".join(part.devices),
            "peak MiB": lambda part: _peak([cost.peak_mib for cost in part.known]),
            "peak GPU MiB": lambda part: _peak([cost.peak_gpu_mib for cost in part.known]),
        },
    )


def _peak(sizes: Sequence[float]) -> str:
    return f"{max(sizes):.0f}" if sizes else ""


SECTION = Section(files, nothing, make, caption="costs.rst")
