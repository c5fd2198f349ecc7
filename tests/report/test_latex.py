"""Texts and tables as LaTeX."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from samples import student, table

from scdd.report import latex
from scdd.report.latex import escape
from scdd.report.published import published
from scdd.report.sections import main_table
from scdd.report.typeset import Cells, Layout


def test_latex_escapes_every_special_character():
    assert escape("a_b & 5 % ± #1 {x} ~^ $ \\ [") == (
        r"a\_b \& 5 \% $\pm$ \#1 \{x\} \textasciitilde{}\textasciicircum{} \$ "
        r"\textbackslash{} {[}"
    )


SETTINGS = [f"IPC {ipc} (10.5 %)" for ipc in (1, 10, 50)]
WIDE = Cells(
    ["Method", *SETTINGS * 3],
    [["SC-DD of a long name", *["96.2 ± 0.4"] * 9], ["Other", *["–"] * 6, *["88.8 ± 8.8"] * 3]],
    1,
)
GROUPS = Layout(("dc",) * 3 + ("paper",) * 3 + ("code",) * 3)


def test_a_table_that_is_too_wide_is_cut_between_its_groups():
    text = latex.table(WIDE, GROUPS, caption="c", name="n")
    parts = text.split(r"\begin{tabular}")[1:]
    assert [re.findall(r"multicolumn\{\d\}\{c\}\{(\w+)\}", part) for part in parts] == [
        ["dc"],
        ["paper"],
        ["code"],
    ]
    assert [part.count("Other") for part in parts] == [0, 0, 1]  # not a line of dashes
    assert text.count(r"\caption") == 1


def test_a_groups_long_name_takes_room_too() -> None:
    names = ("resnet10-w0.25", "densenet21-w0.25", "shufflenet_v2_x0_5-w0.5", "convnet3-w0.25")
    cells = Cells(["Method", *["IPC 10"] * 4], [["SC-DD", *["95.3"] * 4]], 1)
    text = latex.table(cells, Layout(names), caption="c", name="n")
    parts = text.split(r"\begin{tabular}")[1:]
    assert [part.count(r"\multicolumn") for part in parts] == [3, 1]


def test_parts_that_are_too_tall_for_one_float_have_one_each() -> None:
    """Long words: of 240 points, in lines of 110."""
    lines = [["many words" * 5, *["96.2 ± 0.4"] * 9] for _ in range(13)]
    text = latex.table(Cells(WIDE.header, lines, 1), GROUPS, caption="c", name="n")
    assert text.count(r"\begin{table}") == text.count(r"\caption{") == 3
    assert text.count(r"\label{tab:n}") == 1
    assert text.count(r"\caption{Continued.}") == 2


def test_words_that_stand_above_are_left_out_and_groups_are_set_apart():
    lines = [["a", "1"], ["a", "2"], ["b", "3"]]
    body = latex.table(Cells(["W", "N"], lines, 1), caption="c", name="n").split(r"\midrule")[1]
    assert body.split(r"\bottomrule")[0].splitlines()[1:] == [
        r"a & 1 \\",
        r" & 2 \\",
        r"\addlinespace",
        r"b & 3 \\",
    ]


def test_long_words_take_several_lines():
    cells = Cells(["Switch", "Change", "Top-1"], [["a", "many words " * 9, "1"]], 2)
    assert r">{\raggedright\arraybackslash}p{" in latex.table(cells, caption="c", name="n")


def test_notes_are_one_paragraph_that_names_its_table():
    text = latex.notes(["First: 5 %.", "Second."], "my exp")
    assert r"Notes to Table~\ref{tab:my-exp}." in text
    assert "\nFirst: 5 \\%.\nSecond.\n" in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no pdflatex")
def test_no_table_is_wider_than_an_article(tmp_path: Path) -> None:
    main = main_table.to_latex(
        table(*(student(ipc=ipc, seed=seed) for ipc in (1, 10, 50) for seed in (0, 1))),
        published("cifar100", 100, 32, {1, 10, 50}),
        [],
        "mine",
    )
    wide = latex.table(WIDE, GROUPS, caption="c", name="n")
    lines = [
        r"\documentclass{article}\usepackage{booktabs,array}\begin{document}",
        *(main, wide, latex.notes(["A note of ± 5 % ∇."], "mine")),
        r"\end{document}",
    ]
    (tmp_path / "a.tex").write_text("\n".join(lines))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "a.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout
