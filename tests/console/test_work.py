"""What a run has to do, and what earlier jobs say of it."""

import os
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

from scdd.console.work import work_of
from scdd.jobs.costs import Cost, save_cost
from scdd.plan.jobs import Job, jobs
from scdd.plan.load import plan_of, plan_of_file
from scdd.plan.pace import START, Pace
from scdd.plan.plan import Plan


@pytest.fixture
def plan(tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """With recoveries of 1 and of 9 images a class, of 3 classes and 2 iterations each."""
    monkeypatch.chdir(tmp_path)
    return plan_of({**tiny, "ipc": [10]})


def recoveries(plan: Plan) -> list[Job]:
    return [job for job in jobs(plan) if job.node.stage == "recover"]


def took(file: Path, seconds: float) -> Path:
    file.parent.mkdir(parents=True)
    save_cost(file, Cost(seconds, "cpu", 1, 500.0, 0.0))
    return file


def test_all_jobs_of_a_stage_have_their_sizes(plan: Plan) -> None:
    work = work_of(plan, {"recover": 2})
    assert work.to_do == {"recover": [6.0, 54.0]}
    assert work.paces == {}
    assert [work.sizes[job.log] for job in recoveries(plan)] == [6.0, 54.0]


def test_a_finished_job_is_not_to_do_and_says_how_long_others_take(plan: Plan) -> None:
    small, _ = recoveries(plan)
    small.output.parent.mkdir(parents=True)
    small.output.touch()
    took(small.cost, 3.0)
    work = work_of(plan, {"recover": 1})
    assert work.to_do == {"recover": [54.0]}
    assert work.paces["recover"].of(54.0) == pytest.approx(START + 9 * 3.0)


def test_where_snakemake_makes_another_number_again_their_mean_counts(plan: Plan) -> None:
    for job in recoveries(plan):
        job.output.parent.mkdir(parents=True, exist_ok=True)
        job.output.touch()
    assert work_of(plan, {"recover": 1}).to_do == {"recover": [30.0]}


def test_earlier_costs_of_the_dataset_count(tmp_path: Path) -> None:
    plan = plan_of_file(ROOT / "config.yaml")
    for folder, seconds in (
        ("squeeze/digits-16-mocov2-resnet10-aaaaaaaaaaaa", 50.0),
        ("squeeze/digits-16-mocov2-resnet10-bbbbbbbbbbbb", 70.0),
        ("squeeze/cifar100-32-mocov2-resnet18-cccccccccccc", 9000.0),
        ("probe/digits-16-mocov2-resnet10-dddddddddddd", 5.0),
        ("tables/digits-eeeeeeeeeeee", 4.0),
    ):
        file = took(tmp_path / folder / "costs" / "job.json", seconds)
        if folder.startswith("probe"):
            file.write_text("{")
    counts = {stage: len(plan.of(stage)) for stage in ("squeeze", "probe", "tables")}
    paces = work_of(plan, counts, tmp_path).paces
    assert paces == {"squeeze": Pace(START + 60.0, 0.0), "tables": Pace(START + 4.0, 0.0)}


def test_the_newest_costs_count(tmp_path: Path) -> None:
    plan = plan_of_file(ROOT / "config.yaml")
    for number in range(30):
        folder = tmp_path / f"probe/digits-16-x-{number:012d}"
        os.utime(took(folder / "costs" / "probe.json", float(number)), (number, number))
    counts = {"probe": len(plan.of("probe"))}
    paces = work_of(plan, counts, tmp_path).paces
    assert paces == {"probe": Pace(START + 19.5, 0.0)}  # of the last 20
