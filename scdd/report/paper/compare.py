"""Measured accuracies beside published ones of the same method, student and IPC."""

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scdd.artifacts.files import damaged
from scdd.report.paper.files import read
from scdd.report.published import published
from scdd.report.scores import Column, Row, Score, headers, score, shown, signed
from scdd.report.typeset import Cells, Layout

ERRORS = 2  # standard errors beyond which values disagree
NOTE = (
    "± of a difference is its standard error, √(s²/n + p²), where s is the standard deviation over "
    "n students' seeds here, and p the ± of the published value. Papers seldom say over how many "
    "runs that is, so it is taken as it stands, and the error is rather too large. Where a "
    "published value has no ±, the error is that of the students alone; a single student has none."
)


@dataclass(frozen=True)
class Comparison:
    """One measured value beside a published one. source: who reports it; count: students' seeds."""

    title: str
    row: Row
    measured: Score
    count: int
    published: Score
    source: str

    @property
    def difference(self) -> float:
        return self.measured.mean - self.published.mean

    @property
    def error(self) -> float | None:
        """The difference's standard error, as NOTE has it; None for one student."""
        if self.measured.std is None:
            return None
        return math.hypot(self.measured.std / math.sqrt(self.count), self.published.std or 0.0)

    @property
    def differs(self) -> bool:
        return self.error is not None and abs(self.difference) > ERRORS * self.error

    def sentence(self) -> str:
        """For values that disagree."""
        assert self.error is not None
        of = [self.title, ipc(self.row), self.row.student, self.row.protocol]
        without = "" if self.published.std is not None else ", without ±"
        return (
            f"{', '.join(of)}: measured {shown(self.measured)}, published {shown(self.published)} "
            f"({self.source}{without}); the difference of {signed(self.difference)} is more than "
            f"two standard errors of {self.error:.1f}."
        )


Student = tuple[Column, Row, float]  # with its top-1 in percent


def ipc(row: Row) -> str:
    return "whole data" if row.ipc is None else f"IPC {row.ipc}"


def read_students(file: Path) -> list[Student]:
    """Of a report's all.csv. Raises ScddError where it is missing or damaged."""
    try:
        return [_student(line) for line in csv.DictReader(io.StringIO(read(file).decode()))]
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(file, f"is not a table of students ({error})") from None


def _student(line: dict[str, str]) -> Student:
    column = Column(line["method"], line["title"], line["teacher"] or None)
    count = int(line["ipc"]) if line["ipc"] else None
    return column, Row(line["protocol"], line["student"], count), float(line["top1"])


def compare(
    students: Iterable[Student], dataset: str, classes: int, resolution: int
) -> list[Comparison]:
    """In the students' order. The published methods are those with the same name and student.
    Nothing is published for a class subset or another resolution."""
    seeds: dict[tuple[Column, Row], list[float]] = {}
    for column, row, top1 in students:
        seeds.setdefault((column, row), []).append(top1)
    columns = list(dict.fromkeys(column for column, _ in seeds))
    titles = dict(zip(columns, headers(columns), strict=True))
    known = published(dataset, classes, resolution, {row.ipc for _, row in seeds})
    return [
        Comparison(
            titles[column], row, score(top1), len(top1), method.values[row.ipc], method.source
        )
        for (column, row), top1 in seeds.items()
        for method in known
        if (method.method, method.student) == (column.method, row.student)
        and row.ipc in method.values
    ]


def cells(comparisons: Sequence[Comparison]) -> tuple[Cells, Layout]:
    """For reading; bold: differences of more than two standard errors."""
    several = len({each.row.protocol for each in comparisons if each.row.ipc is not None}) > 1
    lines = [
        [
            each.title,
            "whole" if each.row.ipc is None else str(each.row.ipc),
            each.row.student,
            *([each.row.protocol] if several else []),
            each.source,
            shown(each.published),
            shown(each.measured),
            signed(each.difference, each.error),
        ]
        for each in comparisons
    ]
    words = ["Method", "IPC", "Student", *(["Protocol"] if several else []), "Reported by"]
    header = [*words, "Published", "Measured", "Difference"]
    last = len(header) - 1
    bold = frozenset((line, last) for line, each in enumerate(comparisons) if each.differs)
    return Cells(header, lines, len(words)), Layout(bold=bold)
