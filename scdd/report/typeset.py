"""Tables of texts as CSV, as Markdown that lines up on a terminal, and as LaTeX with booktabs.

`header` and `lines` are plain texts, of which the first `words` columns stand to the left and the
others, numbers, to the right.
"""

import csv
import io
import re
import textwrap
from collections.abc import Collection

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


def comma_separated(header: list[str], lines: list[list[str]]) -> str:
    held = io.StringIO()
    csv.writer(held, lineterminator="\n").writerows([header, *lines])
    return held.getvalue()


def markdown(header: list[str], lines: list[list[str]], words: int) -> str:
    """All columns are padded to equal width."""
    cells = [[text.replace("|", "\\|") for text in line] for line in (header, *lines)]
    columns = []
    for number, texts in enumerate(zip(*cells, strict=True)):
        width = max(map(len, texts))
        if number < words:
            padded, rule = [text.ljust(width) for text in texts], "-" * width
        else:
            padded, rule = [text.rjust(width) for text in texts], "-" * (width - 1) + ":"
        columns.append([padded[0], rule, *padded[1:]])
    return "\n".join(f"| {' | '.join(line)} |" for line in zip(*columns, strict=True))


def bullets(notes: list[str]) -> str:
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


def latex(
    header: list[str],
    lines: list[list[str]],
    words: int,
    *,
    caption: str,
    label: str,
    notes: list[str],
    bold: Collection[tuple[int, int]],
) -> str:
    """A `table` that needs booktabs alone. `bold` are places (line, column); `notes` stand below.

    A header with a comma or brackets takes two lines. Words that stand in the line above too are
    left out, and lines with equal words stand together.
    """

    def heading(text: str) -> str:
        parts = [escape(part) for part in re.split(r"(?<=,) | (?=\()", text, maxsplit=1)]
        return parts[0] if len(parts) == 1 else rf"\shortstack[r]{{{parts[0]}\\{parts[1]}}}"

    groups = [tuple(line[:words]) for line in lines]
    together = len(set(groups)) < len(groups)
    body: list[str] = []
    for row, line in enumerate(lines):
        above = lines[row - 1] if row else []
        texts = [
            rf"\textbf{{{escape(text)}}}" if (row, column) in bold else escape(text)
            for column, text in enumerate(line)
        ]
        for column in range(words):
            if above[: column + 1] == line[: column + 1]:
                texts[column] = ""
        if row and together and groups[row] != groups[row - 1]:
            body.append(r"\addlinespace")
        body.append(" & ".join(texts) + r" \\")
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
            rf"\begin{{tabular}}{{{'l' * words}{'r' * (len(header) - words)}}}",
            r"\toprule",
            " & ".join(map(heading, header)) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            *below,
            r"\end{table}",
            "",
        ]
    )
