"""accuracy.{png,svg,pdf}: students' accuracy by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scdd.report.measured import Measured, read_history, setting, student_files
from scdd.report.scores import Row
from scdd.report.section import FIGURES, Entry, Params, Section, figure_files

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Panel:
    """One setting of the figure.

    `lines` maps a title to one frame (epoch, top1) a seed; `whole` is the last epoch's mean
    accuracy of students trained on the whole training set, None where not measured.
    """

    title: str
    lines: dict[str, list[pd.DataFrame]]
    whole: float | None


def files(params: Params) -> list[str]:
    distilled = any(cell["ipc"] is not None for cell in params["cells"])
    return figure_files("accuracy") if distilled else []


def inputs(params: Params) -> list[str]:
    histories = [cell["history"] for cell in params["cells"] if cell["ipc"] is not None]
    return [*student_files(params), *histories]


def make(measured: Measured) -> dict[str, bytes]:
    table = measured.table
    lines: dict[Row, dict[str, list[pd.DataFrame]]] = {}
    for cell in measured.params["cells"]:
        row, column = setting(cell)
        if row.ipc is not None:
            frame = read_history(measured.results / cell["history"], ["epoch", "top1"])
            lines.setdefault(row, {}).setdefault(table.header(column), []).append(frame)
    several = len({row[:2] for row in lines}) > 1
    panels = []
    for row in sorted(lines, key=table.rows.index):
        title = f"IPC {row.ipc}" + (f"\n{row.protocol}, {row.student}" if several else "")
        whole = table.whole.get(row)
        panels.append(Panel(title, lines[row], None if whole is None else whole.mean))
    return draw(panels, table.headers(), measured.params["figures"]["dpi"])


def draw(panels: Sequence[Panel], titles: Sequence[str], dpi: int) -> dict[str, bytes]:
    """Students' top-1 by epoch: mean over seeds, with a band of one standard deviation (n - 1).

    `titles` are all lines' in the order of colours.
    """
    import pandas as pd

    from scdd.report import plots

    looks = colours = plots.colours(titles)
    if any(panel.whole is not None for panel in panels):
        looks = colours | {"Whole data, last epoch": plots.REFERENCE}
    with plots.style():
        figure, places = plots.panels(len(panels), looks, plots.WIDE)
        for axes, panel in zip(places, panels, strict=True):
            axes.set(title=panel.title, xlabel="Epoch", ylabel="Top-1 accuracy (%)")
            ends: list[float] = []
            for title, frames in panel.lines.items():
                seeds = pd.concat(frames).dropna().groupby("epoch")["top1"]
                mean, std = seeds.mean(), seeds.std()
                plots.line(axes, mean.index, mean, colours[title])
                colour = colours[title]["color"]
                axes.fill_between(mean.index, mean - std, mean + std, color=colour, **plots.BAND)
                ends.append(mean.iloc[-1])
            if panel.whole is not None:
                axes.axhline(panel.whole, **plots.REFERENCE)
                ends.append(panel.whole)
            plots.accuracy_axis(axes, ends)
        return plots.files(figure, "accuracy", dpi)


SECTION = Section(files, inputs, make, Entry("accuracy", "Accuracy by epoch", FIGURES))
