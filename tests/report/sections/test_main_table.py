"""The main table: layout, what is left empty, what is kept apart."""

import csv
import io
import re
from dataclasses import replace

from samples import WHOLE, A, B, student, table

from scdd.report.notes import notes
from scdd.report.published import published
from scdd.report.scores import Column
from scdd.report.scores import main_table as table_of
from scdd.report.sections import main_table
from scdd.report.sections import students as all_students
from scdd.report.sections.main_table import to_csv


def test_ratio_with_labels_counts_every_stored_byte():
    """20,000 bytes of labels beside 3 x 16 x 16 pixels and one byte of class index."""
    made = table(replace(student(ipc=10), form="float16", label_bytes=20_000), student(B, 10))
    (said,) = main_table.sizes(made)
    expected = 100 * (100 * (768 + 1 + 20_000)) / (1437 * (768 + 1))
    assert said == f"Ratio %, with labels: IPC 10 {expected:.3g}."
    long = all_students.to_csv(made, [student(B, 10)])
    (hard,) = csv.DictReader(io.StringIO(long))
    assert hard["ratio with labels"] == hard["ratio"] == f"{100 * 100 / 1437:.4g}"


def test_a_methods_hard_and_soft_rows_share_a_column():
    hard = A._replace(teacher=None)
    students = [student(A), student(hard, protocol="dc"), student(B), student(B, protocol="dc")]
    made = table(*students)
    assert made.headers() == ["SC-DD", "Random"]
    assert main_table.cells(made, [])[0].lines == [
        ["SC-DD", "50.0", "50.0"],
        ["Random", "50.0", "50.0"],
    ]
    said = notes(made, students, {})
    assert (
        "SC-DD: images of method scdd, soft labels of the scdd teacher (paper), hard labels (dc)."
        in said
    )


def test_held_out_images_are_never_taken_for_the_test_set():
    students = [student(A, 50)]
    made = table_of("cifar100", 100, 45_000, 32, students, holdout=0.1)
    assert "HELD-OUT TRAINING images, not the test set" in main_table.to_markdown(
        made, [], [], [], "x"
    )
    assert "HELD-OUT TRAINING images" in main_table.to_latex(made, [], [], "x")
    assert "HELD-OUT TRAINING images" in main_table.to_csv(made, []).splitlines()[1]
    said = "\n".join(notes(made, students, {}))
    assert "Not the test set" in said
    assert "10 % of each class's training images" in said
    assert "real validation images" not in said
    (line,) = csv.DictReader(io.StringIO(all_students.to_csv(made, students)))
    assert line["measured on"] == "held-out training images"


def test_the_page_is_titled_by_the_experiment_and_has_no_column_of_what_was_not_asked():
    text = main_table.to_markdown(table(student()), [], [], [], "mine")
    assert text.startswith("# mine: top-1 accuracy (%) on digits\n")
    assert "Whole data" not in text


def test_layout_of_the_main_table():
    made = table(
        student(A, 10, top1=80.0),
        student(B, 10, top1=90.0),
        student(A, 1, 0, 40.0),
        student(A, 1, 1, 42.0),
        student(WHOLE, None, top1=98.0),
    )
    (cells,) = main_table.by_setting(made, []).values()
    assert cells == main_table.cells(made, [])[0]
    assert cells.header == ["Method", "IPC 1 (0.696 %)", "IPC 10 (6.96 %)"]
    assert cells.lines == [
        ["SC-DD", "41.0 ± 1.4", "80.0"],
        ["Random", "–", "90.0"],
        ["Whole data", "98.0", "98.0"],
    ]
    assert cells.words == 1


def test_on_the_screen_each_protocol_and_student_has_a_table_of_what_was_asked_in_it():
    made = table(
        student(A, 1, top1=40.0),
        student(A, 1, top1=50.0, protocol="code"),
        student(B, 1, top1=60.0, protocol="code", arch="r50"),
    )
    parts = main_table.by_setting(made, [])
    assert {name: cells.lines for name, cells in parts.items()} == {
        "paper, r18": [["SC-DD", "40.0"]],
        "code, r18": [["SC-DD", "50.0"]],
        "code, r50": [["Random", "60.0"]],
    }
    text = main_table.to_markdown(made, [], [], [], "x")
    assert re.findall("^## (.*)", text, re.MULTILINE) == [*parts]


def test_unmeasured_is_empty_in_csv():
    made = table(student(A, 1), student(B, 10))
    read = list(csv.DictReader(io.StringIO(to_csv(made, []))))
    assert [line["SC-DD mean"] for line in read] == ["50.000", ""]
    assert [line["Random mean"] for line in read] == ["", "50.000"]
    assert {line["Whole data mean"] for line in read} == {""}


def test_whole_data_alone_has_a_row():
    cells, _ = main_table.cells(table(student(WHOLE, None, top1=98.0)), [])
    assert (cells.header, cells.lines) == (["Method", "no IPC"], [["Whole data", "98.0"]])


def test_published_stands_apart():
    columns = published("cifar100", 100, 32, {50})
    made = replace(table(student(A, 50, top1=12.3)), dataset="cifar100")
    read = next(csv.DictReader(io.StringIO(to_csv(made, columns))))
    assert read["SC-DD mean"] == "12.300"
    assert read["published: SC-DD (resnet18; SC-DD paper) mean"] == "53.400"
    assert read["published: SC-DD (resnet18; SC-DD paper) std"] == "1.100"
    measured, apart = main_table.to_markdown(made, columns, [], [], "x").split(
        "## Published values"
    )
    assert "53.4" not in measured
    assert "12.3" not in apart
    assert "| SC-DD      | resnet18 | SC-DD paper | 53.4 ± 1.1 |" in apart


NOISE = Column("noise", "Noise", "scdd")


def test_controls_stand_below_a_rule():
    made = table(
        student(NOISE, 1, top1=10.0),
        student(A, 1, top1=80.0),
        student(A, 10, top1=90.0, protocol="code"),
        student(WHOLE, None, top1=98.0),
    )
    cells, layout = main_table.cells(made, ["noise", "whole"])
    assert cells.header == ["Method", "IPC 1 (0.696 %)", "IPC 10 (6.96 %)"]
    assert cells.lines == [
        ["SC-DD", "80.0", "90.0"],
        ["Noise", "10.0", "–"],
        ["Whole data", "98.0", "98.0"],
    ]
    assert layout.groups == ("paper", "code")
    assert layout.rules == (1,)


def test_bold_is_the_best_method_and_never_a_control():
    second = Column("sre2l", "SRe2L", "sre2l")
    made = table(
        student(A, 1, top1=80.0),
        student(second, 1, top1=70.0),
        student(B, 1, top1=95.0),
        student(A, 10, top1=85.0),  # nothing to compare it with
        student(B, 10, top1=80.0),
        student(WHOLE, None, top1=98.0),
    )
    text = main_table.to_latex(made, [], ["random", "whole"], "x")
    assert re.findall(r"\\textbf\{(.*?)\}", text) == ["80.0"]
    assert "controls, not methods" in text


def test_latex_is_titled_by_the_experiment_and_its_lines_are_whole():
    made = table(
        student(A, 1, top1=80.0),
        student(B._replace(title="R&B, 50 %"), 1, top1=90.0),
        student(WHOLE, None, top1=98.0),
    )
    text = main_table.to_latex(made, [], [], "my exp")
    assert "of the experiment my exp on digits" in text
    assert r"\label{tab:my-exp}" in text
    assert r"R\&B, 50 \% & \textbf{90.0} \\" in text
    assert r"\shortstack[r]{IPC 1\\(0.696 \%)}" in text
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")


def test_sizes_with_labels_are_told_by_setting():
    soft = replace(student(ipc=10), form="float16", label_bytes=20_000)
    other = replace(student(protocol="code"), form="float16", label_bytes=1)
    (said,) = main_table.sizes(table(soft, student(B, 1), other))
    assert said.startswith("Ratio %, with labels: paper, IPC 10 ")
    assert "; code, IPC 1 " in said
    assert main_table.sizes(table(student())) == []
