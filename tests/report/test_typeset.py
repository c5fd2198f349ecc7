"""Texts as Markdown and LaTeX."""

from scdd.report.typeset import Cells, escape, markdown


def test_markdown_lines_up():
    made = markdown(Cells(["Method", "IPC"], [["a|b", "1"], ["c", "1000 ± 2"]], 1))
    assert made.splitlines() == [
        "| Method |      IPC |",
        "| ------ | -------: |",
        "| a\\|b   |        1 |",
        "| c      | 1000 ± 2 |",
    ]


def test_latex_escapes_every_special_character():
    assert escape("a_b & 5 % ± #1 {x} ~^ $ \\ [") == (
        r"a\_b \& 5 \% $\pm$ \#1 \{x\} \textasciitilde{}\textasciicircum{} \$ "
        r"\textbackslash{} {[}"
    )
