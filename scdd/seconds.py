"""What the columns of a table cost: the seconds of every stage, as its jobs left them."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scdd.artifacts.costs import Cost, load_cost
from scdd.scores import Column, Row, Table, labels
from scdd.typeset import bullets, comma_separated, markdown

STAGES = {  # in the order of the data, as columns of the table for reading
    "squeeze": "Squeeze",
    "probe": "Probe",
    "inform": "Inform",
    "baselines": "Choose",
    "recover": "Recover",
    "relabel": "Relabel",
    "validate": "A student",
}
ASIDE = ("data", "imageset")  # moments, in the file of all numbers alone


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
        return statistics.fmean(known) if self.stage == "validate" else sum(known)

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


def cells(table: Table, spent: Sequence[Spent]) -> tuple[list[str], list[list[str]], int]:
    """Header, lines and number of columns of words: a line for each number of the main table. A
    dash: not known; empty: the column had no such stage."""
    found = {(one.row, one.column, one.stage): one for one in spent}
    stages = [stage for stage in dict.fromkeys(_ordered(spent)) if stage not in ASIDE]
    settings = [(row, column) for row, column, _ in found]
    order = {row: place for place, row in enumerate(table.rows)}
    settings.sort(key=lambda of: (order.get(of[0], len(order)), of[0].ipc is None))  # stable
    headers = dict(zip(table.columns, table.headers(), strict=True))
    leading = {
        "Protocol": [row.protocol for row, _ in settings],
        "Student": [row.student for row, _ in settings],
    }
    leading = {name: texts for name, texts in leading.items() if len(set(texts)) > 1}
    leading["Method"] = [headers.get(column, column.title) for _, column in settings]
    leading["IPC"] = ["whole" if row.ipc is None else str(row.ipc) for row, _ in settings]
    lines: dict[tuple[Row, Column], list[str]] = {}
    for number, of in enumerate(settings):
        values = (found.get((*of, stage)) for stage in stages)
        lines[of] = [
            *(texts[number] for texts in leading.values()),
            *("" if one is None else _number(one.seconds) for one in values),
        ]
    titles = [STAGES.get(stage, stage.capitalize()) for stage in stages]
    return [*leading, *titles], list(lines.values()), len(leading) - 1


def _ordered(spent: Iterable[Spent]) -> list[str]:
    """The stages that occur, those that this module does not know first: they make what the known
    ones take."""
    known = list(STAGES)
    return sorted(
        dict.fromkeys(one.stage for one in spent),
        key=lambda stage: known.index(stage) if stage in known else -1,
    )


def notes(spent: Sequence[Spent]) -> list[str]:
    """What a reader must know of the seconds, as plain sentences."""
    by_device: dict[str, list[str]] = {}
    for stage in _ordered(spent):
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
        "Wall-clock seconds of all jobs that a line's images, labels and students came of, added "
        "up, and of one student in the mean; a job that several lines used counts in each. What an "
        "interrupted attempt did after its last save, and the start of the programs, is not in "
        "them.",
        "A dash stands for not recorded; nothing, for no such stage (an imported backbone was "
        "trained elsewhere).",
    ]


def to_markdown(table: Table, spent: Sequence[Spent]) -> str:
    """The section of the main table's page."""
    parts = ["\n## Seconds by stage"]
    if any(one.devices for one in spent):
        parts += [markdown(*cells(table, spent)), bullets(notes(spent))]
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
        each = total / len(known) if complete and one.stage == "validate" else None
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
                f"{total:.2f}" if complete else "",
                "" if each is None else f"{each:.2f}",
                "; ".join(one.devices),
                f"{max(cost.peak_mib for cost in known):.0f}" if known else "",
                f"{max(cost.peak_gpu_mib for cost in known):.0f}" if known else "",
            ]
        )
    return comma_separated(header, lines)


def _number(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    return f"{seconds:.1f}" if seconds < 10 else f"{seconds:,.0f}"
