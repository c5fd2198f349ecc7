"""How large soft labels are and what accuracy they lead to, where there are several forms."""

from collections.abc import Collection
from dataclasses import dataclass

from scdd.report.scores import Column, Row, Score, Student, Table, merged, number
from scdd.report.typeset import comma_separated


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


def points(table: Table, students: list[Student]) -> list[Point]:
    """All numbers by soft labels, in the students' order."""
    found: dict[tuple[Row, Column], list[Student]] = {}
    for one in merged(students):
        found.setdefault((one.row, one.column), []).append(one)
    return [
        Point(
            row,
            table.header(column),
            first.form,
            first.label_bytes,
            table.ratio(row.ipc, first.label_bytes),
            table.scores[row, column],
            len(of),
        )
        for (row, column), of in found.items()
        if (first := of[0]).form is not None
    ]


def to_csv(found: Collection[Point]) -> str:
    header = ["method", "student", "ipc", "protocol", "form", "label bytes an image"]
    header += ["ratio with labels", "mean", "std", "seeds"]
    return comma_separated(
        header,
        [
            [
                one.title,
                one.row.student,
                str(one.row.ipc),
                one.row.protocol,
                one.form,
                str(one.size),
                f"{one.ratio:.4g}",
                number(one.score.mean),
                number(one.score.std),
                str(one.seeds),
            ]
            for one in found
        ],
    )
