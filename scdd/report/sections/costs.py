"""costs.{csv,md,tex}, costs_notes.tex: what every stage took for each column of the main table.

The files of costs are not inputs: a job that left none has an empty cell.
"""

from collections.abc import Mapping, Sequence

from scdd.report import html, latex, seconds
from scdd.report.measured import Measured
from scdd.report.scores import Table, labels
from scdd.report.seconds import Spent
from scdd.report.section import COSTS, Contents, Entry, Params, Section, lines_of_csv, nothing
from scdd.report.typeset import csv_of, document, integer, number


def files(params: Params) -> list[str]:
    return ["costs.csv", "costs.md", "costs.tex", "costs_notes.tex"] if params["cells"] else []


def make(measured: Measured) -> dict[str, bytes]:
    table, spent, headings = measured.table, measured.spent, measured.params["headings"]
    name = f"{measured.params['experiment']}-costs"
    title = f"# {table.dataset}: seconds of every stage"
    return {
        "costs.csv": to_csv(spent).encode(),
        "costs.md": document(title, *seconds.paragraphs(table, spent, headings)).encode(),
        "costs.tex": to_latex(table, spent, headings, name).encode(),
        "costs_notes.tex": latex.notes(seconds.notes(spent, headings), name).encode(),
    }


def to_latex(table: Table, spent: Sequence[Spent], headings: Mapping[str, str], name: str) -> str:
    """Two tables: of the images, and of what comes after them."""
    return latex.file(
        latex.table(
            seconds.image_cells(spent, headings),
            caption=f"Seconds that images of {table.dataset} took, by stage.",
            name=name,
        ),
        latex.table(
            seconds.student_cells(table, spent),
            caption=f"Seconds of soft labels + one student on {table.dataset}.",
            name=f"{name}-students",
        ),
    )


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


def body(measured: Measured, contents: Contents) -> list[str]:
    spent, headings = measured.spent, measured.params["headings"]
    if not seconds.recorded(spent):
        return [html.paragraph(seconds.NOT_RECORDED)]
    return [
        html.heading("Images"),
        html.table(seconds.image_cells(spent, headings)),
        html.heading("Soft labels + one student"),
        html.table(seconds.student_cells(measured.table, spent)),
        html.bullets(seconds.notes(spent, headings)),
        html.heading("Every stage"),
        *lines_of_csv(words=7)(measured, contents),
    ]


SECTION = Section(files, nothing, make, Entry("costs", "Seconds and memory by stage", COSTS, body))
