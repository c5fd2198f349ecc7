"""`base:`, by which a configuration starts from another file."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from scdd.errors import ScddError
from scdd.plan.load import plan_of, plan_of_file, with_base

START = {
    "experiment": "start",
    "dataset": "digits",
    "methods": ["random"],
    "ipc": [1, 2],
    "protocol": {"scdd-paper": {"epochs": 3, "batch": 10}},
}


def write(path: Path, content: dict[str, Any]) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(content))
    return path


def test_mappings_merge_and_lists_are_replaced(tmp_path: Path) -> None:
    write(tmp_path / "start.yaml", START)
    own = {
        "base": "start.yaml",
        "experiment": "own",
        "ipc": [5],
        "protocol": {"scdd-paper": {"batch": 20}},
    }

    assert with_base(own, tmp_path) == {
        "experiment": "own",
        "dataset": "digits",
        "methods": ["random"],
        "ipc": [5],
        "protocol": {"scdd-paper": {"epochs": 3, "batch": 20}},
    }


def test_a_base_may_have_a_base_and_lies_beside_the_file_that_names_it(tmp_path: Path) -> None:
    write(tmp_path / "start.yaml", START)
    write(tmp_path / "more" / "middle.yaml", {"base": "../start.yaml", "experiment": "middle"})
    last = write(
        tmp_path / "last.yaml",
        {"base": "more/middle.yaml", "experiment": "last", "methods": ["random-hard"]},
    )

    assert [node.label for node in plan_of_file(last).of("tables")] == ["last"]


def test_artifacts_are_those_of_a_file_that_says_it_all(tmp_path: Path) -> None:
    write(tmp_path / "start.yaml", START)
    short = {"base": "start.yaml", "experiment": "own", "methods": ["random-hard"]}
    long = {**START, "experiment": "own", "methods": ["random-hard"]}

    assert plan_of(short, tmp_path).nodes == plan_of(long).nodes


def test_a_list_of_experiments_may_name_files_with_a_base(tmp_path: Path) -> None:
    start = write(tmp_path / "start.yaml", {**START, "methods": ["random-hard"]})
    own = write(tmp_path / "own.yaml", {"base": "start.yaml", "experiment": "own"})

    plan = plan_of({"experiments": [str(start), str(own)]})
    assert [node.label for node in plan.of("tables")] == ["start", "own"]


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({"base": "none.yaml", "experiment": "own"}, "none.yaml does not exist."),
        ({"base": "start.yaml"}, "has the name of another experiment. Set experiment."),
        ({"base": "list.yaml", "experiment": "own"}, "is a list of experiments."),
        ({"base": "circle.yaml", "experiment": "own"}, "is its own base."),
    ],
)
def test_a_base_that_cannot_be_is_refused(
    tmp_path: Path, own: dict[str, Any], expected: str
) -> None:
    write(tmp_path / "start.yaml", START)
    write(tmp_path / "list.yaml", {"experiments": ["start.yaml"]})
    write(tmp_path / "circle.yaml", {"base": "circle.yaml", "experiment": "circle"})

    with pytest.raises(ScddError) as refusal:
        with_base(own, tmp_path)
    assert expected in str(refusal.value)
