"""What the columns of a table cost: the seconds of every stage, as its jobs left them."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scdd.jobs.costs import Cost, load_cost
from scdd.report.scores import Column, Row, Table, labels
from scdd.report.typeset import bullets, comma_separated, markdown

IMAGES = {  # the stages that make a column's images, as they are called where people read
    "squeeze": "Squeeze",
    "probe": "Probe",
    "informativeness": "Informativeness",
    "forgetting": "Forgetting run",
    "coreset": "Order",
    "select": "Choose",
    "recover": "Recover",
}
LABELS, STUDENT = "relabel", "validate"


@dataclass(frozen=True)
class Spent:
    """What one stage took for one setting and column. costs: of its jobs; None: not known."""

    row: Row
    column: Column
    stage: str
    costs: list[Cost | None]

    @property
    def seconds(self) -> float | None:
        """Of all jobs; of the mean student where the stage trains students. None where one is not
        known: the others' sum would pass for all."""
        known = [cost.seconds for cost in self.costs if cost is not None]
        if len(known) < len(self.costs):
            return None
        return statistics.fmean(known) if self.stage == STUDENT else sum(known)

    @property
    def devices(self) -> list[str]:
        return list(dict.fromkeys(_device(cost) for cost in self.costs if cost is not None))


def _device(cost: Cost) -> str:
    if cost.device != "cpu":
        return cost.device
    return f"the CPU with {cost.threads} thread{'s' * (cost.threads != 1)}"


def read(results: Path, listed: Sequence[Mapping[str, Any]]) -> list[Spent]:
    """Of the tables' parameter `costs`. Raises ScddError, naming the file, for a damaged one."""
    files = {file for one in listed for named in one["stages"].values() for file in named}
    costs = {file: load_cost(results / file) for file in sorted(files)}
    return [
        Spent(
            Row(one["protocol"], one["student"], one["ipc"]),
            Column(one["method"], one["title"], one["teacher"]),
            stage,
            [costs[file] for file in named],
        )
        for one in listed
        for stage, named in one["stages"].items()
    ]


Cells = tuple[list[str], list[list[str]], int]  # header, lines, number of columns of words


def image_cells(spent: Sequence[Spent]) -> Cells:
    """What each column's images took by IPC, its teacher's training among it. A dash: not known;
    empty: no such stage."""
    found = {(one.column, one.row.ipc, one.stage): one for one in spent if one.row.ipc is not None}
    stages = [stage for stage in IMAGES if any(key[2] == stage for key in found)]
    settings = dict.fromkeys((column, ipc) for column, ipc, _ in found)
    titles = [column.title for column in dict.fromkeys(column for column, _ in settings)]
    lines = [
        [
            title if titles.count(title) == 1 else f"{title}, {labels(teacher)}",
            str(ipc),
            *(_number(found.get((Column(method, title, teacher), ipc, stage))) for stage in stages),
        ]
        for (method, title, teacher), ipc in settings
    ]
    return ["Images", "IPC", *(IMAGES[stage] for stage in stages)], lines, 1


def student_cells(table: Table, spent: Sequence[Spent]) -> Cells:
    """In the main table's layout, what came after the images: labels, where they are soft, and one
    student, as `labels + student`."""
    after: dict[tuple[Row, str], list[str]] = {}
    for stage in (LABELS, STUDENT):
        for one in spent:
            if one.stage == stage:
                of = after.setdefault((one.row, table.header(one.column)), [])
                of.append(_number(one))
    rows = sorted({row for row, _ in after}, key=lambda row: _place(table, row))
    heads = list(dict.fromkeys(head for row in rows for line, head in after if line == row))
    heads = [head for head in table.headers() if head in heads] + [
        head for head in heads if head not in table.headers()
    ]
    leading = {
        "Protocol": [row.protocol for row in rows],
        "Student": [row.student for row in rows],
    }
    leading = {name: texts for name, texts in leading.items() if len(set(texts)) > 1}
    leading["IPC"] = ["whole" if row.ipc is None else str(row.ipc) for row in rows]
    values = [[" + ".join(after.get((row, head), [])) for row in rows] for head in heads]
    lines = [list(texts) for texts in zip(*leading.values(), *values, strict=True)]
    return [*leading, *heads], lines, len(leading) - 1


def _place(table: Table, row: Row) -> tuple[int, str]:
    """Rows of the whole training set, which the main table may not have, come last."""
    return (table.rows.index(row), "") if row in table.rows else (len(table.rows), row.student)


def notes(spent: Sequence[Spent]) -> list[str]:
    """What a reader must know of the seconds, as plain sentences."""
    by_device: dict[str, list[str]] = {}
    for stage in (*IMAGES, LABELS, STUDENT):
        for one in spent:
            for device in one.devices if one.stage == stage else ():
                by_device.setdefault(device, []).append(stage)
    if len(by_device) == 1:
        said = [f"On {next(iter(by_device))}."]
    else:
        said = [
            f"On {device}: {', '.join(dict.fromkeys(stages))}."
            for device, stages in by_device.items()
        ]
    return [
        *said,
        "Wall-clock seconds of all jobs that a number came of, added up; of the students, the "
        "mean of one. The squeeze and the probe of an image set are those of all networks that "
        "chose, recovered or labelled it. A job that several lines or columns used counts in "
        "each. What an interrupted attempt did after its last save, and the start of the "
        "programs, is not in them.",
        "A dash stands for not recorded; nothing, for no such stage (an imported backbone was "
        "trained elsewhere). costs.csv has all of it, with peak memory.",
    ]


def to_markdown(table: Table, spent: Sequence[Spent]) -> str:
    """The section of the main table's page."""
    parts = ["\n## Seconds by stage"]
    if any(one.devices for one in spent):
        parts += [
            markdown(*image_cells(spent)),
            "After the images, soft labels + one student:",
            markdown(*student_cells(table, spent)),
            bullets(notes(spent)),
        ]
    else:
        parts.append("Not recorded: everything was made before this was.")
    return "\n\n".join(parts) + "\n"


def to_csv(spent: Sequence[Spent]) -> str:
    """One line a setting, column and stage. Empty seconds: those of a job are not known; jobs and
    peaks are of the known ones. Peak memory in MiB, the greatest of the jobs."""
    header = ["method", "title", "labels", "ipc", "protocol", "student", "stage", "jobs", "known"]
    header += ["seconds", "seconds a student", "device", "peak MiB", "peak GPU MiB"]
    lines = []
    for one in spent:
        known = [cost for cost in one.costs if cost is not None]
        complete = len(known) == len(one.costs)
        total = sum(cost.seconds for cost in known)
        each = total / len(known) if complete and one.stage == STUDENT else None
        lines.append(
            [
                one.column.method,
                one.column.title,
                labels(one.column.teacher),
                "" if one.row.ipc is None else str(one.row.ipc),
                one.row.protocol,
                one.row.student,
                one.stage,
                str(len(one.costs)),
                str(len(known)),
                f"{total:.3f}" if complete else "",
                "" if each is None else f"{each:.3f}",
                "; ".join(one.devices),
                f"{max(cost.peak_mib for cost in known):.0f}" if known else "",
                f"{max(cost.peak_gpu_mib for cost in known):.0f}" if known else "",
            ]
        )
    return comma_separated(header, lines)


def _number(spent: Spent | None) -> str:
    if spent is None:
        return ""
    if spent.seconds is None:
        return "–"
    return f"{spent.seconds:.1f}" if spent.seconds < 10 else f"{spent.seconds:,.0f}"
