"""scaling.{csv,md,tex,png,svg,pdf}, scaling_notes.tex: accuracy over the size of the backbone that
images are recovered from, by squeeze, and the lead over the one squeezed with labels.

Means and deviations are over the squeeze's seeds; a seed's number is the mean over its students.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from scdd.report import html, latex
from scdd.report.measured import Measured, student_files
from scdd.report.scores import Score, Table, score, shown, signed, standard_error
from scdd.report.section import FIGURES, Contents, Entry, Params, Section, figure_files, figures
from scdd.report.typeset import Cells, bullets, comma_separated, document, markdown, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NOTES = (
    "Network: the backbone that images are recovered from; its parameters are counted without a "
    "classifier. Where methods have labels of their own backbones, a lead is one of images and "
    "labels together; where all have those of one teacher, of images alone.",
    "The claim (arXiv 2404.07976): larger backbones that were squeezed with labels are harder to "
    "recover images from, and self-supervised ones are not. Where it holds, the lead grows.",
)


class Setting(NamedTuple):
    """Where images are compared."""

    protocol: str
    student: str
    ipc: int


@dataclass(frozen=True)
class Point:
    """The students of one series' images from one network. score: over `seeds` seeds of the
    squeeze, of each the mean over its students, at most `students`."""

    setting: Setting
    series: str
    network: str
    size: int
    score: Score
    seeds: int
    students: int


class Lead(NamedTuple):
    """By how much the images of a series are better than those squeezed with labels, from equal
    networks, in points. error: its standard error; None where one side has a single seed."""

    difference: float
    error: float | None


@dataclass(frozen=True)
class Leads:
    """The leads of a series over `reference` in a setting, by network, smaller networks first."""

    setting: Setting
    series: str
    reference: str
    by_network: Mapping[str, Lead]

    @property
    def growth(self) -> Lead:
        """From the smallest to the largest network."""
        first, *_, last = self.by_network.values()
        error = None
        if first.error is not None and last.error is not None:
            error = math.hypot(first.error, last.error)
        return Lead(last.difference - first.difference, error)


def files(params: Params) -> list[str]:
    if "scaling" not in params:
        return []
    texts = ["scaling.csv", "scaling.md", "scaling.tex", "scaling_notes.tex"]
    return [*texts, *figure_files("scaling")]


def pages(params: Params) -> list[str]:
    return ["scaling.md"]


def make(measured: Measured) -> dict[str, bytes]:
    params, of_all, below = measured.params, by_size(measured), _notes(measured)
    leads, name = leads_of(of_all, params), f"{measured.params['experiment']}-scaling"
    return {
        "scaling.csv": to_csv(of_all, leads).encode(),
        "scaling.md": to_markdown(measured.table, of_all, leads, below).encode(),
        "scaling.tex": to_latex(measured.table, of_all, leads, name).encode(),
        "scaling_notes.tex": latex.notes(below, name).encode(),
        **draw(of_all, leads, params["figures"]["dpi"]),
    }


def by_size(measured: Measured) -> list[Point]:
    """What was measured: settings and series in order of appearance, smaller networks first."""
    rows = {row["method"]: row for row in measured.params["scaling"]}
    top1: dict[tuple[Setting, str, str], dict[int | None, list[float]]] = {}
    for student in measured.students:
        row = rows.get(student.column.method)
        if row is None or student.row.ipc is None:
            continue
        setting = Setting(student.row.protocol, student.row.student, student.row.ipc)
        by_seed = top1.setdefault((setting, row["series"], row["network"]), {})
        by_seed.setdefault(row["seed"], []).append(student.top1)
    sizes = measured.params["sizes"]
    found = [
        Point(
            *key,
            sizes[key[2]],
            score([*map(statistics.fmean, by_seed.values())]),
            len(by_seed),
            max(map(len, by_seed.values())),
        )
        for key, by_seed in top1.items()
    ]
    settings = [*dict.fromkeys(point.setting for point in found)]
    series = [*dict.fromkeys(row["series"] for row in rows.values())]
    return sorted(
        found,
        key=lambda point: (
            settings.index(point.setting),
            series.index(point.series),
            point.size,
        ),
    )


def leads_of(of_all: Sequence[Point], params: Params) -> list[Leads]:
    """Of each series but the first that is squeezed with labels, over that one; none where there is
    no such series, or no network in common."""
    labelled = [row["series"] for row in params["scaling"] if row["with_labels"]]
    if not labelled:
        return []
    reference, leads = labelled[0], []
    at = {(point.setting, point.series, point.network): point for point in of_all}
    for setting, series in dict.fromkeys((point.setting, point.series) for point in of_all):
        if series == reference:
            continue
        pairs = [
            (point, at[setting, reference, point.network])
            for point in of_all
            if (point.setting, point.series) == (setting, series)
            and (setting, reference, point.network) in at
        ]
        if pairs:
            by_network = {point.network: _lead(point, other) for point, other in pairs}
            leads.append(Leads(setting, series, reference, by_network))
    return leads


def _lead(point: Point, other: Point) -> Lead:
    error = standard_error(point.score, point.seeds, other.score, other.seeds)
    return Lead(point.score.mean - other.score.mean, error)


def sentences(leads: Sequence[Leads], sizes: Mapping[str, int]) -> list[str]:
    """What was found, for each setting and series with several networks."""
    named = names([lead.setting for lead in leads])
    return [
        _sentence(each, named[each.setting], sizes) for each in leads if len(each.by_network) > 1
    ]


def _sentence(leads: Leads, where: str, sizes: Mapping[str, int]) -> str:
    (small, first), *_, (large, last) = leads.by_network.items()
    told = f" ({where})" if where else ""
    change = leads.growth
    text = (
        f"{leads.series} over {leads.reference}{told}: from {small} to {large}, "
        f"{sizes[large] / sizes[small]:.3g} times its parameters, the lead goes from "
        f"{signed(*first)} to {signed(*last)} points, by {signed(*change)}. "
    )
    if change.error is None:
        return text + "One seed of the squeeze: whether that is more than chance is not known."
    if abs(change.difference) <= change.error:
        return text + "That is within its standard error: the lead neither grows nor shrinks."
    verb = "grows" if change.difference > 0 else "shrinks"
    return text + f"The lead {verb} with the backbone, by more than its standard error."


def notes(of_all: Sequence[Point], found: Sequence[str]) -> list[str]:
    counts = {point.seeds for point in of_all}
    students = max(point.students for point in of_all)
    each = "its one student" if students == 1 else f"the mean over its {students} students"
    over = str(max(counts)) if len(counts) == 1 else f"{min(counts)} to {max(counts)}"
    spread = (
        "One seed of each squeeze: no standard deviation."
        if counts == {1}
        else f"± of an accuracy is the standard deviation (sample, n − 1) over n = {over} seeds of "
        f"the squeeze, and not over students: a seed's accuracy is that of {each}. ± of a lead is "
        "its standard error: the root of the sum of both variances, each divided by its number of "
        "seeds; of a change of leads that of both together. A change below twice its error may be "
        "chance."
    )
    return [*found, spread, *NOTES]


def _notes(measured: Measured) -> list[str]:
    of_all, params = by_size(measured), measured.params
    found = sentences(leads_of(of_all, params), params["sizes"])
    return [*notes(of_all, found), *params["notes"]]


def names(settings: Sequence[Setting]) -> dict[Setting, str]:
    """Of each setting that by which it differs from others; empty for a single one."""
    words: tuple[Callable[[Setting], str], ...] = (
        lambda setting: f"IPC {setting.ipc}",
        lambda setting: setting.protocol,
        lambda setting: setting.student,
    )
    told = [word for word in words if len({word(setting) for setting in settings}) > 1]
    return {setting: ", ".join(word(setting) for word in told) for setting in settings}


def in_words(size: int) -> str:
    """A number of parameters: 20 k, 11.2 M."""
    return f"{size / 1e6:.3g} M" if size >= 1e6 else f"{size / 1e3:.3g} k"


def _by_place(leads: Sequence[Leads]) -> dict[tuple[Setting, str, str], Lead]:
    """By setting, series and network."""
    return {
        (each.setting, each.series, network): lead
        for each in leads
        for network, lead in each.by_network.items()
    }


def cells(of_all: Sequence[Point], leads: Sequence[Leads]) -> Cells:
    """The table for reading: a line for each series and network, and for each setting the accuracy
    and, where there are leads, the lead."""
    named, lead_at = names([point.setting for point in of_all]), _by_place(leads)
    at = {(point.setting, point.series, point.network): point.score for point in of_all}
    header = ["Images of", "Network", "Parameters"]
    for name in named.values():
        where = f", {name}" if name else ""
        header += [f"Top-1{where}", *([f"Lead{where}"] if leads else [])]
    lines = []
    for series, network, size in dict.fromkeys(
        (point.series, point.network, point.size) for point in of_all
    ):
        line = [series, network, in_words(size)]
        for setting in named:
            lead = lead_at.get((setting, series, network))
            line.append(shown(at.get((setting, series, network))))
            line += [signed(*lead) if lead else ""] if leads else []
        lines.append(line)
    return Cells(header, lines, 2)


def to_markdown(
    table: Table, of_all: Sequence[Point], leads: Sequence[Leads], below: Sequence[str]
) -> str:
    title = f"# {table.dataset}: accuracy over the size of the backbone{table.where}"
    return document(title, markdown(cells(of_all, leads)), bullets(below))


def to_latex(table: Table, of_all: Sequence[Point], leads: Sequence[Leads], name: str) -> str:
    lead = f", and the lead over {leads[0].reference}" if leads else ""
    caption = f"Top-1 accuracy (%) on {table.dataset}{table.where} by backbone{lead}."
    return latex.file(latex.table(cells(of_all, leads), caption=caption, name=name))


def to_csv(of_all: Sequence[Point], leads: Sequence[Leads]) -> str:
    lead_at = _by_place(leads)
    header = [*Setting._fields, "series", "network", "parameters", "seeds", "mean", "std"]
    lines = []
    for point in of_all:
        lead = lead_at.get((point.setting, point.series, point.network))
        lines.append(
            [
                *map(str, point.setting),
                point.series,
                point.network,
                str(point.size),
                str(point.seeds),
                number(point.score.mean),
                number(point.score.std),
                *(map(number, lead) if lead else ("", "")),
            ]
        )
    return comma_separated([*header, "lead", "standard error"], lines)


def draw(of_all: Sequence[Point], leads: Sequence[Leads], dpi: int) -> dict[str, bytes]:
    """For each setting the accuracy over the parameters, with one standard deviation over the
    squeeze's seeds, and beside it the leads with their standard errors."""
    from scdd.report import plots

    named = names([point.setting for point in of_all])
    looks = plots.marked(plots.colours([point.series for point in of_all]))
    bars: plots.Look = {"capsize": 2, "elinewidth": 1}
    with plots.style():
        figure, places = plots.panels(len(named) * (2 if leads else 1), looks)
        for setting, name in named.items():
            axes = next(places)
            mine = [point for point in of_all if point.setting == setting]
            for series in dict.fromkeys(point.series for point in mine):
                line = [point for point in mine if point.series == series]
                axes.errorbar(
                    [point.size for point in line],
                    [point.score.mean for point in line],
                    [point.score.std or 0 for point in line],
                    **looks[series] | bars,
                )
            axes.set(title=name, ylabel="Top-1 accuracy (%)")
            _mark(axes, mine)
            if not leads:
                continue
            axes = next(places)
            axes.axhline(0, **plots.REFERENCE)
            for each in leads:
                if each.setting == setting:
                    at = {point.network: point.size for point in mine}
                    axes.errorbar(
                        [at[network] for network in each.by_network],
                        [lead.difference for lead in each.by_network.values()],
                        [lead.error or 0 for lead in each.by_network.values()],
                        **looks[each.series] | bars,
                    )
            axes.set(title=name, ylabel=f"Lead over {leads[0].reference} (points)")
            _mark(axes, mine)
        return plots.files(figure, "scaling", dpi)


def _mark(axes: Axes, mine: Sequence[Point]) -> None:
    """A logarithmic axis with a tick at each network's size."""
    sizes = sorted({point.size for point in mine})
    axes.set_xscale("log")
    axes.minorticks_off()
    axes.set_xticks(sizes, labels=[*map(in_words, sizes)])
    axes.set(xlabel="Parameters of the backbone")


def body(measured: Measured, contents: Contents) -> list[str]:
    of_all = by_size(measured)
    leads = leads_of(of_all, measured.params)
    table = html.table(cells(of_all, leads))
    return [*figures(measured, contents), table, html.bullets(_notes(measured))]


ENTRY = Entry("scaling", "Accuracy over the size of the backbone", FIGURES, body)
SECTION = Section(files, student_files, make, ENTRY, pages)
