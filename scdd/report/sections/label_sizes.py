"""labels.{csv,png,svg,pdf}: how large soft labels are and what accuracy they lead to, where
students of the same images have several forms of them."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from scdd.report.measured import Measured, student_files
from scdd.report.scores import Column, Row, Score, Student, Table, merged
from scdd.report.section import FIGURES, Entry, Params, Section, figure_files
from scdd.report.typeset import csv_of, number


@dataclass(frozen=True)
class Point:
    """Students by soft labels of one form. title: of the column; size: bytes of the labels of one
    image over a student's whole training; ratio: of the images in percent, with their labels."""

    row: Row
    title: str
    form: str
    size: int
    ratio: float
    score: Score
    seeds: int


def files(params: Params) -> list[str]:
    forms: dict[tuple[Any, ...], set[str]] = {}
    for cell in params["cells"]:
        if cell["stored"]:
            same = tuple(cell[key] for key in ("method", "teacher", "ipc", "student"))
            forms.setdefault(same, set()).add(cell["stored"]["form"])
    several = any(len(names) > 1 for names in forms.values())
    return ["labels.csv", *figure_files("labels")] if several else []


def make(measured: Measured) -> dict[str, bytes]:
    of_forms = points(measured.table, measured.students)
    drawn = draw(of_forms, measured.params["figures"]["dpi"])
    return {"labels.csv": to_csv(of_forms).encode(), **drawn}


def points(table: Table, students: Sequence[Student]) -> list[Point]:
    """All numbers by soft labels, in the students' order."""
    groups: dict[tuple[Row, Column], list[Student]] = {}
    for student in merged(students):
        groups.setdefault((student.row, student.column), []).append(student)
    return [
        Point(
            row,
            table.header(column),
            first.form,
            first.label_bytes,
            table.ratio(row.ipc, first.label_bytes),
            table.scores[row, column],
            len(group),
        )
        for (row, column), group in groups.items()
        if (first := group[0]).form is not None
    ]


def to_csv(of_forms: Collection[Point]) -> str:
    return csv_of(
        of_forms,
        {
            "method": lambda point: point.title,
            "student": lambda point: point.row.student,
            "ipc": lambda point: str(point.row.ipc),
            "protocol": lambda point: point.row.protocol,
            "form": lambda point: point.form,
            "label bytes an image": lambda point: str(point.size),
            "ratio with labels": lambda point: f"{point.ratio:.4g}",
            "mean": lambda point: number(point.score.mean),
            "std": lambda point: number(point.score.std),
            "seeds": lambda point: str(point.seeds),
        },
    )


def draw(of_forms: Sequence[Point], dpi: int) -> dict[str, bytes]:
    """Accuracy (mean and one standard deviation, n - 1) against the bytes of an image's soft labels
    over a whole training, one panel a student and IPC.

    A colour is a protocol, filled in the first round of colours and hollow in the second; a shape
    is a column of the table.
    """
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    from scdd.report import plots

    settings = list(dict.fromkeys((point.row.student, point.row.ipc) for point in of_forms))
    protocols = dict.fromkeys(point.row.protocol for point in of_forms)
    titles = dict.fromkeys(point.title for point in of_forms)
    rounds = itertools.cycle(itertools.product((None, "white"), plots.PALETTE))
    colours: dict[str, plots.Look] = {
        name: {"color": colour, "markerfacecolor": inside or colour}
        for name, (inside, colour) in zip(protocols, rounds, strict=False)
    }
    shapes = dict(zip(titles, itertools.cycle(plots.SHAPES), strict=False))
    dot: plots.Look = {"linestyle": "", "marker": "o", "markersize": 5}
    key = {name: dot | look for name, look in colours.items()}
    if len(titles) > 1:
        grey = {"color": "0.35", "markerfacecolor": "0.35"}
        key |= {title: dot | grey | {"marker": shape} for title, shape in shapes.items()}
    with plots.style():
        figure, places = plots.panels(len(settings), key, plots.WIDE)
        for axes, (student, ipc) in zip(places, settings, strict=True):
            axes.set(title=f"{student}, IPC {ipc}", xlabel="Bytes of soft labels an image")
            axes.set(ylabel="Top-1 accuracy (%)", xscale="log")
            for point in of_forms:
                if (point.row.student, point.row.ipc) == (student, ipc):
                    look = dot | colours[point.row.protocol] | {"marker": shapes[point.title]}
                    axes.errorbar(
                        point.size, point.score.mean, point.score.std, **look, elinewidth=1
                    )
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
            axes.xaxis.set_minor_formatter(NullFormatter())
        return plots.files(figure, "labels", dpi)


SECTION = Section(
    files, student_files, make, Entry("labels", "Accuracy by size of the labels", FIGURES)
)
