"""Seconds by stage: sums over jobs, means over students, dashes for what is not known."""

from pathlib import Path

import pytest
from costs_of import HARD, listed, spend
from samples import HEADINGS, A, student, table

from scdd.report import seconds


def test_jobs_are_added_up_and_students_averaged(tmp_path: Path) -> None:
    spent = {one.stage: one.seconds for one in spend(tmp_path, listed())}
    assert spent == {"data": 1, "squeeze": 300, "recover": 44, "relabel": 2.5, "validate": 12}


def test_one_unknown_job_makes_its_stage_unknown_and_no_other(tmp_path: Path) -> None:
    spent = {one.stage: one.seconds for one in spend(tmp_path, listed(), lost="slots_0001-0009")}
    assert spent["recover"] is None
    assert (spent["squeeze"], spent["validate"]) == (300, 12)


def test_the_tables_tell_images_and_students_apart(tmp_path: Path) -> None:
    stages = {"select": ["slots_0000-0000"], "validate": ["seed0"]}
    hard = listed(method=HARD.method, title=HARD.title, teacher=None, stages=stages)
    made = table(student(A, 10), student(HARD, 10))
    spent = spend(tmp_path, listed(), hard, lost="slots_0001-0009")
    assert seconds.image_cells(spent, HEADINGS) == (
        ["Images", "IPC", "Squeeze", "Choose", "Recover"],
        [["SC-DD", "10", "300", "", "–"], ["Random, hard labels", "10", "", "4.0", ""]],
        1,
    )
    assert seconds.student_cells(made, spent) == (
        ["Images", "IPC 10"],
        [["SC-DD", "2.5 + 12"], ["Random, hard labels", "10"]],
        1,
    )


def test_columns_follow_the_main_table_and_the_whole_data_comes_last(tmp_path: Path) -> None:
    whole = listed(method="whole", title="Whole data", teacher=None, ipc=None, protocol="full")
    whole["stages"] = {"validate": ["seed1"]}
    lines = [whole, *(listed(ipc=ipc, stages={"validate": ["seed0"]}) for ipc in (10, 1))]
    header, rows, words = seconds.student_cells(
        table(student(A, 1), student(A, 10)), spend(tmp_path, *lines)
    )
    assert header == ["Images", "IPC 1", "IPC 10", "whole"]
    assert rows == [["SC-DD", "10", "10", ""], ["Whole data", "", "", "14"]]
    assert words == 1


@pytest.mark.parametrize(
    ("gpu", "said"),
    [
        ("", ["On the CPU with 2 threads."]),
        (
            "squeeze",
            ["On NVIDIA H100: squeeze.", "On the CPU with 2 threads: recover, relabel, validate."],
        ),
    ],
)
def test_the_devices_are_named(tmp_path: Path, gpu: str, said: list[str]) -> None:
    found = seconds.notes(spend(tmp_path, listed(), gpu=gpu), HEADINGS)
    assert [note for note in found if note.startswith("On ")] == said


def test_results_from_before_there_were_costs_say_so(tmp_path: Path) -> None:
    spent = seconds.read(tmp_path, [listed()])
    text = seconds.to_markdown(table(student()), spent, HEADINGS)
    assert "Not recorded" in text
    assert "|" not in text
