"""Texts and tables as LaTeX."""

from scdd.report.latex import escape


def test_latex_escapes_every_special_character():
    assert escape("a_b & 5 % ± #1 {x} ~^ $ \\ [") == (
        r"a\_b \& 5 \% $\pm$ \#1 \{x\} \textasciitilde{}\textasciicircum{} \$ "
        r"\textbackslash{} {[}"
    )
