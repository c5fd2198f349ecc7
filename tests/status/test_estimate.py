"""When a run will be finished."""

import json
from pathlib import Path
from typing import Any

import pytest

from scdd.jobs.progress import Standing
from scdd.plan.jobs import Job, jobs
from scdd.plan.load import plan_of
from scdd.plan.pace import START
from scdd.plan.plan import Plan
from scdd.status.estimate import estimate
from scdd.status.states import State, Status


@pytest.fixture
def plan(tiny: dict[str, Any], tmp_path: Path, monkeypatch: Any) -> Plan:
    """With recoveries of 1 and of 9 images a class, of 3 classes and 2 iterations each."""
    monkeypatch.chdir(tmp_path)
    return plan_of({**tiny, "ipc": [10]})


def took(job: Job, seconds: float) -> None:
    job.cost.parent.mkdir(parents=True, exist_ok=True)
    more = {"device": "cpu", "threads": 1, "peak_mib": 1.0, "peak_gpu_mib": 0.0}
    job.cost.write_text(json.dumps({"seconds": seconds, **more}))


def of(plan: Plan, stage: str) -> list[Job]:
    return [job for job in jobs(plan) if job.node.stage == stage]


def test_a_job_takes_what_finished_ones_of_its_stage_took_in_proportion(plan: Plan) -> None:
    small, large = of(plan, "recover")
    took(small, 5.0)
    left = estimate(plan, [Status(small, State.DONE), Status(large, State.WAITING)])
    assert left.work == pytest.approx(START + 45.0)
    assert left.seconds is None  # nothing runs
    assert left.unknown == {}


def test_where_finished_jobs_have_two_sizes_a_constant_is_told_from_the_size(
    tiny: dict[str, Any], plan: Plan
) -> None:
    plan = plan_of({**tiny, "ipc": [30]})
    first, second, third, fourth = of(plan, "recover")  # 1, 9, 10 and 10 images a class
    took(first, 6.0 - START)
    took(second, 14.0 - START)  # 5 s and 1 s for each image
    found = [Status(job, State.DONE) for job in (first, second)]
    left = estimate(plan, [*found, *(Status(job, State.WAITING) for job in (third, fourth))])
    assert left.work == pytest.approx(30.0)


def test_the_log_of_a_running_job_is_believed_and_jobs_share_the_machine(plan: Plan) -> None:
    small, large = of(plan, "recover")
    running = [
        Status(job, State.RUNNING, standing=Standing("images", 0, seconds, 1.0))
        for job, seconds in ((small, 10.0), (large, 30.0))
    ]
    left = estimate(plan, running)
    assert (left.work, left.at_once, left.seconds) == (40.0, 2, 30.0)  # the longer one


def test_a_chain_of_artifacts_takes_the_sum_of_its_links(plan: Plan) -> None:
    standing = Standing("squeeze", 0, 10, 1.0)
    (squeeze,), recoveries = of(plan, "squeeze"), of(plan, "recover")
    found = [Status(squeeze, State.RUNNING, standing=standing)]
    found += [Status(squeeze, State.RUNNING, standing=standing)] * 3  # four at once
    found += [Status(job, State.RUNNING, standing=standing) for job in recoveries]
    assert estimate(plan, found).seconds == pytest.approx(20.0)  # not 60 / 6


def test_stages_of_which_nothing_is_finished_are_told(plan: Plan) -> None:
    (student,) = of(plan, "validate")
    left = estimate(plan, [Status(student, State.WAITING)])
    assert (left.work, left.unknown) == (0.0, {"validate": 1})
