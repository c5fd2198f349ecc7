"""The jobs of a plan."""

from pathlib import Path
from typing import Any

from scdd.plan.jobs import jobs
from scdd.plan.load import plan_of, plan_of_file

ROOT = Path(__file__).resolve().parents[2]


def test_a_recovery_has_a_job_for_each_block_and_range(tiny: dict[str, Any]) -> None:
    tiny["recover"]["block"] = 2
    plan = plan_of({**tiny, "ipc": [2]})
    made = [job for job in jobs(plan) if job.node.stage == "recover"]
    assert [job.part for job in made] == [
        "slots_0000-0000_classes_0000-0001",
        "slots_0000-0000_classes_0002-0002",
        "slots_0001-0009_classes_0000-0001",
        "slots_0001-0009_classes_0002-0002",
    ]
    assert [job.size for job in made] == [4, 2, 36, 18]  # images of two iterations


def test_every_artifact_has_a_job_and_no_two_jobs_make_the_same() -> None:
    for file in ("config.yaml", "experiments/classics-digits.yaml"):
        plan = plan_of_file(ROOT / file, check_files=False)
        made = list(jobs(plan))
        assert {job.node.key for job in made} == plan.nodes.keys()
        assert len({job.output for job in made}) == len({job.log for job in made}) == len(made)
        assert all(job.size > 0 for job in made)


def test_students_of_more_images_and_epochs_have_more_to_do(tiny: dict[str, Any]) -> None:
    small, large = (plan_of({**tiny, "ipc": [ipc]}) for ipc in (1, 10))
    sizes = [
        next(job.size for job in jobs(plan) if job.node.stage == "validate")
        for plan in (small, large)
    ]
    assert sizes == [3, 30]  # images in the only epoch
