"""main.{csv,md,tex}: the paper's main table.

A row for each IPC (and protocol and student), a column for each method, the whole training set
last. Published values are in a table of their own, with their source.
"""

from collections.abc import Callable, Sequence

from scdd.report import seconds
from scdd.report.measured import Measured, student_files
from scdd.report.notes import WITH_LABELS, ratio_notes
from scdd.report.published import Published, published
from scdd.report.scores import Row, Table, shown
from scdd.report.section import Params, Section
from scdd.report.typeset import (
    Cells,
    bullets,
    comma_separated,
    document,
    integer,
    latex,
    latex_file,
    markdown,
    number,
)


def files(params: Params) -> list[str]:
    return ["main.csv", "main.md", "main.tex"] if params["cells"] else []


def pages(params: Params) -> list[str]:
    """In an ablation most places of the main table are empty: the ablation's own has all."""
    return [] if "ablation" in params else ["main.md"]


def make(measured: Measured) -> dict[str, bytes]:
    table, params = measured.table, measured.params
    ipcs = {row.ipc for row in table.rows}
    columns = (
        [] if table.holdout else published(table.dataset, table.classes, table.resolution, ipcs)
    )
    notes = ratio_notes(table) + measured.notes
    costs = seconds.to_markdown(table, measured.spent, params["headings"])
    return {
        "main.csv": to_csv(table, columns).encode(),
        "main.md": (to_markdown(table, columns, notes) + costs).encode(),
        "main.tex": to_latex(table, columns, notes, params["experiment"]).encode(),
    }


def main_cells(table: Table) -> Cells:
    """The main table for reading. Protocol and student are columns where there are several."""
    leading: dict[str, Callable[[Row], str]] = {"Dataset": lambda row: table.dataset}
    if len({row.protocol for row in table.rows}) > 1:
        leading["Protocol"] = lambda row: row.protocol
    if len({row.student for row in table.rows}) > 1:
        leading["Student"] = lambda row: row.student
    leading["IPC"] = lambda row: "whole" if row.ipc is None else str(row.ipc)
    leading["Ratio %"] = lambda row: f"{table.ratio(row.ipc):.3g}"
    if any(table.label_bytes.values()):
        leading[WITH_LABELS] = lambda row: with_labels(table, row)
    lines = [
        [
            *(text(row) for text in leading.values()),
            *(shown(table.scores.get((row, column))) for column in table.columns),
            shown(table.whole.get(row)),
        ]
        for row in table.rows
    ]
    words = [name for name in leading if name in ("Dataset", "Protocol", "Student")]
    return Cells([*leading, *table.headers(), "Whole data"], lines, len(words))


def with_labels(table: Table, row: Row) -> str:
    """The row's ratio with its soft labels; from the smallest to the largest form of several."""
    sizes = table.label_bytes[row] or [0]
    ratios = [f"{table.ratio(row.ipc, size):.3g}" for size in (sizes[0], sizes[-1])]
    return " to ".join(dict.fromkeys(ratios))


def published_cells(table: Table, columns: Sequence[Published]) -> Cells:
    """Published values for reading: turned, as there are more methods than IPCs."""
    ipcs = [*sorted({row.ipc for row in table.rows if row.ipc is not None}), None]
    header = ["Method", "Student", "Reported by"]
    header += ["Whole data" if ipc is None else f"IPC {ipc}" for ipc in ipcs]
    lines = [
        [
            method.title,
            method.student,
            method.source,
            *(shown(method.values.get(ipc)) for ipc in ipcs),
        ]
        for method in columns
    ]
    return Cells(header, lines, 3)


def best(table: Table) -> set[tuple[int, int]]:
    """Places (line, method) of each row's best, as rounded; the whole data is not a method."""
    places = set()
    for line, row in enumerate(table.rows):
        scores = [table.scores.get((row, column)) for column in table.columns]
        means = [None if score is None else round(score.mean, 1) for score in scores]
        measured = [mean for mean in means if mean is not None]
        if len(measured) > 1:
            top = max(measured)
            places |= {(line, place) for place, mean in enumerate(means) if mean == top}
    return places


def to_markdown(table: Table, columns: Sequence[Published], notes: Sequence[str]) -> str:
    parts = [
        f"# {table.dataset}: top-1 accuracy (%){table.where}",
        markdown(main_cells(table)),
        bullets(notes),
    ]
    if columns:
        parts += [
            "## Published values",
            "Not measured here: copied from the papers named, each with its own protocol.",
            markdown(published_cells(table, columns)),
        ]
    return document(*parts)


def to_latex(table: Table, columns: Sequence[Published], notes: Sequence[str], name: str) -> str:
    cells = main_cells(table)
    caption = f"Top-1 accuracy (%) on {table.dataset}{table.where}. Bold: the best method of a row."
    first = len(cells.header) - 1 - len(table.columns)
    bold = {(line, first + place) for line, place in best(table)}
    tables = [latex(cells, caption=caption, name=name, notes=notes, bold=bold)]
    if columns:
        caption = (
            f"Published top-1 accuracy (%) on {table.dataset}. Not measured here: copied from the "
            "papers named, each with its own protocol."
        )
        cells = published_cells(table, columns)
        tables.append(latex(cells, caption=caption, name=f"{name}-published"))
    return latex_file(*tables)


def to_csv(table: Table, columns: Sequence[Published]) -> str:
    """The main table as numbers, mean and std in columns of their own; empty: not measured."""
    names = [*table.headers(), "Whole data"]
    names += [
        f"published: {method.title} ({method.student}; {method.source})" for method in columns
    ]
    header = ["dataset", "protocol", "student", "ipc", "ratio", "ratio with labels"]
    header += [f"{name} {part}" for name in names for part in ("mean", "std")]
    lines = []
    for row in table.rows:
        scores = [table.scores.get((row, column)) for column in table.columns]
        scores.append(table.whole.get(row))
        # the published whole data has no IPC and is in each row, as the measured one is
        scores += [method.values.get(row.ipc, method.values.get(None)) for method in columns]
        line = [table.dataset, row.protocol, row.student, integer(row.ipc)]
        line.append(f"{table.ratio(row.ipc):.4g}")
        line.append(f"{table.ratio(row.ipc, max(table.label_bytes[row], default=0)):.4g}")
        for score in scores:
            line += ["", ""] if score is None else [number(score.mean), number(score.std)]
        lines.append(line)
    return comma_separated(header, lines)


SECTION = Section(files, student_files, make, caption="main.rst", pages=pages)
