"""Tables as LaTeX with booktabs, none wider than the text of an article.

A table with too many columns is cut into several, one below the other: in the same float, or, where
that would be too tall, in one each.
"""

import itertools
import math
import re
from collections.abc import Iterable, Sequence

from scdd.report.typeset import NOT_MEASURED, PLAIN, Cells, Layout

TEXT = 345.0  # points: the text of LaTeX's `article` at 10 pt, the narrowest of the usual classes
CHARACTER = 4.8  # points of a digit in \small; few words have wider letters on average
SEPARATION = 4.0  # points on either side of a column
WORDS = 110.0  # points: wider words take several lines
PAGE = 36  # lines of tables in a float: an article has 45, and the caption and rules take some
ESCAPES = {
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
    "√": r"$\surd$",
    "²": "$^2$",
    "→": r"$\to$",
    "–": "--",
    "…": r"\dots{}",
}


def escape(text: str) -> str:
    """Plain text as LaTeX."""
    return "".join(ESCAPES.get(char, char) for char in text)


def file(*tables: str) -> str:
    """A file for \\input, with the package that it needs."""
    return "% \\usepackage{booktabs,array}\n" + "".join(tables)


def label(name: str) -> str:
    return "tab:" + re.sub(r"[^A-Za-z0-9-]", "-", name)


def notes(sentences: Iterable[str], name: str) -> str:
    """The notes of the table `name` as one small paragraph: a file for \\input, where an author
    wants it."""
    head = rf"Notes to Table~\ref{{{label(name)}}}."
    lines = [r"{\footnotesize\noindent", head, *map(escape, sentences), r"\par}"]
    return "\n".join(lines) + "\n"


def table(cells: Cells, layout: Layout = PLAIN, *, caption: str, name: str) -> str:
    """A `table` with the label `tab:` and `name`.

    A header with a comma, a colon or brackets takes two lines. Words that are equal to those above
    them are left out, and lines with equal words form a group.
    """
    parts = [_tabular(cells, layout, part) for part in _side_by_side(cells, layout.groups)]
    named = rf"{escape(caption)}}}\label{{{label(name)}"
    if len(parts) * _height(cells) <= PAGE:
        return _float(named, parts)
    first, *others = parts
    return _float(named, [first]) + "".join(_float("Continued.", [part]) for part in others)


def _float(caption: str, parts: Sequence[str]) -> str:
    return "\n".join(
        [
            r"\begin{table}[t]",
            rf"\centering\small\setlength{{\tabcolsep}}{{{SEPARATION:g}pt}}",
            rf"\caption{{{caption}}}",
            r"\bigskip",
            "\n\\par\\medskip\n".join(parts),
            r"\end{table}",
            "",
        ]
    )


def _height(cells: Cells) -> int:
    """Of all lines in lines of text: words that are too wide take several."""
    return sum(
        max(math.ceil(CHARACTER * len(text) / WORDS) for text in [*line[: cells.words], " "])
        for line in [cells.header, *cells.lines]
    )


def _side_by_side(cells: Cells, group_of: Sequence[str]) -> list[list[int]]:
    """The columns of numbers that fit beside each other; those of a group stay together if they
    can."""
    widths = _widths(cells)
    room = TEXT - sum(min(width, WORDS) + 2 * SEPARATION for width in widths[: cells.words])
    numbers = range(cells.words, len(cells.header))
    names = dict(zip(numbers, group_of, strict=True)) if group_of else {}
    parts: list[list[int]] = [[]]
    left = room
    for name, columns in itertools.groupby(numbers, names.get):
        group = [*columns]
        # a group's name is above its columns, which are as wide as that at least
        spread = (CHARACTER * len(name or "") - 2 * SEPARATION * (len(group) - 1)) / len(group)
        for place in group:
            widths[place] = max(widths[place], spread)
        needed = sum(widths[place] + 2 * SEPARATION for place in group)
        together = needed <= room
        for place in group:
            width = widths[place] + 2 * SEPARATION
            if (together and place == group[0] and needed > left) or width > left:
                parts.append([])
                left = room
            parts[-1].append(place)
            left -= width
    return [part for part in parts if part] or [[]]


def _widths(cells: Cells) -> list[float]:
    """Of the columns in points, from above."""
    columns = zip(cells.header, *cells.lines, strict=True)
    return [
        CHARACTER * max(map(len, [*_lines(head), *(text.replace(" ± ", "±") for text in texts)]))
        for head, *texts in columns
    ]


def _tabular(cells: Cells, layout: Layout, numbers: Sequence[int]) -> str:
    """The words and some columns of numbers. Lines that have nothing in these are left out."""
    columns = [*range(cells.words), *numbers]
    words = [
        "l" if width <= WORDS else rf">{{\raggedright\arraybackslash}}p{{{WORDS:g}pt}}"
        for width in _widths(cells)[: cells.words]
    ]
    kept = [
        row
        for row, line in enumerate(cells.lines)
        if not numbers or any(line[place] not in ("", NOT_MEASURED) for place in numbers)
    ]
    return "\n".join(
        [
            rf"\begin{{tabular}}{{@{{}}{''.join(words)}{'r' * len(numbers)}@{{}}}}",
            r"\toprule",
            *_groups(
                cells.words,
                [layout.groups[place - cells.words] for place in numbers if layout.groups],
            ),
            " & ".join(_heading(cells.header[place]) for place in columns) + r" \\",
            r"\midrule",
            *_body(cells, layout, kept, columns),
            r"\bottomrule",
            r"\end{tabular}",
        ]
    )


def _groups(words: int, groups: Sequence[str]) -> list[str]:
    """The line above the header, and the rules below it; nothing without groups."""
    if not groups:
        return []
    texts, rules, place = [""] * words, "", words + 1
    for name, columns in itertools.groupby(groups):
        count = len([*columns])
        texts.append(rf"\multicolumn{{{count}}}{{c}}{{{escape(name)}}}")
        rules += rf"\cmidrule(lr){{{place}-{place + count - 1}}}"
        place += count
    return [" & ".join(texts) + r" \\", rules]


def _lines(head: str) -> list[str]:
    return re.split(r"(?<=[,:]) | (?=\()", head, maxsplit=1)


def _heading(text: str) -> str:
    parts = [*map(escape, _lines(text))]
    return parts[0] if len(parts) == 1 else rf"\shortstack[r]{{{parts[0]}\\{parts[1]}}}"


def _body(cells: Cells, layout: Layout, rows: Sequence[int], columns: Sequence[int]) -> list[str]:
    groups = [tuple(cells.lines[row][: cells.words]) for row in rows]
    grouped = len(set(groups)) < len(groups)
    body: list[str] = []
    for number, row in enumerate(rows):
        line = cells.lines[row]
        above = cells.lines[rows[number - 1]] if number else []
        bold = [(row, place) in layout.bold for place in columns]
        texts = [_text(line[place]) for place in columns]
        texts = [
            rf"\textbf{{{text}}}" if best else text for text, best in zip(texts, bold, strict=True)
        ]
        for place in range(cells.words):
            if above[: place + 1] == line[: place + 1]:
                texts[place] = ""
        if number and grouped and groups[number] != groups[number - 1]:
            body.append(r"\addlinespace")
        if number and any(rows[number - 1] < rule <= row for rule in layout.rules):
            body.append(r"\midrule")
        body.append(" & ".join(texts) + r" \\")
    return body


def _text(text: str) -> str:
    return escape(text).replace(r" $\pm$ ", r"$\,\pm\,$")
