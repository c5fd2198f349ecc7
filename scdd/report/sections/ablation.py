"""ablation.{csv,md,tex}, ablation_notes.tex: every other method and protocol beside the ones they
vary, and by how much their students' accuracy differs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scdd.report import html, latex
from scdd.report.measured import Measured, student_files
from scdd.report.scores import Column, Row, Score, Table, merged, shown, signed, standard_error
from scdd.report.section import TABLES, Contents, Entry, Params, Section
from scdd.report.typeset import (
    Cells,
    bullets,
    csv_of,
    document,
    markdown,
    number,
)

Key = tuple[Row, Column]


def files(params: Params) -> list[str]:
    if "ablation" not in params:
        return []
    return ["ablation.csv", "ablation.md", "ablation.tex", "ablation_notes.tex"]


def pages(params: Params) -> list[str]:
    return ["ablation.md"]


def make(measured: Measured) -> dict[str, bytes]:
    table, lines, below = measured.table, _lines(measured), _notes(measured)
    name = f"{measured.params['experiment']}-ablation"
    return {
        "ablation.csv": to_csv(lines).encode(),
        "ablation.md": to_markdown(table, lines, below).encode(),
        "ablation.tex": to_latex(table, lines, name).encode(),
        "ablation_notes.tex": latex.notes(below, name).encode(),
    }


def _lines(measured: Measured) -> list[Line]:
    seeds = Counter((student.row, student.column) for student in merged(measured.students))
    return compare(measured.table, seeds, measured.params["ablation"])


def _notes(measured: Measured) -> list[str]:
    params = measured.params["ablation"]
    return notes(f"{params['method']} by {params['protocol']}") + measured.notes


def body(measured: Measured, contents: Contents) -> list[str]:
    return [html.table(cells(_lines(measured))), html.bullets(_notes(measured))]


@dataclass(frozen=True)
class Line:
    """One number and what it changes of the base: nothing, images, evaluation or both.

    difference: of the means, in points; error: its standard error, None where one side has a single
    seed. Both are None for the base itself, and where it was not measured.
    """

    row: Row
    switch: str
    part: str
    change: str
    score: Score
    difference: float | None = None
    error: float | None = None


def compare(table: Table, seeds: Mapping[Key, int], params: Mapping[str, Any]) -> list[Line]:
    """For each student and IPC the base, then the others in their order.

    seeds: how many students a score is of. params: `method` and `protocol` of the base; `methods`
    and `protocols`, what each of them changes, in words.
    """

    def line(key: Key, base: Key | None) -> Line:
        row, column = key
        names, parts, changes = [], [], []
        if column.method != params["method"]:
            names.append(column.title)
            parts.append("images")
            changes.append(params["methods"][column.method])
        if row.protocol != params["protocol"]:
            names.append(row.protocol)
            parts.append("evaluation")
            changes.append(params["protocols"][row.protocol])
        score = table.scores[key]
        difference = error = None
        if base is not None and key != base:
            difference = score.mean - table.scores[base].mean
            error = standard_error(score, seeds[key], table.scores[base], seeds[base])
        return Line(
            row,
            switch=" + ".join(names) or f"{column.title}, {row.protocol}",
            part=" + ".join(parts),
            change="; ".join(filter(None, changes)),
            score=score,
            difference=difference,
            error=error,
        )

    lines = []
    for student, ipc in dict.fromkeys((row.student, row.ipc) for row, _ in table.scores):
        keys = [key for key in table.scores if key[0][1:] == (student, ipc)]
        bases = [
            (row, column)
            for row, column in keys
            if (row.protocol, column.method) == (params["protocol"], params["method"])
        ]
        base = bases[0] if bases else None
        lines += [line(key, base) for key in sorted(keys, key=lambda key: key != base)]
    return lines


def notes(base: str) -> list[str]:
    return [
        f"Each line differs from the base, {base}, only in what it names. Images: their recovery. "
        "Evaluation: labels and the students' training.",
        "Difference: of the means, in points, ± its standard error: the root of the sum of both "
        "variances over the students' seeds, each divided by its number of seeds. It says nothing "
        "about other seeds of the squeeze and the recovery. A difference below twice its error may "
        "be chance.",
    ]


def cells(lines: Sequence[Line]) -> Cells:
    """The table for reading. Student and IPC are columns where there are several."""
    leading = {
        "Switch": [line.switch for line in lines],
        "Part": [line.part for line in lines],
        "Change": [line.change for line in lines],
    }
    settings = {
        "Student": [line.row.student for line in lines],
        "IPC": [str(line.row.ipc) for line in lines],
    }
    leading |= {name: texts for name, texts in settings.items() if len(set(texts)) > 1}
    columns = [*leading.values(), [shown(line.score) for line in lines], [*map(_points, lines)]]
    header = [*leading, "Top-1", "Difference"]
    return Cells(header, [list(texts) for texts in zip(*columns, strict=True)], len(leading))


def _points(line: Line) -> str:
    if line.difference is None:
        return "" if not line.part else "–"
    return signed(line.difference, line.error)


def to_markdown(table: Table, lines: Sequence[Line], below: Sequence[str]) -> str:
    title = f"# {table.dataset}: one switch at a time, top-1 accuracy (%){table.where}"
    return document(title, markdown(cells(lines)), bullets(below))


def to_latex(table: Table, lines: Sequence[Line], name: str) -> str:
    caption = f"One switch at a time: top-1 accuracy (%) on {table.dataset}{table.where}."
    return latex.file(latex.table(cells(lines), caption=caption, name=name))


def to_csv(lines: Sequence[Line]) -> str:
    return csv_of(
        lines,
        {
            "switch": lambda line: line.switch,
            "part": lambda line: line.part,
            "change": lambda line: line.change,
            "protocol": lambda line: line.row.protocol,
            "student": lambda line: line.row.student,
            "ipc": lambda line: str(line.row.ipc),
            "mean": lambda line: number(line.score.mean),
            "std": lambda line: number(line.score.std),
            "difference": lambda line: number(line.difference),
            "standard error": lambda line: number(line.error),
        },
    )


ENTRY = Entry("ablation", "One switch at a time", TABLES, body)
SECTION = Section(files, student_files, make, ENTRY, pages)
