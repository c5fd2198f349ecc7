"""snapshots.{csv,md,png,svg,pdf}: accuracy of learned images on the way; the last, and the best."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from scdd.report import html
from scdd.report.measured import Measured, read_metrics
from scdd.report.scores import Score, score, shown, tested_on
from scdd.report.section import TABLES, Contents, Entry, Params, Section, figure_files, figures
from scdd.report.typeset import Cells, bullets, comma_separated, document, markdown, number

LAST = "Last: of the finished images, as in the main table."
BEST = (
    "Best*: CHOSEN ON THE {}, among the image sets of several iterations. MTT and TESLA report "
    "such values; they are too high by what the choice gains."
)


class Run(NamedTuple):
    """Learned images of one IPC, and how they are evaluated."""

    title: str
    ipc: int
    protocol: str
    student: str


Curve = Mapping[int, Score]  # by iteration, in order; the last one is that of the finished images


def files(params: Params) -> list[str]:
    if not cells(params):
        return []
    return ["snapshots.csv", "snapshots.md", *figure_files("snapshots")]


def cells(params: Params) -> list[Mapping[str, Any]]:
    """The cells of snapshots, and those of the finished images that belong to them."""
    snapshots = params.get("snapshots", ())
    runs = {_run(cell) for cell in snapshots}
    return [*snapshots, *(cell for cell in params["cells"] if _run(cell) in runs)]


def inputs(params: Params) -> list[str]:
    return [cell["metrics"] for cell in cells(params)]


def pages(params: Params) -> list[str]:
    return ["snapshots.md"] if cells(params) else []


def make(measured: Measured) -> dict[str, bytes]:
    params, by_run = measured.params, curves(measured)
    return {
        "snapshots.csv": to_csv(by_run).encode(),
        "snapshots.md": to_markdown(by_run, params["holdout"]).encode(),
        **draw(by_run, params["figures"]["dpi"]),
    }


def curves(measured: Measured) -> dict[Run, Curve]:
    """The mean top-1 over seeds, by run and iteration."""
    ends = {(run["title"], run["ipc"]): run["iterations"] for run in measured.params["learned"]}
    values: dict[Run, dict[int, list[float]]] = {}
    for cell in cells(measured.params):
        run = _run(cell)
        at = cell.get("at", ends[run.title, run.ipc])
        top1 = read_metrics(measured.results / cell["metrics"], "top1")["top1"]
        values.setdefault(run, {}).setdefault(at, []).append(top1)
    return {
        run: {at: score(seeds) for at, seeds in sorted(by_iteration.items())}
        for run, by_iteration in values.items()
    }


def _run(cell: Mapping[str, Any]) -> Run:
    return Run(cell["title"], cell["ipc"], cell["protocol"], cell["student"])


def best(curve: Curve) -> int:
    """The first iteration with the highest mean."""
    return max(curve, key=lambda at: curve[at].mean)


def to_csv(by_run: Mapping[Run, Curve]) -> str:
    header = ["method", "ipc", "protocol", "student", "iteration", "mean", "std"]
    lines = [
        [run.title, str(run.ipc), run.protocol, run.student, str(at), *_numbers(value)]
        for run, curve in by_run.items()
        for at, value in curve.items()
    ]
    return comma_separated(header, lines)


def _numbers(value: Score) -> list[str]:
    return [number(value.mean), number(value.std)]


def last_and_best(by_run: Mapping[Run, Curve]) -> Cells:
    """The table for reading."""
    header = ["Method", "Protocol", "Student", "IPC", "Last", "Best*", "at iteration"]
    lines = []
    for run, curve in by_run.items():
        top = best(curve)
        values = [shown(curve[max(curve)]), shown(curve[top]), str(top)]
        lines.append([run.title, run.protocol, run.student, str(run.ipc), *values])
    return Cells(header, lines, 3)


def notes(holdout: float) -> list[str]:
    """holdout: the share of the training images that took the test images' place."""
    return [LAST, BEST.format(tested_on(holdout).upper())]


def to_markdown(by_run: Mapping[Run, Curve], holdout: float) -> str:
    title = "# Learned images: the last and the best evaluation, top-1 (%)"
    return document(title, markdown(last_and_best(by_run)), bullets(notes(holdout)))


def draw(by_run: Mapping[Run, Curve], dpi: int) -> dict[str, bytes]:
    """A panel for each method, protocol and student; a line for each IPC."""
    from scdd.report import plots

    panels_of: dict[tuple[str, str, str], list[Run]] = {}
    for run in by_run:
        panels_of.setdefault((run.title, run.protocol, run.student), []).append(run)
    ipcs = sorted({run.ipc for run in by_run})
    looks = plots.colours([f"IPC {ipc}" for ipc in ipcs])
    with plots.style():
        figure, panels = plots.panels(len(panels_of), looks)
        for (title, protocol, student), runs in panels_of.items():
            axes = next(panels)
            axes.set(
                title=f"{title}, {protocol}, {student}", xlabel="Iteration", ylabel="Top-1 (%)"
            )
            for run in runs:
                curve, look = by_run[run], looks[f"IPC {run.ipc}"]
                plots.line(axes, list(curve), [value.mean for value in curve.values()], look)
        return plots.files(figure, "snapshots", dpi)


def body(measured: Measured, contents: Contents) -> list[str]:
    lines = html.table(last_and_best(curves(measured)))
    return [lines, html.bullets(notes(measured.params["holdout"])), *figures(measured, contents)]


ENTRY = Entry("snapshots", "Learned images on the way", TABLES, body)
SECTION = Section(files, inputs, make, ENTRY, pages)
