"""Tables of texts as CSV, and as Markdown that lines up on a terminal."""

import csv
import io
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

T = TypeVar("T")
WIDTH = 100  # characters of a line of prose in Markdown
NOT_MEASURED = "–"


class Cells(NamedTuple):
    """A table in plain texts. words: how many columns, the first ones, are of words and aligned to
    the left; the others are of numbers and aligned to the right."""

    header: list[str]
    lines: list[list[str]]
    words: int


class Layout(NamedTuple):
    """What a table has in print and in the browser, and not in Markdown.

    groups: what stands above each column of numbers, equal where they belong together; empty where
    they do not. rules: the lines with a rule above them. bold: places (line, column).
    """

    groups: tuple[str, ...] = ()
    rules: tuple[int, ...] = ()
    bold: frozenset[tuple[int, int]] = frozenset()


PLAIN = Layout()


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
