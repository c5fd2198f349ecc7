"""Tables of texts as CSV, as Markdown that lines up on a terminal, and as LaTeX with booktabs."""

import csv
import io
import re
import textwrap
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

T = TypeVar("T")
WIDTH = 100  # characters of a line of prose in Markdown
LATEX = {
    **{char: "\\" + char for char in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    "[": "{[}",  # after the end of a row it would open an optional argument
    "±": r"$\pm$",
    "×": r"$\times$",
    "∇": r"$\nabla$",
    "·": r"$\cdot$",
    "−": "$-$",
    "→": r"$\to$",
    "–": "--",
    "…": r"\dots{}",
}


class Cells(NamedTuple):
    """A table in plain texts. words: how many columns, the first ones, are of words and aligned to
    the left; the others are of numbers and aligned to the right."""

    header: list[str]
    lines: list[list[str]]
    words: int


def comma_separated(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *lines])
    return text.getvalue()


def csv_of(items: Iterable[T], columns: Mapping[str, Callable[[T], str]]) -> str:
    """One line an item; `columns` says for each heading what it has of an item."""
    lines = [[text(item) for text in columns.values()] for item in items]
    return comma_separated([*columns], lines)


def integer(value: int | None) -> str:
    """For a CSV; empty: none."""
    return "" if value is None else str(value)


def number(value: float | None) -> str:
    """For a CSV, with three decimals; empty: not measured."""
    return "" if value is None else f"{value:.3f}"


def document(*parts: str) -> str:
    """A Markdown file of titles, tables and lists."""
    return "\n\n".join(parts) + "\n"


def markdown(cells: Cells) -> str:
    """All columns are padded to equal width."""
    escaped = [[text.replace("|", "\\|") for text in line] for line in (cells.header, *cells.lines)]
    columns = []
    for place, texts in enumerate(zip(*escaped, strict=True)):
        width = max(map(len, texts))
        if place < cells.words:
            padded, rule = [text.ljust(width) for text in texts], "-" * width
        else:
            padded, rule = [text.rjust(width) for text in texts], "-" * (width - 1) + ":"
        columns.append([padded[0], rule, *padded[1:]])
    return "\n".join(f"| {' | '.join(line)} |" for line in zip(*columns, strict=True))


def bullets(notes: Iterable[str]) -> str:
    """A Markdown list with its lines broken."""
    return "\n".join(
        textwrap.fill(
            note, WIDTH, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False
        )
        for note in notes
    )


def escape(text: str) -> str:
    """Plain text as LaTeX."""
    return "".join(LATEX.get(char, char) for char in text)


def latex_file(*tables: str) -> str:
    return "% \\usepackage{booktabs}\n" + "".join(tables)


def latex(
    cells: Cells,
    *,
    caption: str,
    name: str,
    notes: Sequence[str] = (),
    bold: Collection[tuple[int, int]] = (),
) -> str:
    """A `table` that needs booktabs alone, with the label `tab:` and `name`, and `notes` below it.

    bold: places (line, column). A header with a comma or brackets takes two lines. Words that are
    equal to those above them are left out, and lines with equal words form a group.
    """
    label = "tab:" + re.sub(r"[^A-Za-z0-9-]", "-", name)
    below = []
    if notes:
        below = [
            r"\par\smallskip",
            r"\begin{minipage}{\linewidth}\footnotesize",
            *(escape(note) + r"\par" for note in notes),
            r"\end{minipage}",
        ]
    return "\n".join(
        [
            r"\begin{table}[t]",
            r"\centering\small\setlength{\tabcolsep}{4pt}",
            rf"\caption{{{escape(caption)}}}\label{{{label}}}",
            rf"\begin{{tabular}}{{{'l' * cells.words}{'r' * (len(cells.header) - cells.words)}}}",
            r"\toprule",
            " & ".join(map(_heading, cells.header)) + r" \\",
            r"\midrule",
            *_body(cells, bold),
            r"\bottomrule",
            r"\end{tabular}",
            *below,
            r"\end{table}",
            "",
        ]
    )


def _heading(text: str) -> str:
    parts = [escape(part) for part in re.split(r"(?<=,) | (?=\()", text, maxsplit=1)]
    return parts[0] if len(parts) == 1 else rf"\shortstack[r]{{{parts[0]}\\{parts[1]}}}"


def _body(cells: Cells, bold: Collection[tuple[int, int]]) -> list[str]:
    groups = [tuple(line[: cells.words]) for line in cells.lines]
    grouped = len(set(groups)) < len(groups)
    body: list[str] = []
    for row, line in enumerate(cells.lines):
        above = cells.lines[row - 1] if row else []
        texts = [
            rf"\textbf{{{escape(text)}}}" if (row, column) in bold else escape(text)
            for column, text in enumerate(line)
        ]
        for column in range(cells.words):
            if above[: column + 1] == line[: column + 1]:
                texts[column] = ""
        if row and grouped and groups[row] != groups[row - 1]:
            body.append(r"\addlinespace")
        body.append(" & ".join(texts) + r" \\")
    return body
