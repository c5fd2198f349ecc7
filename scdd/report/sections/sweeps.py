"""sweep_*.{csv,png,svg,pdf}: accuracy over the key that a method or a protocol was swept over."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from scdd.report.measured import Measured, student_files
from scdd.report.scores import Score, Table
from scdd.report.section import FIGURES, Entry, Params, Section, figure_files
from scdd.report.typeset import comma_separated, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Sweep = Mapping[str, Any]  # a row of the frozen parameters' `sweeps`


class Panel(NamedTuple):
    """The setting of one pair of axes."""

    student: str
    ipc: int


@dataclass(frozen=True)
class Point:
    """One variant in one setting.

    values: of the swept keys; other: the protocol of a method's variant, or the method (its title)
    of a protocol's.
    """

    panel: Panel
    values: tuple[Any, ...]
    other: str
    score: Score


def files(params: Params) -> list[str]:
    stems = [stem(sweep) for sweep in params.get("sweeps", ())]
    return [file for each in stems for file in (f"{each}.csv", *figure_files(each))]


def stem(sweep: Sweep) -> str:
    what = "" if sweep["kind"] == "method" else "protocol_"
    return f"sweep_{what}{sweep['name']}"


def make(measured: Measured) -> dict[str, bytes]:
    contents: dict[str, bytes] = {}
    for sweep in measured.params["sweeps"]:
        variants = points(sweep, measured.table)
        contents[f"{stem(sweep)}.csv"] = to_csv(sweep, variants).encode()
        contents |= draw(sweep, variants, measured.params["figures"]["dpi"])
    return contents


def points(sweep: Sweep, table: Table) -> list[Point]:
    """What was measured, in the variants' order."""
    variants, measured = sweep["variants"], []
    for (row, column), score in table.scores.items():
        name, other = column.method, row.protocol
        if sweep["kind"] == "protocol":
            name, other = row.protocol, table.header(column)
        if name in variants and row.ipc is not None:
            panel = Panel(row.student, row.ipc)
            measured.append((name, Point(panel, tuple(variants[name]), other, score)))
    order = list(variants)
    return [point for _, point in sorted(measured, key=lambda each: order.index(each[0]))]


def lines(sweep: Sweep, variants: Sequence[Point]) -> dict[str, list[Point]]:
    """The points by line: by the values of all keys but the first, and by protocol or method where
    there are several. The only line there is has no name."""
    several = len({point.other for point in variants}) > 1
    by_line: dict[str, list[Point]] = {}
    for point in variants:
        pairs = zip(sweep["keys"][1:], point.values[1:], strict=True)
        names = [*([point.other] if several else []), *(f"{k} {in_words(v)}" for k, v in pairs)]
        by_line.setdefault(", ".join(names), []).append(point)
    return by_line


def in_words(value: Any) -> str:
    """A value as a configuration has it."""
    return value if isinstance(value, str) else json.dumps(value)


def numbers(values: Sequence[Any]) -> list[float] | None:
    """The values as numbers; None where one is not."""
    try:
        as_floats = [float(value) for value in values]
    except (TypeError, ValueError):
        return None
    usable = not any(isinstance(value, bool) for value in values)
    return as_floats if usable and all(map(math.isfinite, as_floats)) else None


def is_log(values: Sequence[float]) -> bool:
    """Whether the values are spaced more evenly on a logarithmic axis."""
    ordered = sorted(set(values))
    if len(ordered) < 3 or ordered[0] <= 0:
        return False
    return _unevenness([*map(math.log, ordered)]) < 0.99 * _unevenness(ordered)


def _unevenness(ordered: Sequence[float]) -> float:
    """The largest distance of neighbours by the smallest."""
    gaps = [high - low for low, high in itertools.pairwise(ordered)]
    return max(gaps) / min(gaps)


def to_csv(sweep: Sweep, variants: Sequence[Point]) -> str:
    other = "protocol" if sweep["kind"] == "method" else "method"
    header = [*sweep["keys"], other, "student", "ipc", "mean", "std"]
    return comma_separated(
        header,
        [
            [
                *map(in_words, point.values),
                point.other,
                point.panel.student,
                str(point.panel.ipc),
                number(point.score.mean),
                number(point.score.std),
            ]
            for point in variants
        ],
    )


def draw(sweep: Sweep, variants: Sequence[Point], dpi: int) -> dict[str, bytes]:
    """Accuracy (mean and one standard deviation, n - 1) over the first key, one panel a student and
    IPC. Values that are not numbers stand side by side in their order, without a line."""
    from scdd.report import plots

    words = [*dict.fromkeys(in_words(values[0]) for values in sweep["variants"].values())]
    places = numbers(words)
    by_line = lines(sweep, variants)
    looks = plots.colours(list(by_line))
    joined: plots.Look = {"marker": "o", "markersize": 3.5, "capsize": 2, "elinewidth": 1}
    if places is None:
        joined |= {"linestyle": ""}
    at = dict(zip(words, places or range(len(words)), strict=True))
    panels = sorted({point.panel for point in variants}, key=lambda panel: panel[::-1])
    several = len({panel.student for panel in panels}) > 1
    with plots.style():
        legend = {name: look for name, look in looks.items() if name}
        figure, axes_of_panels = plots.panels(len(panels), legend)
        for axes, panel in zip(axes_of_panels, panels, strict=True):
            axes.set(title=f"IPC {panel.ipc}" + (f", {panel.student}" if several else ""))
            axes.set(xlabel=f"{sweep['title']}: {sweep['keys'][0]}", ylabel="Top-1 accuracy (%)")
            for name, of_line in by_line.items():
                drawn = [point for point in of_line if point.panel == panel]
                drawn.sort(key=lambda point: at[in_words(point.values[0])])
                axes.errorbar(
                    [at[in_words(point.values[0])] for point in drawn],
                    [point.score.mean for point in drawn],
                    [point.score.std or 0 for point in drawn],
                    **looks[name] | joined,
                )
            _mark(axes, at, is_log(places or []))
        return plots.files(figure, stem(sweep), dpi)


def _mark(axes: Axes, at: Mapping[str, float], log: bool) -> None:
    """A tick at each value, as the configuration has it."""
    if log:
        axes.set_xscale("log")
    axes.minorticks_off()
    axes.set_xticks(list(at.values()), labels=list(at))


ENTRY = Entry("sweeps", "Accuracy over what was swept", FIGURES)
SECTION = Section(files, student_files, make, ENTRY)
