"""losses.{png,svg,pdf}: the losses of squeezes and recoveries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from scdd.report.measured import Measured, read_history, student_files
from scdd.report.section import FIGURES, Entry, Params, Section, figure_files

if TYPE_CHECKING:
    import pandas as pd

PARTS = {"loss": "Recovery: total", "ce": "Recovery: cross-entropy", "bn": "Recovery: BN"}


def files(params: Params) -> list[str]:
    return figure_files("losses") if params["probes"] or params["recoveries"] else []


def inputs(params: Params) -> list[str]:
    histories = [probe["history"] for probe in params["probes"]]
    losses = [path for recovery in params["recoveries"] for path in recovery["losses"]]
    return [*student_files(params), *histories, *losses]


def make(measured: Measured) -> dict[str, bytes]:
    import pandas as pd

    results, params = measured.results, measured.params
    squeezes = {
        probe["title"]: read_history(results / probe["history"], ["epoch", "loss"])
        for probe in params["probes"]
    }
    columns = ["iteration", "loss", "ce", "bn"]
    recoveries = {
        recovery["title"]: pd.concat(
            [read_history(results / path, columns) for path in recovery["losses"]]
        )
        for recovery in params["recoveries"]
    }
    return draw(squeezes, recoveries, measured.table.headers(), params["figures"]["dpi"])


def draw(
    squeezes: Mapping[str, pd.DataFrame],
    recoveries: Mapping[str, pd.DataFrame],
    titles: Sequence[str],
    dpi: int,
) -> dict[str, bytes]:
    """Loss of each squeeze by epoch; total, CE and BN loss of each recovery by iteration.

    Frames of squeezes have epoch and loss. Those of recoveries have iteration, loss, ce and bn,
    a line a unit (class block and slot) and iteration; drawn are mean and range over the units.
    `titles` come first in the order of colours, so that figures agree.
    """
    from scdd.report import plots

    # an untrained backbone has an empty history
    squeezes = {title: frame for title, frame in squeezes.items() if len(frame)}
    colours = plots.colours([*titles, *squeezes, *recoveries])
    looks = {title: colours[title] for title in [*squeezes, *recoveries]}
    with plots.style():
        count = bool(squeezes) + (len(PARTS) if recoveries else 0)
        figure, panels = plots.panels(count, looks)
        if squeezes:
            axes = next(panels)
            axes.set(title="Squeeze", xlabel="Epoch", ylabel="Loss")
            for title, frame in squeezes.items():
                plots.line(axes, frame["epoch"], frame["loss"], colours[title])
        for part, name in PARTS.items() if recoveries else ():
            axes = next(panels)
            axes.set(title=name, xlabel="Iteration")
            for title, frame in recoveries.items():
                units = frame.groupby("iteration")[part].agg(["mean", "min", "max"])
                plots.line(axes, units.index, units["mean"], colours[title])
                colour = colours[title]["color"]
                axes.fill_between(
                    units.index, units["min"], units["max"], color=colour, **plots.BAND
                )
            plots.log_axis(axes)
        return plots.files(figure, "losses", dpi)


SECTION = Section(
    files, inputs, make, Entry("losses", "Losses of squeezes and recoveries", FIGURES)
)
