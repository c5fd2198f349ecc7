"""What a job took: named by the job, read back, and never guessed."""

from pathlib import Path

import pytest

from scdd.artifacts.config import Frozen
from scdd.errors import ScddError
from scdd.jobs.costs import Cost, cost_path, job_name, load_cost, save_cost

COST = Cost(12.5, "NVIDIA H100", 8, 900.0, 4000.5)


def frozen(stage: str) -> Frozen:
    return Frozen(stage, 1, "digits-16", "0123456789ab", {}, {})


@pytest.mark.parametrize(
    ("stage", "work", "slots", "name"),
    [
        ("data", None, None, "data"),
        ("squeeze", "work/squeeze/digits-16-0123456789ab", None, "squeeze"),
        ("select", None, (1, 10), "slots_0001-0009"),
        (
            "recover",
            "work/recover/x/slots_0000-0000_classes_0000-0099",
            (0, 1),
            "slots_0000-0000_classes_0000-0099",
        ),
        ("relabel", "work/relabel/x/epochs_0000-0099", None, "epochs_0000-0099"),
    ],
)
def test_a_job_has_the_name_of_its_part(
    stage: str, work: str | None, slots: tuple[int, int] | None, name: str
) -> None:
    assert job_name(frozen(stage), Path(work) if work else None, slots) == name


def test_a_cost_is_read_back_and_a_missing_one_is_none(tmp_path: Path) -> None:
    path = cost_path(tmp_path / "squeeze" / "x", "squeeze")
    assert load_cost(path) is None
    save_cost(path, COST)
    assert path == tmp_path / "squeeze/x/costs/squeeze.json"
    assert load_cost(path) == COST


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"seconds": 1}'])
def test_a_damaged_cost_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "squeeze.json"
    path.write_text(content)
    with pytest.raises(ScddError, match=str(path)):
        load_cost(path)


@pytest.mark.parametrize("seconds", ['"1"', "NaN", "-1", "null"])
def test_seconds_that_are_no_time_are_refused(tmp_path: Path, seconds: str) -> None:
    path = tmp_path / "squeeze.json"
    save_cost(path, COST)
    path.write_text(path.read_text().replace("12.5", seconds))
    with pytest.raises(ScddError, match="does not say what a job took"):
        load_cost(path)
