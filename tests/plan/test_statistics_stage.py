"""What a recovery gathers of real images is an artifact of each teacher, made once."""

from typing import Any

import pytest

from scdd.plan.cost.stages import jobs_of
from scdd.plan.load import plan_of
from scdd.plan.plan import Plan
from scdd.plan.wording import describe

NETWORK = {"arch": "resnet10", "width": 0.25}
OTHER = {"name": "other", "like": "sre2l", "backbone": "resnet18"}


def planned(*methods: Any, **changes: Any) -> Plan:
    config = {"experiment": "e", "dataset": "digits", "ipc": [10], "seeds": [0]}
    shared = {"backbone": NETWORK, "students": [NETWORK], "recover": {"block": 10}}
    return plan_of({**config, **shared, "methods": list(methods), **changes})


@pytest.mark.parametrize("name", ["gvbsm", "edc"])
def test_each_teacher_has_statistics_that_its_recoveries_read(name: str) -> None:
    plan = planned("sre2l", OTHER, {"name": name, "committee": ["other"]})
    (recover,) = [node for node in plan.of("recover") if "statistics" in node.parents]
    roles = ("teacher", "teacher_2", "statistics", "statistics_2")
    assert tuple(recover.parents) == roles
    own, others = (plan.parent(recover, role) for role in roles[2:])
    assert own.parents == {"teacher": recover.parents["teacher"]}
    assert others.parents == {"teacher": recover.parents["teacher_2"]}
    assert recover.params["teachers"] == "turn"


def test_recoveries_that_differ_otherwise_share_the_statistics() -> None:
    """G-VBSM, and EDC, which also reads those of classes."""
    plan = planned("sre2l", OTHER, *({"name": n, "committee": ["other"]} for n in ("gvbsm", "edc")))
    assert len(plan.of("recover")) == 4
    assert len(plan.of("statistics")) == 2


def test_a_recovery_of_running_statistics_gathers_none() -> None:
    plan = planned("sre2l", {"name": "m", "like": "sre2l", "recover": {"momentum": 0.8}})
    assert plan.of("statistics") == []


def test_statistics_take_a_pass_of_the_training_images() -> None:
    """digits has 1,437 of them; the recovery has fewer units, as large as nine slots."""
    plan = planned({"name": "m", "like": "sre2l", "recover": {"convolutions": "channels"}})
    plain = planned("sre2l")
    (node,) = plan.of("statistics")
    (job,) = jobs_of(plan, node)
    assert job.name == "statistics"
    assert set(kind for kind, _ in job.work.parts) == {"forward"}
    several = planned({"name": "m", "like": "sre2l", "recover": {"slots": 9}})
    (_, others), (_, alone) = (jobs_of(p, p.of("recover")[0]) for p in (several, plain))
    assert (others.units, alone.units) == (1, 9)
    assert others.work.flops == alone.work.flops
    assert others.memory > 5 * alone.memory
    assert describe(plan, node, {}).startswith("gather statistics for m, digits, Supervised")
