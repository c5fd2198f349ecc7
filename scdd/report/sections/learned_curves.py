"""learned.{png,svg,pdf}: the loss of each method that learns its images, and what students'
learning rate it learned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from scdd.report.measured import Measured, read_history
from scdd.report.section import FIGURES, Entry, Params, Section, figure_files

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = {"loss": "loss", "student_lr": "students' lr"}


def files(params: Params) -> list[str]:
    return figure_files("learned") if params.get("learned") else []


def inputs(params: Params) -> list[str]:
    return [run["history"] for run in params["learned"]]


def make(measured: Measured) -> dict[str, bytes]:
    runs = measured.params["learned"]
    histories = {
        (run["title"], run["ipc"]): read_history(
            measured.results / run["history"], ["iteration", *COLUMNS]
        )
        for run in runs
    }
    return draw(histories, measured.params["figures"]["dpi"])


def draw(histories: Mapping[tuple[str, int], pd.DataFrame], dpi: int) -> dict[str, bytes]:
    """A panel for each method's loss, and for its students' learning rate where it learns one; a
    line for each IPC.

    histories: by title and IPC; frames have iteration, loss and student_lr, which may be empty.
    """
    from scdd.report import plots

    wanted = dict.fromkeys(
        (title, column)
        for column in COLUMNS
        for (title, _), frame in histories.items()
        if frame[column].notna().any()
    )
    looks = plots.colours([f"IPC {ipc}" for _, ipc in sorted(histories, key=lambda run: run[1])])
    with plots.style():
        figure, panels = plots.panels(len(wanted), looks)
        for (title, column), axes in zip(wanted, panels, strict=True):
            axes.set(title=f"{title}: {COLUMNS[column]}", xlabel="Iteration")
            for (name, ipc), frame in histories.items():
                if name == title:
                    look = looks[f"IPC {ipc}"]
                    plots.line(axes, frame["iteration"], frame[column], look)
        return plots.files(figure, "learned", dpi)


SECTION = Section(files, inputs, make, Entry("learned", "Losses of learned images", FIGURES))
