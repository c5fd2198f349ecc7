"""all.csv: one line a student."""

from collections.abc import Callable, Sequence

from scdd.report.measured import Measured, student_files
from scdd.report.scores import Student, Table, tested_on
from scdd.report.section import TABLES, Entry, Params, Section, lines_of_csv
from scdd.report.typeset import csv_of, integer, number


def files(params: Params) -> list[str]:
    return ["all.csv"] if params["cells"] else []


def make(measured: Measured) -> dict[str, bytes]:
    return {"all.csv": to_csv(measured.table, measured.students).encode()}


def to_csv(table: Table, students: Sequence[Student]) -> str:
    """Empty IPC: the whole training set; empty teacher: hard labels. Then where each is from; an
    empty value: its methods do not have it."""
    origin = dict.fromkeys(key for student in students for key in student.origin)
    images = tested_on(table.holdout)
    return csv_of(
        students,
        {
            "dataset": lambda _: table.dataset,
            "method": lambda student: student.column.method,
            "title": lambda student: student.column.title,
            "teacher": lambda student: student.column.teacher or "",
            "ipc": lambda student: integer(student.row.ipc),
            "ratio": lambda student: f"{table.ratio(student.row.ipc):.4g}",
            "ratio with labels": lambda student: (
                f"{table.ratio(student.row.ipc, student.label_bytes):.4g}"
            ),
            "label bytes an image": lambda student: str(student.label_bytes),
            "protocol": lambda student: student.row.protocol,
            "student": lambda student: student.row.student,
            "seed": lambda student: str(student.seed),
            "top1": lambda student: number(student.top1),
            "top5": lambda student: number(student.top5),
            "epochs": lambda student: str(student.epochs),
            "train_images": lambda student: str(student.train_images),
            "measured on": lambda _: images,
            **{key: _origin(key) for key in origin},
        },
    )


def _origin(key: str) -> Callable[[Student], str]:
    return lambda student: student.origin.get(key, "")


ENTRY = Entry("all", "Every student", TABLES, lines_of_csv(words=4))
SECTION = Section(files, student_files, make, ENTRY)
