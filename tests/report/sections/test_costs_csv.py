"""The files of costs: totals and peaks, and both tables in LaTeX."""

import csv
import io
from pathlib import Path

from costs_of import listed, spend
from samples import HEADINGS, A, student, table

from scdd.report.sections import costs


def test_the_file_of_numbers_has_totals_and_peaks(tmp_path: Path) -> None:
    spent = spend(tmp_path, listed(), lost="squeeze")
    read = {line["stage"]: line for line in csv.DictReader(io.StringIO(costs.to_csv(spent)))}
    assert (read["recover"]["jobs"], read["recover"]["seconds"]) == ("2", "44.000")
    assert read["recover"]["peak MiB"] == "140"
    assert (read["validate"]["seconds"], read["validate"]["seconds a student"]) == (
        "24.000",
        "12.000",
    )
    assert (read["squeeze"]["known"], read["squeeze"]["seconds"]) == ("0", "")


def test_latex_has_a_table_of_images_and_one_of_students(tmp_path: Path) -> None:
    made = table(student(A, 10))
    text = costs.to_latex(made, spend(tmp_path, listed()), HEADINGS, "e-costs")
    assert r"\label{tab:e-costs}" in text and r"\label{tab:e-costs-students}" in text
    assert "SC-DD & 10 & 300 & 44" in text and "SC-DD & 2.5 + 12" in text
