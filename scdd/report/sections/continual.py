"""continual.{csv,md,tex,png,svg,pdf}, continual_notes.tex: accuracy over the classes seen so far,
after each step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from scdd.report import html, latex
from scdd.report.measured import Measured, read_metrics, student_files
from scdd.report.scores import Score, Table, score, shown
from scdd.report.section import TABLES, Contents, Entry, Params, Section, figure_files, figures
from scdd.report.typeset import Cells, bullets, comma_separated, document, markdown, number

NOTES = (
    "In each step classes come, and their distilled images join the memory. Then a student is "
    "trained anew on what is in memory. It knows the classes seen so far, and is tested on the "
    "validation images of these.",
    "The class orders are the same for all methods. Steps that end with as many classes share "
    "their students.",
    "Soft labels are a teacher's logits for the classes seen so far, and images are mixed with "
    "others in memory alone. But teachers were trained on all classes from the start, and so were "
    "images recovered from them.",
)


class Setting(NamedTuple):
    """Where methods are compared. steps: in how many the classes come."""

    protocol: str
    student: str
    ipc: int
    steps: int


Curve = Mapping[int, Score]  # the top-1 over class orders by how many classes are seen, ascending
Curves = Mapping[Setting, Mapping[str, Curve]]  # by setting and method's title


def files(params: Params) -> list[str]:
    if "continual" not in params:
        return []
    tables = [f"continual.{kind}" for kind in ("csv", "md", "tex")] + ["continual_notes.tex"]
    return [*tables, *figure_files("continual")]


def inputs(params: Params) -> list[str]:
    return [*student_files(params), *(cell["metrics"] for cell in params["continual"])]


def pages(params: Params) -> list[str]:
    return ["continual.md"] if files(params) else []


def make(measured: Measured) -> dict[str, bytes]:
    params, by_setting = measured.params, curves(measured)
    below, name = notes(params), params["experiment"]
    return {
        "continual.csv": to_csv(by_setting).encode(),
        "continual.md": to_markdown(measured.table, by_setting, below, name).encode(),
        "continual.tex": to_latex(measured.table, by_setting, f"{name}-continual").encode(),
        "continual_notes.tex": latex.notes(below, f"{name}-continual").encode(),
        **draw(by_setting, params["figures"]["dpi"]),
    }


def curves(measured: Measured) -> Curves:
    """Settings in order of appearance, those of fewer images and steps first; methods as listed."""
    top1: dict[Setting, dict[str, dict[int, list[float]]]] = {}
    for cell in measured.params["continual"]:
        setting = Setting(cell["protocol"], cell["student"], cell["ipc"], cell["steps"])
        of_method = top1.setdefault(setting, {}).setdefault(cell["title"], {})
        value = read_metrics(measured.results / cell["metrics"], "top1")["top1"]
        of_method.setdefault(cell["seen"], []).append(value)
    first = [*dict.fromkeys(setting[:2] for setting in top1)]
    return {
        setting: {
            title: {seen: score(values) for seen, values in sorted(by_seen.items())}
            for title, by_seen in top1[setting].items()
        }
        for setting in sorted(top1, key=lambda each: (first.index(each[:2]), *each[2:]))
    }


def notes(params: Params) -> list[str]:
    orders = len({cell["order"] for cell in params["continual"]})
    spread = (
        "One class order: no standard deviation."
        if orders == 1
        else f"Mean ± standard deviation (sample, n − 1) over {orders} class orders. Each has one "
        "student after each step, whose seed is the order's number."
    )
    alone = any(cell["seen"] == 1 for cell in params["continual"])
    return [spread, *NOTES, *(["A student that knows one class is always right."] if alone else [])]


def names(settings: Sequence[Setting]) -> list[str]:
    """Of each setting its steps and IPC; protocol and student where there are several."""
    several = [len({setting[place] for setting in settings}) > 1 for place in (0, 1)]
    return [
        ", ".join(
            [
                f"{setting.steps} steps, IPC {setting.ipc}",
                *(part for part, told in zip(setting[:2], several, strict=True) if told),
            ]
        )
        for setting in settings
    ]


def cells(by_method: Mapping[str, Curve]) -> Cells:
    """The table of a setting, for reading."""
    seen = [*next(iter(by_method.values()))]
    header = [f"{count} class{'' if count == 1 else 'es'}" for count in seen]
    lines = [[title, *map(shown, curve.values())] for title, curve in by_method.items()]
    return Cells(["Method", *header], lines, 1)


def to_markdown(table: Table, by_setting: Curves, below: Sequence[str], experiment: str) -> str:
    parts = []
    for name, by_method in zip(names([*by_setting]), by_setting.values(), strict=True):
        parts += [f"## {name}", markdown(cells(by_method))]
    title = f"# {experiment}: continual learning on {table.dataset}{table.where}"
    told = "Top-1 (%) over the classes seen so far, after each step."
    return document(title, told, *parts, bullets(below))


def to_latex(table: Table, by_setting: Curves, label: str) -> str:
    """A table for each setting. label: of the first."""
    tables = [
        latex.table(
            cells(by_method),
            caption="Continual learning: top-1 accuracy (%) over the classes seen so far on "
            f"{table.dataset}{table.where}, {name}.",
            name=f"{label}-{number}" if number > 1 else label,
        )
        for number, (name, by_method) in enumerate(
            zip(names([*by_setting]), by_setting.values(), strict=True), start=1
        )
    ]
    return latex.file(*tables)


def to_csv(by_setting: Curves) -> str:
    header = ["protocol", "student", "ipc", "steps", "method", "classes", "mean", "std"]
    lines = [
        [*map(str, setting), title, str(seen), number(value.mean), number(value.std)]
        for setting, by_method in by_setting.items()
        for title, curve in by_method.items()
        for seen, value in curve.items()
    ]
    return comma_separated(header, lines)


def draw(by_setting: Curves, dpi: int) -> dict[str, bytes]:
    """A panel for each setting; for each method the mean over class orders, with a band of one
    standard deviation (n - 1)."""
    from scdd.report import plots

    titles = [title for by_method in by_setting.values() for title in by_method]
    looks = plots.marked(plots.colours(titles))
    with plots.style():
        figure, places = plots.panels(len(by_setting), looks, plots.WIDE)
        named = zip(places, names([*by_setting]), by_setting.values(), strict=True)
        for axes, name, by_method in named:
            axes.set(title=name, xlabel="Classes seen", ylabel="Top-1 accuracy (%)")
            for title, curve in by_method.items():
                plots.line(axes, [*curve], [value.mean for value in curve.values()], looks[title])
                low = [value.mean - (value.std or 0) for value in curve.values()]
                high = [value.mean + (value.std or 0) for value in curve.values()]
                colour = looks[title]["color"]
                axes.fill_between([*curve], low, high, color=colour, **plots.BAND)
        return plots.files(figure, "continual", dpi)


def body(measured: Measured, contents: Contents) -> list[str]:
    parts, by_setting = figures(measured, contents), curves(measured)
    for name, by_method in zip(names([*by_setting]), by_setting.values(), strict=True):
        parts += [html.heading(name), html.table(cells(by_method))]
    return [*parts, html.bullets(notes(measured.params))]


ENTRY = Entry("continual", "Continual learning", TABLES, body)
SECTION = Section(files, inputs, make, ENTRY, pages)
