"""Texts as Markdown."""

from scdd.report.typeset import Cells, markdown


def test_markdown_lines_up():
    made = markdown(Cells(["Method", "IPC"], [["a|b", "1"], ["c", "1000 ± 2"]], 1))
    assert made.splitlines() == [
        "| Method |      IPC |",
        "| ------ | -------: |",
        "| a\\|b   |        1 |",
        "| c      | 1000 ± 2 |",
    ]
