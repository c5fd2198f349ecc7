"""One switch at a time: which numbers are compared, differences and errors worked out by hand."""

import csv
import io
from collections import Counter

import pytest
from samples import A, student, table

from scdd.report.scores import Column, Student
from scdd.report.sections import ablation

JPEG = Column("jpeg", "JPEG storage", "scdd")


PARAMS = {
    "method": "scdd",
    "protocol": "paper",
    "methods": {"scdd": "", "jpeg": "recover.storage jpeg"},
    "protocols": {"paper": "", "lr": "lr 0.001"},
}


def lines(*students: Student) -> list[ablation.Line]:
    counts = Counter((one.row, one.column) for one in students)
    return ablation.compare(table(*students), counts, PARAMS)


def several(column: Column, protocol: str, *top1: float, ipc: int = 10) -> list[Student]:
    return [student(column, ipc, seed, one, protocol) for seed, one in enumerate(top1)]


def test_differences_and_their_standard_errors() -> None:
    """Base 50, 52, 54: mean 52, variance 4. Other 46, 48: mean 47, variance 2."""
    found = lines(*several(A, "lr", 46.0, 48.0), *several(A, "paper", 50.0, 52.0, 54.0))
    assert [(one.switch, one.part, one.change) for one in found] == [
        ("SC-DD, paper", "", ""),
        ("lr", "evaluation", "lr 0.001"),
    ]
    base, other = found
    assert (base.difference, base.error) == (None, None)
    assert other.difference == pytest.approx(-5)
    assert other.error == pytest.approx((2 / 2 + 4 / 3) ** 0.5)
    header, cells, words = ablation.cells(found)
    assert header == ["Switch", "Part", "Change", "Top-1", "Difference"]
    assert cells == [
        ["SC-DD, paper", "", "", "52.0 ± 2.0", ""],
        ["lr", "evaluation", "lr 0.001", "47.0 ± 1.4", "−5.0 ± 1.5"],
    ]
    assert words == 3


def test_both_switches_at_once_and_a_single_seed_without_an_error() -> None:
    found = lines(
        *several(A, "paper", 50.0), *several(JPEG, "paper", 50.04), *several(JPEG, "lr", 40.0)
    )
    assert [(one.switch, one.part, one.error) for one in found[1:]] == [
        ("JPEG storage", "images", None),
        ("JPEG storage + lr", "images + evaluation", None),
    ]
    assert found[2].change == "recover.storage jpeg; lr 0.001"
    assert [line[-1] for line in ablation.cells(found)[1]] == ["", "+0.0", "−10.0"]


def test_each_ipc_and_student_has_a_base_of_its_own_or_no_difference() -> None:
    students = [*several(A, "paper", 30.0, ipc=1), *several(JPEG, "paper", 33.0, ipc=1)]
    students += [*several(A, "paper", 50.0), *several(JPEG, "paper", 55.0)]
    students += [student(A, 10, 0, 20.0, "lr", "convnet")]
    header, cells, _ = ablation.cells(lines(*students))
    assert header[3:5] == ["Student", "IPC"]
    assert [line[3:] for line in cells] == [
        ["r18", "1", "30.0", ""],
        ["r18", "1", "33.0", "+3.0"],
        ["r18", "10", "50.0", ""],
        ["r18", "10", "55.0", "+5.0"],
        ["convnet", "10", "20.0", "–"],
    ]


def test_numbers_stand_in_the_csv() -> None:
    found = lines(*several(A, "paper", 50.0, 52.0), *several(JPEG, "paper", 51.0, 55.0))
    _, jpeg = csv.DictReader(io.StringIO(ablation.to_csv(found)))
    assert (jpeg["mean"], jpeg["difference"]) == ("53.000", "2.000")
    assert float(jpeg["standard error"]) == pytest.approx((2 / 2 + 8 / 2) ** 0.5, abs=1e-3)
