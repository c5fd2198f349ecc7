"""How large soft labels are and what accuracy they lead to, where there are several forms."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from scdd.scores import Column, Row, Score, Student, Table, number
from scdd.typeset import comma_separated


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


def points(
    table: Table, students: Collection[Student], forms: Mapping[tuple[Row, Column], str]
) -> list[Point]:
    """All numbers by soft labels, in the table's order. forms: in words, by place."""
    headers = dict(zip(table.columns, table.headers(), strict=True))
    found: dict[tuple[Row, Column], list[Student]] = {}
    for one in students:
        found.setdefault((one.row, one.column), []).append(one)
    return [
        Point(
            row,
            headers[column],
            forms[row, column],
            of[0].label_bytes,
            table.ratio(row.ipc, of[0].label_bytes),
            table.scores[row, column],
            len(of),
        )
        for (row, column), of in found.items()
        if (row, column) in forms
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
