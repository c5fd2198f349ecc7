"""All finished students in results/, of all experiments, in one table."""

import statistics
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scdd.artifacts.config import teacher_roles
from scdd.artifacts.run import RESULTS
from scdd.errors import ScddError, nearest, warn
from scdd.jobs.costs import load_cost
from scdd.params.network import Network
from scdd.plan.differences import Settings, settings
from scdd.plan.identity import canonical
from scdd.plan.made import made, shown_in_tables
from scdd.plan.plan import Node, Plan
from scdd.plan.wording import seen_of_order
from scdd.report.measured import read_metrics
from scdd.report.scores import Score, score, shown
from scdd.report.typeset import Cells, number


@dataclass(frozen=True)
class Result:
    """Students that differ by their seed alone.

    experiment, method, teacher, protocol: as the newest table calls them; without any, by the
    artifacts. The method of learned images on their way is told with the iteration, that of a
    memory of continual learning with its classes. ipc None: the whole training set. seconds: of
    all jobs that a student comes of, their mean; None where some are not known. finished: the last
    student, in seconds since 1970. images: the digest of the image set. digests: the students'.
    values: of all that they are made of, by keys as `recover.lr`.
    """

    experiment: str
    dataset: str
    method: str
    ipc: int | None
    teacher: str
    protocol: str
    student: str
    seeds: tuple[int, ...]
    top1: Score
    seconds: float | None
    finished: float
    images: str
    digests: tuple[str, ...]
    values: Settings


COLUMNS: dict[str, Callable[[Result], str]] = {
    "finished": lambda r: time.strftime("%Y-%m-%d %H:%M", time.localtime(r.finished)),
    "experiment": lambda r: r.experiment,
    "dataset": lambda r: r.dataset,
    "method": lambda r: r.method,
    "teacher": lambda r: r.teacher,
    "protocol": lambda r: r.protocol,
    "student": lambda r: r.student,
    "ipc": lambda r: "whole" if r.ipc is None else str(r.ipc),
    "seeds": lambda r: str(len(r.seeds)),
    "top-1": lambda r: shown(r.top1),
    "seconds": lambda r: "–" if r.seconds is None else f"{r.seconds:.0f}",
    "images": lambda r: r.images,
    "students": lambda r: r.digests[0] + (f" +{len(r.digests) - 1}" if r.digests[1:] else ""),
}
# in a CSV: more digits, and all digests
IN_CSV: dict[str, Callable[[Result], str]] = {
    **COLUMNS,
    "seeds": lambda r: " ".join(map(str, r.seeds)),
    "top-1": lambda r: number(r.top1.mean),
    "seconds": lambda r: number(r.seconds),
    "students": lambda r: " ".join(r.digests),
    "std": lambda r: number(r.top1.std),
}


def results() -> list[Result]:
    """The newest first. What is damaged is left out, with a warning."""
    plan, students, torn = made("validate", "metrics.json")
    tables = shown_in_tables()
    groups: dict[str, list[Node]] = {}
    for node in students:
        same = {key: value for key, value in node.params.items() if key != "seed"}
        groups.setdefault(canonical([same, node.parents]), []).append(node)
    rows = []
    for nodes in groups.values():
        try:
            rows.append(_result(plan, nodes, torn, tables))
        except ScddError as error:
            warn(f"{', '.join(node.key for node in nodes)}: left out: {error}")
    return sorted(rows, key=lambda row: -row.finished)


def _result(
    plan: Plan,
    nodes: Sequence[Node],
    torn: Collection[str],
    tables: Mapping[str, Sequence[Mapping[str, Any]]],
) -> Result:
    first = nodes[0]
    files = [RESULTS / node.key / "metrics.json" for node in nodes]
    whole = [node for node in nodes if node.key not in torn]
    known = [spent for node in whole if (spent := _seconds(plan, node)) is not None]
    cells = [cell for node in nodes for cell in tables.get(node.key, ())]
    cell = cells[0] if cells else _unnamed(plan, first)
    student = Network.of(first.params["student"])
    return Result(
        " + ".join(dict.fromkeys(cell["experiment"] for cell in cells)),
        _dataset(plan, first),
        _method(cell),
        cell["ipc"],
        cell["teacher"] or "",
        cell["protocol"],
        Network(student.arch, student.width).label,
        tuple(sorted(node.params["seed"] for node in nodes)),
        score([read_metrics(file, "top1")["top1"] for file in files]),
        statistics.fmean(known) if len(known) == len(nodes) else None,
        max(file.stat().st_mtime for file in files),
        Path(cell["images"]).parent.name.rpartition("-")[2] if cell["images"] else "",
        tuple(node.digest for node in nodes),
        settings(plan, [first])[0],
    )


def _method(cell: Mapping[str, Any]) -> str:
    """Of a cell, with what its images are not all of."""
    parts = [cell["method"]]
    if "at" in cell:
        parts.append(f"iteration {cell['at']}")
    if cell.get("step") != cell.get("steps"):
        parts.append(seen_of_order(cell["seen"], cell["order"]))
    return ", ".join(parts)


def _dataset(plan: Plan, node: Node) -> str:
    """The label of the dataset that a node descends from; empty where that cannot be seen."""
    if node.stage == "data":
        return node.label
    return next(
        filter(None, (_dataset(plan, plan.nodes[key]) for key in node.parents.values())), ""
    )


def _unnamed(plan: Plan, student: Node) -> Mapping[str, Any]:
    """What there is to say of a student that no table has, as a cell of one. Raises ScddError where
    what it was trained on is gone."""
    cell = {"method": "whole", "ipc": None, "images": None, "teacher": None, "protocol": ""}
    if "data" in student.parents:
        return cell
    holder = plan.parent(student, "labels") if "labels" in student.parents else student
    if "images" not in holder.parents:
        raise ScddError("it is in no table, and the images that it was trained on are gone.")
    images = plan.parent(holder, "images")
    teachers = [plan.parent(holder, role).label for role in teacher_roles(holder.parents)]
    named = {
        "method": images.label,
        "ipc": images.params["ipc"],
        "images": f"{images.key}/set.json",
    }
    return {**cell, **named, "teacher": " + ".join(teachers)}


def _seconds(plan: Plan, student: Node) -> float | None:
    """Of all jobs that a student comes of; None where one left no cost."""
    try:
        files = [file for files in plan.costs(student).values() for file in files]
    except KeyError:  # an earlier version of scdd had other parameters
        return None
    costs = [load_cost(RESULTS / file) for file in files]
    known = [cost.seconds for cost in costs if cost is not None]
    return sum(known) if len(known) == len(costs) else None


def ordered(rows: Sequence[Result], by: Sequence[str]) -> list[Result]:
    """Sorted by columns, or by values as `recover.lr`. Raises ScddError for one that no student
    has."""
    known = {*COLUMNS, *(key for row in rows for key in row.values)}
    for key in by:
        if key not in known:
            raise ScddError(f"--by {key}: no student has it. {nearest(key, known)}")
    return sorted(rows, key=lambda row: [_place(row, key) for key in by])


def _place(row: Result, key: str) -> tuple[bool, float, str]:
    """Where a row is sorted to: numbers by their size and before all else."""
    numbers = {"ipc": row.ipc, "seconds": row.seconds, "finished": row.finished}
    value = {**row.values, **numbers, "top-1": row.top1.mean}.get(key)
    if isinstance(value, int | float):
        return False, value, ""
    return True, 0.0, _columns(COLUMNS, [key])[key](row)


def in_columns(rows: Sequence[Result], by: Sequence[str]) -> Cells:
    """For reading: the columns `by` first, which may be values."""
    columns = _columns(COLUMNS, by)
    lines = [[text(row) for text in columns.values()] for row in rows]
    return Cells([*columns], lines, len(columns))


def in_csv(rows: Sequence[Result], by: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Header and lines."""
    columns = _columns(IN_CSV, by)
    return [*columns], [[text(row) for text in columns.values()] for row in rows]


def _columns(
    columns: Mapping[str, Callable[[Result], str]], by: Sequence[str]
) -> dict[str, Callable[[Result], str]]:
    """The columns `by`, then the others."""
    return {**{key: columns.get(key, _value(key)) for key in by}, **columns}


def _value(key: str) -> Callable[[Result], str]:
    """The text of a value; empty where students do not have it."""
    return lambda row: str(row.values.get(key, ""))
