"""Students' accuracies as the reports compare them: settings in rows, methods in columns."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple


class Row(NamedTuple):
    """A setting in which methods are compared. `ipc` None: the whole training set."""

    protocol: str
    student: str
    ipc: int | None


class Column(NamedTuple):
    """Whose images were evaluated, with whose labels. `teacher` None: hard labels."""

    method: str
    title: str
    teacher: str | None


@dataclass(frozen=True)
class Student:
    """A trained student. Accuracies in percent, of the last epoch."""

    row: Row
    column: Column
    seed: int
    top1: float
    top5: float | None  # None for fewer than five classes
    epochs: int
    train_images: int
    form: str | None = None
    """Of its soft labels, in words; None for hard labels."""
    label_bytes: int = 0
    """Of the soft labels of one training image over all epochs, as stored."""
    origin: Mapping[str, str] = field(default_factory=dict)
    """Where it is from, for all.csv, by heading: the experiment, digests, paths, and the values by
    which it differs from other students."""


@dataclass(frozen=True)
class Score:
    """Mean over seeds; `std` is the sample standard deviation (n - 1), None for one seed."""

    mean: float
    std: float | None


def tested_on(holdout: float) -> str:
    """What accuracies are measured on, where this share of the training images is held out."""
    return "held-out training images" if holdout else "test images"


@dataclass(frozen=True)
class Table:
    """The main table. What was not measured has no key in `scores` or `whole`.

    label_bytes: of each row's soft labels, in order, one value for each form that its columns have;
    holdout: the share of the training images that took the test images' place, 0 for none.
    """

    dataset: str
    classes: int
    train_images: int
    resolution: int
    rows: list[Row]
    columns: list[Column]
    scores: dict[tuple[Row, Column], Score]
    whole: dict[Row, Score]
    label_bytes: dict[Row, list[int]]
    holdout: float = 0.0

    @property
    def where(self) -> str:
        """For titles: on which images, where it is not the test set."""
        return " on HELD-OUT TRAINING images, not the test set" if self.holdout else ""

    def ratio(self, ipc: int | None, label_bytes: int = 0) -> float:
        """A set in percent of the training set, by bytes: uint8 pixels, a class index of one byte
        (two for more than 256 classes), and `label_bytes` of soft labels an image. Without soft
        labels that is the images in percent of the training images."""
        if ipc is None:
            return 100.0
        plain = 3 * self.resolution**2 + (1 if self.classes <= 256 else 2)
        share = ipc * self.classes / self.train_images
        return 100 * share * (plain + label_bytes) / plain

    def header(self, column: Column) -> str:
        """The title of the column that has the numbers of `column`."""
        by_column = dict(zip(self.columns, self.headers(), strict=True))
        alike = [other for other in self.columns if other[:2] == column[:2]]
        return by_column.get(column) or (by_column[alike[0]] if alike else column.title)

    def headers(self) -> list[str]:
        return headers(self.columns)


def headers(columns: Sequence[Column]) -> list[str]:
    """Titles of the columns; with the labels where a title has several."""
    titles = [column.title for column in columns]
    return [
        title if titles.count(title) == 1 else f"{title}, {labels(teacher)}"
        for _, title, teacher in columns
    ]


def settings(rows: Sequence[Row]) -> list[str]:
    """Of each row its protocol and student, as far as there are several. The whole training set has
    no protocol."""
    several = [
        len({row.protocol for row in rows if row.ipc is not None}) > 1,
        len({row.student for row in rows}) > 1,
    ]
    return [
        ", ".join(
            [
                *([row.protocol] if several[0] and row.ipc is not None else []),
                *([row.student] if several[1] else []),
            ]
        )
        for row in rows
    ]


def score(values: Sequence[float]) -> Score:
    """One value a seed -> mean and spread."""
    return Score(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None)


def standard_error(score: Score, n: int, base: Score, m: int) -> float | None:
    """Of the difference of two means over n and m seeds, each with its own spread (Welch's)."""
    if score.std is None or base.std is None:
        return None
    return math.sqrt(score.std**2 / n + base.std**2 / m)


def labels(teacher: str | None) -> str:
    return "hard labels" if teacher is None else f"soft labels of the {teacher} teacher"


def shown(value: Score | None) -> str:
    if value is None:
        return "–"
    return f"{value.mean:.1f}" + ("" if value.std is None else f" ± {value.std:.1f}")


def signed(difference: float, error: float | None = None, decimals: int = 1) -> str:
    """With its sign and, if it has one, its standard error."""
    sign = "−" if round(difference, decimals) < 0 else "+"
    spread = "" if error is None else f" ± {error:.{decimals}f}"
    return f"{sign}{abs(difference):.{decimals}f}{spread}"


def merged(students: Sequence[Student]) -> list[Student]:
    """The students, with one column for a method whose labels differ by protocol alone: hard by one
    and soft by another, say. Where they differ within a row, each has a column of its own."""
    teachers: dict[tuple[str, str], dict[Row, set[str | None]]] = {}
    for student in students:
        rows = teachers.setdefault(student.column[:2], {})
        rows.setdefault(student.row, set()).add(student.column.teacher)
    first = {student.column[:2]: student.column for student in reversed(students)}
    alone = {name for name, rows in teachers.items() if all(len(r) == 1 for r in rows.values())}
    return [
        replace(student, column=first[student.column[:2]])
        if student.column[:2] in alone
        else student
        for student in students
    ]


def main_table(
    dataset: str,
    classes: int,
    train_images: int,
    resolution: int,
    students: Sequence[Student],
    holdout: float = 0.0,
) -> Table:
    """Rows by protocol and student in order of appearance, then by IPC.

    A row's whole-data accuracy is its own student's: under the row's protocol, or else under the
    only one that the whole data was trained with. Whole data of another student has its own row.
    """
    students = merged(students)
    seeds: dict[tuple[Row, Column], list[float]] = {}
    for student in students:
        seeds.setdefault((student.row, student.column), []).append(student.top1)
    scores = {key: score(values) for key, values in seeds.items() if key[0].ipc is not None}
    wholes = {key[0]: score(values) for key, values in seeds.items() if key[0].ipc is None}

    settings = list(dict.fromkeys(student.row[:2] for student in students))
    rows = sorted(
        {row for row, _ in scores}, key=lambda row: (settings.index(row[:2]), row.ipc or 0)
    )
    whole = {}
    for row in rows:
        same = [other for other in wholes if other.student == row.student]
        fitting = [other for other in same if other.protocol == row.protocol] or same
        if len(fitting) == 1:
            whole[row] = wholes[fitting[0]]
    alone = [row for row in wholes if row.student not in {other.student for other in rows}]
    whole |= {row: wholes[row] for row in alone}
    columns = list(dict.fromkeys(column for _, column in scores))
    sizes: dict[Row, set[int]] = {row: set() for row in rows + alone}
    for student in students:
        if student.label_bytes:
            sizes[student.row].add(student.label_bytes)
    return Table(
        dataset,
        classes,
        train_images,
        resolution,
        rows + alone,
        columns,
        scores,
        whole,
        {row: sorted(of_row) for row, of_row in sizes.items()},
        holdout,
    )
