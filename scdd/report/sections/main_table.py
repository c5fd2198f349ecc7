"""main.{csv,md,tex}, main_notes.tex: the paper's main table.

A row for each method, the controls and the whole training set last, and a column for each IPC. In
print and in the browser the columns of all protocols and students stand beside each other; on the
screen each has a table of its own. Published values are in another, with their source.
"""

from collections.abc import Collection, Sequence

from scdd.report import html, latex, seconds
from scdd.report.measured import Measured, student_files
from scdd.report.notes import WITH_LABELS, ratio_notes
from scdd.report.published import Published, published
from scdd.report.scores import Column, Row, Table, settings, shown
from scdd.report.section import TABLES, Contents, Entry, Params, Section
from scdd.report.typeset import (
    NOT_MEASURED,
    Cells,
    Layout,
    bullets,
    comma_separated,
    document,
    integer,
    markdown,
    number,
)

WHOLE = "Whole data"
COPIED = "Not measured here: copied from the papers named, each with its own protocol."


def files(params: Params) -> list[str]:
    return (
        [f"main.{kind}" for kind in ("csv", "md", "tex")] + ["main_notes.tex"]
        if params["cells"]
        else []
    )


def pages(params: Params) -> list[str]:
    """In an ablation most places of the main table are empty: the ablation's own has all."""
    return [] if "ablation" in params else ["main.md"]


def make(measured: Measured) -> dict[str, bytes]:
    table, params = measured.table, measured.params
    name, columns, controls = params["experiment"], _published(table), params["controls"]
    notes = _notes(measured)
    costs = seconds.to_markdown(table, measured.spent, params["headings"])
    return {
        "main.csv": to_csv(table, columns).encode(),
        "main.md": (to_markdown(table, columns, controls, notes, name) + costs).encode(),
        "main.tex": to_latex(table, columns, controls, name).encode(),
        "main_notes.tex": latex.notes(notes, name).encode(),
    }


def _published(table: Table) -> list[Published]:
    if table.holdout:
        return []
    ipcs = {row.ipc for row in table.rows}
    return published(table.dataset, table.classes, table.resolution, ipcs)


def _notes(measured: Measured) -> list[str]:
    return ratio_notes(measured.table) + sizes(measured.table) + measured.notes


def body(measured: Measured, contents: Contents) -> list[str]:
    table, controls = measured.table, measured.params["controls"]
    parts = [
        html.table(*cells(table, controls)),
        html.bullets(_notes(measured)),
    ]
    if columns := _published(table):
        parts += [
            html.heading("Published values"),
            html.paragraph(COPIED),
            html.table(published_cells(table, columns)),
        ]
    return parts


def cells(table: Table, controls: Collection[str]) -> tuple[Cells, Layout]:
    """The main table for reading: the controls and the whole training set last, below a rule. A
    method has no line where nothing of it was asked."""
    titles = dict(zip(table.columns, table.headers(), strict=True))
    lines = [
        [titles[column], *(shown(table.scores.get((row, column))) for row in table.rows)]
        for column in _ordered(table, controls)
    ]
    if table.whole:
        lines.append([WHOLE, *(shown(table.whole.get(row)) for row in table.rows)])
    heads = [
        "no IPC" if row.ipc is None else f"IPC {row.ipc} ({table.ratio(row.ipc):.3g} %)"
        for row in table.rows
    ]
    methods = len([column for column in table.columns if column.method not in controls])
    rules = (methods,) if 0 < methods < len(lines) else ()
    groups = settings(table.rows)
    layout = Layout(tuple(groups) if any(groups) else (), rules, best(table, controls))
    return Cells(["Method", *heads], lines, 1), layout


def by_setting(table: Table, controls: Collection[str]) -> dict[str, Cells]:
    """The main table in parts, one for each protocol and student, by what tells them apart."""
    together, _ = cells(table, controls)
    of_columns = settings(table.rows)
    parts = {}
    for name in dict.fromkeys(of_columns):
        places = [0, *(place for place, of in enumerate(of_columns, start=1) if of == name)]
        lines = [[line[place] for place in places] for line in together.lines]
        kept = [line for line in lines if {*line[1:]} != {NOT_MEASURED}]
        parts[name] = Cells([together.header[place] for place in places], kept, together.words)
    return parts


def _ordered(table: Table, controls: Collection[str]) -> list[Column]:
    """The columns, the controls last."""
    return sorted(table.columns, key=lambda column: column.method in controls)


def sizes(table: Table) -> list[str]:
    """The ratios with labels, which have no place in the table, as a sentence."""
    said = [
        ", ".join(filter(None, [setting, f"IPC {row.ipc} {with_labels(table, row)}"]))
        for row, setting in zip(table.rows, settings(table.rows), strict=True)
        if table.label_bytes[row]
    ]
    return [f"{WITH_LABELS}: {'; '.join(said)}."] if said else []


def with_labels(table: Table, row: Row) -> str:
    """The row's ratio with its soft labels; from the smallest to the largest form of several."""
    sizes = table.label_bytes[row] or [0]
    ratios = [f"{table.ratio(row.ipc, size):.3g}" for size in (sizes[0], sizes[-1])]
    return " to ".join(dict.fromkeys(ratios))


def published_cells(table: Table, columns: Sequence[Published]) -> Cells:
    """Published values for reading. An IPC of which nothing is published has no column."""
    asked = [*sorted({row.ipc for row in table.rows if row.ipc is not None}), None]
    ipcs = [ipc for ipc in asked if any(ipc in method.values for method in columns)]
    header = ["Method", "Student", "Reported by"]
    header += [WHOLE if ipc is None else f"IPC {ipc}" for ipc in ipcs]
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


def best(table: Table, controls: Collection[str]) -> frozenset[tuple[int, int]]:
    """Places (line, column) of each setting's best method in the table for reading, as rounded;
    where there is one method alone, none. Controls and the whole data are not methods."""
    places: set[tuple[int, int]] = set()
    methods = [column for column in table.columns if column.method not in controls]
    for place, row in enumerate(table.rows, start=1):
        means = {
            line: round(table.scores[row, column].mean, 1)
            for line, column in enumerate(methods)
            if (row, column) in table.scores
        }
        if len(means) > 1:
            places |= {(line, place) for line, mean in means.items() if mean == max(means.values())}
    return frozenset(places)


def to_markdown(
    table: Table,
    columns: Sequence[Published],
    controls: Collection[str],
    notes: Sequence[str],
    name: str,
) -> str:
    parts = [f"# {name}: top-1 accuracy (%) on {table.dataset}{table.where}"]
    for setting, measured in by_setting(table, controls).items():
        parts += [f"## {setting}"] * bool(setting) + [markdown(measured)]
    parts.append(bullets(notes))
    if columns:
        parts += [
            "## Published values",
            COPIED,
            markdown(published_cells(table, columns)),
        ]
    return document(*parts)


def to_latex(
    table: Table, columns: Sequence[Published], controls: Collection[str], name: str
) -> str:
    measured, layout = cells(table, controls)
    caption = (
        f"Top-1 accuracy (%) of the experiment {name} on {table.dataset}{table.where}, by images "
        "per class (in brackets: in % of the training images)."
    )
    if any(score.std is not None for score in table.scores.values()):
        caption += " Mean ± standard deviation over students' seeds."
    if layout.bold:
        caption += " Bold: the best method of a column."
    if any(column.method in controls for column in table.columns):
        caption += " Below the rule: controls, not methods."
    tables = [latex.table(measured, layout, caption=caption, name=name)]
    if columns:
        caption = f"Published top-1 accuracy (%) on {table.dataset}. {COPIED}"
        copied = published_cells(table, columns)
        tables.append(latex.table(copied, caption=caption, name=f"{name}-published"))
    return latex.file(*tables)


def to_csv(table: Table, columns: Sequence[Published]) -> str:
    """The main table as numbers, mean and std in columns of their own; empty: not measured."""
    names = [*table.headers(), WHOLE]
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
        line = [table.dataset + table.where, row.protocol, row.student, integer(row.ipc)]
        line.append(f"{table.ratio(row.ipc):.4g}")
        line.append(f"{table.ratio(row.ipc, max(table.label_bytes[row], default=0)):.4g}")
        for score in scores:
            line += ["", ""] if score is None else [number(score.mean), number(score.std)]
        lines.append(line)
    return comma_separated(header, lines)


ENTRY = Entry("main", "Main table", TABLES, body)
SECTION = Section(files, student_files, make, ENTRY, pages)
