"""The ablation table: every other method and protocol beside the ones they vary, and by how much
their students' accuracy differs."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scdd.report.scores import Column, Row, Score, Table, number, shown
from scdd.report.typeset import bullets, comma_separated, latex, markdown

Key = tuple[Row, Column]


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


def standard_error(one: Score, n: int, other: Score, m: int) -> float | None:
    """Of the difference of two means over n and m seeds, each with its own spread (Welch's)."""
    if one.std is None or other.std is None:
        return None
    return math.sqrt(one.std**2 / n + other.std**2 / m)


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
        value = table.scores[key]
        named = " + ".join(names) or f"{column.title}, {row.protocol}"
        said = row, named, " + ".join(parts), "; ".join(filter(None, changes)), value
        if base is None or key == base:
            return Line(*said)
        of = table.scores[base]
        error = standard_error(value, seeds[key], of, seeds[base])
        return Line(*said, value.mean - of.mean, error)

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
        f"Each line differs from the base, {base}, by what it names and in nothing else. Images: "
        "their recovery. Evaluation: labels and the students' training.",
        "Difference: of the means, in points, ± its standard error: the root of the sum of both "
        "sides' variances over students' seeds, each by its number of seeds. It tells nothing of "
        "other seeds of the squeeze and the recovery; below twice its error it may be chance.",
    ]


def cells(lines: list[Line]) -> tuple[list[str], list[list[str]], int]:
    """Header, lines and number of columns of words."""
    leading = {
        "Switch": [one.switch for one in lines],
        "Part": [one.part for one in lines],
        "Change": [one.change for one in lines],
    }
    settings = {
        "Student": [one.row.student for one in lines],
        "IPC": [str(one.row.ipc) for one in lines],
    }
    leading |= {name: texts for name, texts in settings.items() if len(set(texts)) > 1}
    columns = [*leading.values(), [shown(one.score) for one in lines], [*map(_points, lines)]]
    header = [*leading, "Top-1", "Difference"]
    return header, [list(texts) for texts in zip(*columns, strict=True)], len(leading)


def _points(line: Line) -> str:
    if line.difference is None:
        return "" if not line.part else "–"
    sign = "−" if round(line.difference, 1) < 0 else "+"
    error = "" if line.error is None else f" ± {line.error:.1f}"
    return f"{sign}{abs(line.difference):.1f}{error}"


def to_markdown(table: Table, lines: list[Line], where: str, said: list[str]) -> str:
    title = f"# {table.dataset}: one switch at a time, top-1 accuracy (%){where}"
    return "\n\n".join([title, markdown(*cells(lines)), bullets(said)]) + "\n"


def to_latex(table: Table, lines: list[Line], where: str, said: list[str], name: str) -> str:
    caption = f"One switch at a time: top-1 accuracy (%) on {table.dataset}{where}."
    label = "tab:" + re.sub(r"[^A-Za-z0-9-]", "-", f"{name}-ablation")
    made = latex(*cells(lines), caption=caption, label=label, notes=said, bold=())
    return "% \\usepackage{booktabs}\n" + made


def to_csv(lines: list[Line]) -> str:
    header = ["switch", "part", "change", "protocol", "student", "ipc", "mean", "std"]
    header += ["difference", "standard error"]
    return comma_separated(
        header,
        [
            [
                one.switch,
                one.part,
                one.change,
                one.row.protocol,
                one.row.student,
                str(one.row.ipc),
                *map(number, (one.score.mean, one.score.std, one.difference, one.error)),
            ]
            for one in lines
        ],
    )
