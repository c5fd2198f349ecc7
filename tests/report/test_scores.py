"""Scores: means and deviations over seeds, ratios, rows and columns."""

import pytest
from samples import WHOLE, A, student, table

from scdd.report.scores import Column, Row, Score, main_table


def test_mean_and_sample_standard_deviation():
    made = table(*(student(seed=n, top1=top1) for n, top1 in enumerate((50.0, 52.0, 57.0))))
    # mean 53; squares 9 + 1 + 16 = 26; 26 / (3 - 1) = 13
    assert made.scores[Row("paper", "r18", 1), A] == Score(53.0, pytest.approx(13**0.5))


def test_one_seed_has_no_deviation():
    assert table(student()).scores[Row("paper", "r18", 1), A].std is None


@pytest.mark.parametrize(
    ("classes", "train", "ipc", "percent"),
    [(100, 50000, 50, 10), (1000, 1281167, 200, 15.61), (10, 1437, 1, 0.6959)],
)
def test_ratio(classes, train, ipc, percent):
    made = main_table("x", classes, train, 32, [student(ipc=ipc)])
    assert made.ratio(ipc) == pytest.approx(percent, rel=1e-3)


def test_more_than_256_classes_have_an_index_of_two_bytes():
    made = main_table("x", 1000, 1_281_167, 224, [student(ipc=50)])
    pixels = 3 * 224 * 224 + 2
    assert made.ratio(50, 600_000) == pytest.approx(
        100 * 50_000 * (pixels + 600_000) / (1_281_167 * pixels)
    )


def test_whole_data_belongs_to_its_own_student():
    made = table(student(), student(arch="r50"), student(WHOLE, None, top1=98.0, protocol="full"))
    assert made.whole == {Row("paper", "r18", 1): Score(98.0, None)}


def test_whole_data_prefers_the_row_s_protocol_and_guesses_none():
    wholes = [
        student(WHOLE, None, top1=n, protocol=p) for n, p in ((97.0, "paper"), (98.0, "code"))
    ]
    made = table(student(), student(protocol="other"), *wholes)
    assert made.whole == {Row("paper", "r18", 1): Score(97.0, None)}


def test_one_title_with_two_teachers_makes_two_columns():
    made = table(student(A), student(A._replace(teacher=None)))
    assert made.headers() == ["SC-DD, soft labels of the scdd teacher", "SC-DD, hard labels"]


def test_a_row_that_is_not_in_the_main_table_keeps_its_title() -> None:
    assert table(student()).header(Column("whole", "Whole data", None)) == "Whole data"
    assert Row("full", "r18", None) not in table(student()).rows
