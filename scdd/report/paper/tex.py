"""A paper as a LaTeX document, with its figures beside it."""

from collections.abc import Sequence

from scdd.report import latex
from scdd.report.paper.compare import cells
from scdd.report.paper.findings import BOLD, HEADING, INTRODUCTION, findings
from scdd.report.paper.parts import Part, words

# A figure keeps its size where that fits on the page. LaTeX's own bullet is of a bitmap font.
PREAMBLE = r"""\documentclass{article}
\usepackage{booktabs,array,graphicx}
\newcommand{\fitted}[1]{\sbox0{\includegraphics{#1}}%
  \ifdim\wd0>\linewidth\sbox0{\includegraphics[width=\linewidth]{#1}}\fi
  \ifdim\ht0>0.8\textheight\sbox0{\includegraphics[height=0.8\textheight]{#1}}\fi
  \usebox0}
\renewcommand{\labelitemi}{$\bullet$}
"""
# The numbers are the paper's: all floats of a part have its own, the second one with a (b). A table
# beside a figure is the "Table of Figure 1".
NUMBER = (
    r"\setcounter{KIND}{0}"
    r"\renewcommand{\theKIND}{NUMBER\ifnum\value{KIND}>1\ (\alph{KIND})\fi}"
)


def document(title: str, parts: Sequence[Part]) -> str:
    lines = [
        PREAMBLE + r"\begin{document}",
        rf"\title{{{latex.escape(title)}}}\author{{}}\date{{}}\maketitle",
        latex.escape(INTRODUCTION),
    ]
    if found := findings(parts):
        items = [rf"\item {latex.escape(sentence)}" for sentence in found]
        lines += [r"\begin{itemize}", *items, r"\end{itemize}"]
    for part in parts:
        lines += _part(part)
    return "\n".join([*lines, r"\end{document}", ""])


def _part(part: Part) -> list[str]:
    own, _, number = part.number.partition(" ")
    numbers = {kind: f"of {part.number}" for kind in ("table", "figure")} | {own.lower(): number}
    lines = [
        r"\clearpage",
        rf"\section*{{\raggedright {latex.escape(part.name)}}}",
        *(NUMBER.replace("NUMBER", text).replace("KIND", kind) for kind, text in numbers.items()),
    ]
    several = sum(len(shown.in_latex) for shown in part.shown) > 1
    for shown in part.shown:
        lines.append(_here(shown.latex))
        for name in shown.in_latex:
            which = f" ({words(name, part)})" if several else ""
            lines.append(_figure(name, part.title + which))
    if part.comparisons:
        compared, layout = cells(part.comparisons)
        caption = f"{HEADING}: top-1 accuracy (%)." + f" {BOLD}" * bool(layout.bold)
        name = f"{part.slug}-{HEADING}"
        lines.append(_here(latex.table(compared, layout, caption=caption, name=name)))
    return lines


def _here(tables: str) -> str:
    """In the place of the text, where they fit: not above the heading of their part."""
    return tables.replace(r"\begin{table}[t]", r"\begin{table}[!ht]")


def _figure(file: str, title: str) -> str:
    return "\n".join(
        [
            r"\begin{figure}[!ht]",
            rf"\centering\fitted{{{file}}}",
            rf"\caption{{{latex.escape(title)}}}",
            r"\end{figure}",
        ]
    )
