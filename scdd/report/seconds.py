"""What the columns of a table cost: the seconds of every stage, as its jobs left them."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scdd.jobs.costs import Cost, load_cost
from scdd.report.scores import Column, Row, Table, headers, settings
from scdd.report.typeset import Cells, bullets, document, markdown

LABELS, STUDENT = "relabel", "validate"  # the stages after the images
HEADING = "## Seconds by stage"
NOT_RECORDED = "Not recorded: these results are older than the record of costs."


@dataclass(frozen=True)
class Spent:
    """What one stage took for one setting and column. costs: of its jobs; None: not known."""

    row: Row
    column: Column
    stage: str
    costs: list[Cost | None]

    @property
    def known(self) -> list[Cost]:
        return [cost for cost in self.costs if cost is not None]

    @property
    def of_students(self) -> bool:
        return self.stage == STUDENT

    @property
    def total(self) -> float | None:
        """Seconds of all jobs. None where one is not known: a part is not the sum."""
        complete = len(self.known) == len(self.costs)
        return sum(cost.seconds for cost in self.known) if complete else None

    @property
    def seconds(self) -> float | None:
        """Of all jobs; of the mean student where the stage trains students."""
        if self.total is None or not self.of_students:
            return self.total
        return statistics.fmean(cost.seconds for cost in self.known)

    @property
    def devices(self) -> list[str]:
        return list(dict.fromkeys(map(_device, self.known)))


def _device(cost: Cost) -> str:
    if cost.device != "cpu":
        return cost.device
    return f"the CPU with {cost.threads} thread{'s' * (cost.threads != 1)}"


def read(results: Path, costs: Sequence[Mapping[str, Any]]) -> list[Spent]:
    """Of the tables' parameter `costs`. Raises ScddError, naming the file, for a damaged one."""
    files = {file for part in costs for jobs in part["stages"].values() for file in jobs}
    by_file = {file: load_cost(results / file) for file in sorted(files)}
    return [
        Spent(
            Row(part["protocol"], part["student"], part["ipc"]),
            Column(part["method"], part["title"], part["teacher"]),
            stage,
            [by_file[file] for file in jobs],
        )
        for part in costs
        for stage, jobs in part["stages"].items()
    ]


def image_cells(spent: Sequence[Spent], headings: Mapping[str, str]) -> Cells:
    """What each column's images took by IPC, its teacher's training among it. A dash: not known;
    empty: no such stage.

    headings: of the stages that make images, in the order of their columns.
    """
    of_images = {
        (part.column, part.row.ipc, part.stage): part for part in spent if part.row.ipc is not None
    }
    stages = [stage for stage in headings if any(key[2] == stage for key in of_images)]
    settings = dict.fromkeys((column, ipc) for column, ipc, _ in of_images)
    columns = list(dict.fromkeys(column for column, _ in settings))
    titles = dict(zip(columns, headers(columns), strict=True))
    lines = [
        [
            titles[column],
            str(ipc),
            *(_number(of_images.get((column, ipc, stage))) for stage in stages),
        ]
        for column, ipc in settings
    ]
    return Cells(["Images", "IPC", *(headings[stage] for stage in stages)], lines, 1)


def student_cells(table: Table, spent: Sequence[Spent]) -> Cells:
    """In the main table's layout, what came after the images: labels, where they are soft, and one
    student, as `labels + student`."""
    after: dict[tuple[Row, str], list[str]] = {}
    for stage in (LABELS, STUDENT):
        for part in spent:
            if part.stage == stage:
                key = part.row, table.header(part.column)
                after.setdefault(key, []).append(_number(part))
    rows = sorted({row for row, _ in after}, key=lambda row: _place(table, row))
    measured = list(dict.fromkeys(name for row in rows for line, name in after if line == row))
    listed = [name for name in table.headers() if name in measured]
    names = list(dict.fromkeys(listed + measured))
    heads = [
        ", ".join(filter(None, [setting, "whole" if row.ipc is None else f"IPC {row.ipc}"]))
        for row, setting in zip(rows, settings(rows), strict=True)
    ]
    lines = [[name, *(" + ".join(after.get((row, name), [])) for row in rows)] for name in names]
    return Cells(["Images", *heads], lines, 1)


def _place(table: Table, row: Row) -> tuple[int, str]:
    """Rows of the whole training set, which the main table may not have, come last."""
    return (table.rows.index(row), "") if row in table.rows else (len(table.rows), row.student)


def notes(spent: Sequence[Spent], headings: Mapping[str, str]) -> list[str]:
    """What a reader must know of the seconds, as plain sentences. headings: as for the cells."""
    by_device: dict[str, list[str]] = {}
    for stage in (*headings, LABELS, STUDENT):
        for part in spent:
            for device in part.devices if part.stage == stage else ():
                by_device.setdefault(device, []).append(stage)
    if len(by_device) == 1:
        devices = [f"On {next(iter(by_device))}."]
    else:
        devices = [
            f"On {device}: {', '.join(dict.fromkeys(stages))}."
            for device, stages in by_device.items()
        ]
    return [
        *devices,
        "Wall-clock seconds of all jobs behind a number, added up; for students, the mean of one. "
        "The squeeze and the probe of an image set are those of all networks that chose, recovered "
        "or labelled it. A job that several lines or columns used is counted in each. Not "
        "included: what an interrupted attempt did after its last save, and the start of the "
        "programs.",
        "A dash: not recorded. Empty: no such stage (an imported backbone was trained elsewhere). "
        "costs.csv has all numbers, with peak memory.",
    ]


def to_markdown(table: Table, spent: Sequence[Spent], headings: Mapping[str, str]) -> str:
    """The section of the main table's page. headings: as for the cells."""
    return document(f"\n{HEADING}", *paragraphs(table, spent, headings))


def paragraphs(table: Table, spent: Sequence[Spent], headings: Mapping[str, str]) -> list[str]:
    """Tables and notes in Markdown. headings: as for the cells."""
    if not recorded(spent):
        return [NOT_RECORDED]
    return [
        markdown(image_cells(spent, headings)),
        "After the images, soft labels + one student:",
        markdown(student_cells(table, spent)),
        bullets(notes(spent, headings)),
    ]


def recorded(spent: Sequence[Spent]) -> bool:
    """Whether any job left what it took."""
    return any(part.devices for part in spent)


def _number(spent: Spent | None) -> str:
    if spent is None:
        return ""
    if spent.seconds is None:
        return "–"
    return f"{spent.seconds:.1f}" if spent.seconds < 10 else f"{spent.seconds:,.0f}"
