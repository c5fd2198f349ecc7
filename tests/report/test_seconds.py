"""Seconds by stage: sums over jobs, means over students, dashes for what is not known."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from test_tables import A, student, table

from scdd.jobs.costs import Cost, save_cost
from scdd.report import seconds
from scdd.report.scores import Column, Row

HARD = Column("random-hard", "Random, hard labels", None)
STAGES = {
    "data": ["data"],
    "squeeze": ["squeeze"],
    "recover": ["slots_0000-0000", "slots_0001-0009"],
    "relabel": ["epochs_0000-0099"],
    "validate": ["seed0", "seed1"],
}
TOOK = {"data": 1.0, "squeeze": 300.0, "slots_0000-0000": 4.0, "slots_0001-0009": 40.0}
TOOK |= {"epochs_0000-0099": 2.5, "seed0": 10.0, "seed1": 14.0}


def listed(**changes: Any) -> dict[str, Any]:
    named = {"method": "scdd", "title": "SC-DD", "teacher": "scdd", "ipc": 10}
    named |= {"protocol": "paper", "student": "r18", "stages": STAGES}
    return named | changes


def spend(folder: Path, *lines: dict[str, Any], gpu: str = "", lost: str = "") -> list[Any]:
    """Write the costs of TOOK, all on the CPU but that of the job `gpu`; read `lines`."""
    for name, took in TOOK.items():
        device = "NVIDIA H100" if name == gpu else "cpu"
        save_cost(folder / f"{name}.json", Cost(took, device, 2, took + 100, 0.0))
    (folder / f"{lost}.json").unlink(missing_ok=True)
    for line in lines:
        line["stages"] = {s: [f"{n}.json" for n in names] for s, names in line["stages"].items()}
    return seconds.read(folder, lines)


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
    assert seconds.image_cells(spent) == (
        ["Images", "IPC", "Squeeze", "Choose", "Recover"],
        [["SC-DD", "10", "300", "", "–"], ["Random, hard labels", "10", "", "4.0", ""]],
        1,
    )
    assert seconds.student_cells(made, spent) == (
        ["IPC", "SC-DD", "Random, hard labels"],
        [["10", "2.5 + 12", "10"]],
        0,
    )


def test_rows_follow_the_main_table_and_the_whole_data_comes_last(tmp_path: Path) -> None:
    whole = listed(method="whole", title="Whole data", teacher=None, ipc=None, protocol="full")
    whole["stages"] = {"validate": ["seed1"]}
    lines = [whole, *(listed(ipc=ipc, stages={"validate": ["seed0"]}) for ipc in (10, 1))]
    header, rows, words = seconds.student_cells(
        table(student(A, 1), student(A, 10)), spend(tmp_path, *lines)
    )
    assert header == ["Protocol", "IPC", "SC-DD", "Whole data"]
    assert rows == [
        ["paper", "1", "10", ""],
        ["paper", "10", "10", ""],
        ["full", "whole", "", "14"],
    ]
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
    found = seconds.notes(spend(tmp_path, listed(), gpu=gpu))
    assert [note for note in found if note.startswith("On ")] == said


def test_results_from_before_there_were_costs_say_so(tmp_path: Path) -> None:
    spent = seconds.read(tmp_path, [listed()])
    text = seconds.to_markdown(table(student()), spent)
    assert "Not recorded" in text
    assert "|" not in text


def test_the_file_of_numbers_has_totals_and_peaks(tmp_path: Path) -> None:
    spent = spend(tmp_path, listed(), lost="squeeze")
    read = {line["stage"]: line for line in csv.DictReader(io.StringIO(seconds.to_csv(spent)))}
    assert (read["recover"]["jobs"], read["recover"]["seconds"]) == ("2", "44.000")
    assert read["recover"]["peak MiB"] == "140"
    assert (read["validate"]["seconds"], read["validate"]["seconds a student"]) == (
        "24.000",
        "12.000",
    )
    assert (read["squeeze"]["known"], read["squeeze"]["seconds"]) == ("0", "")


def test_a_row_that_is_not_in_the_main_table_keeps_its_title(tmp_path: Path) -> None:
    assert table(student()).header(Column("whole", "Whole data", None)) == "Whole data"
    assert Row("full", "r18", None) not in table(student()).rows
