"""The look of all curves: style, colours, panels, legend and files, drawn by matplotlib.

Equal input gives equal bytes: no dates, a fixed hash salt, and the host's matplotlibrc is not read.
"""

import contextlib
import io
import itertools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import (
    FixedLocator,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    NullLocator,
    StrMethodFormatter,
)

from scdd.report.section import FORMATS

Look = dict[str, Any]  # matplotlib's arguments for a line
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "scdd",
    "pdf.fonttype": 42,  # TrueType, embedded: publishers refuse matplotlib's Type 3
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.3,
}
# Okabe and Ito's palette, told apart by colour-blind readers; in grey by the dashes, and lines with
# equal dashes by their brightness.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ("-", "--", ":", "-.")
SHAPES = "os^Dv"
REFERENCE: Look = {"color": "0.35", "linestyle": (0, (4, 2)), "linewidth": 1.0}
BAND: Look = {"alpha": 0.2, "linewidth": 0}
NEAR, LEAST_ERROR = 10.0, 0.1  # percent of error
BELOW = 1.6  # times the largest error at the end
ACCURACIES = (0, 50, 70, 80, 90, 95, 97, 98, 99, 99.5, 99.8, 99.9)  # ticks
COLUMNS = 4  # panels side by side
PANEL = (3.3, 2.1)  # inches, greatest width and height of one
WIDE = (4.6, 3.0)  # of one with words or many lines in it
PAGE = 9.2  # inches, width of a row of panels


@contextlib.contextmanager
def style() -> Iterator[None]:
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def colours(titles: Sequence[str]) -> dict[str, Look]:
    """How the line of each title is drawn: in the order of their first appearance."""
    colours, dashes = len(PALETTE), len(DASHES)
    every = math.lcm(colours, dashes)  # after so many the same pairs would come again
    return {
        title: {
            "linestyle": DASHES[(number + number // every) % dashes],
            "color": PALETTE[number % colours],
        }
        for number, title in enumerate(dict.fromkeys(titles))
    }


def marked(looks: Mapping[str, Look]) -> dict[str, Look]:
    """The same lines with a shape at each point, by which they are told apart in grey."""
    shapes = itertools.cycle(SHAPES)
    return {
        title: look | {"marker": shape, "markersize": 4}
        for (title, look), shape in zip(looks.items(), shapes, strict=False)
    }


def panels(
    count: int,
    looks: dict[str, Look],
    panel: tuple[float, float] = PANEL,
) -> tuple[Figure, Iterator[Axes]]:
    """A figure with `count` pairs of axes and the legend of `looks` below them."""
    columns = min(max(count, 1), COLUMNS, int(COLUMNS * PANEL[0] / panel[0]))
    rows = max(-(-count // columns), 1)
    width = min(panel[0] * columns, PAGE)
    height = panel[1] * rows + 0.18 * -(-len(looks) // _side_by_side(looks, width))
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for spare in axes[count:]:
        spare.set_axis_off()
    for used in axes[:count]:
        used.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    if looks:
        legend(figure, looks)
    return figure, iter(axes[:count])


def _side_by_side(titles: Collection[str], width: float) -> int:
    """How many entries of a legend fit in a line of so many inches, roughly."""
    entry = 0.5 + 0.065 * max(map(len, titles), default=0)
    return min(max(int(width / entry), 1), max(len(titles), 1))


def legend(figure: Figure, looks: Mapping[str, Look]) -> None:
    handles = [Line2D([], [], label=title, **look) for title, look in looks.items()]
    entries = _side_by_side(looks, figure.get_figwidth())
    figure.legend(handles=handles, loc="outside lower center", ncols=entries)


def line(axes: Axes, x: Any, y: Any, look: Look) -> None:
    """x and y: arrays, columns or indexes of equal length."""
    few: Look = {"marker": "o", "markersize": 2.5} if len(x) <= 12 else {}  # one point has no line
    axes.plot(x, y, **few | look)


def accuracy_axis(axes: Axes, ends: Collection[float]) -> None:
    """An axis of percent for curves that end at these accuracies. Where they come near 100, equal
    steps are equal ratios of the error, so that 90 and 95 % stand as far apart as 95 and 97.5 %,
    and what lies far below the ends is cut off."""
    errors = [100 - value for value in ends]
    if min(errors, default=100.0) > NEAR:
        return
    least = max(min(errors), LEAST_ERROR)
    axes.set_yscale("function", functions=(_by_error, _by_error_inverse))
    axes.set_ylim(100 - min(BELOW * max(errors), 100), 100 - 0.7 * least)
    axes.yaxis.set_major_locator(FixedLocator(ACCURACIES))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_locator(NullLocator())


def _by_error(accuracy: Any) -> Any:
    return -np.log10(np.maximum(100 - np.asarray(accuracy, float), LEAST_ERROR / 10))


def _by_error_inverse(place: Any) -> Any:
    return 100 - 10 ** -np.asarray(place, float)


def log_axis(axes: Axes) -> None:
    """A log axis labelled in plain numbers, at 1, 2 and 5 where there are few decades."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 200 else (1,)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def files(figure: Figure, stem: str, dpi: int) -> dict[str, bytes]:
    """The content of <stem>.png, <stem>.svg and <stem>.pdf."""
    without: dict[str, dict[str, Any]] = {
        "png": {"Software": None},
        "svg": {"Date": None, "Creator": None},
        "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    }
    contents = {}
    for kind in FORMATS:
        file = io.BytesIO()
        figure.savefig(file, format=kind, dpi=dpi, metadata=without[kind])
        contents[f"{stem}.{kind}"] = file.getvalue()
    return contents
