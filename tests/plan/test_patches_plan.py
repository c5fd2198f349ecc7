"""RDED, and recoveries that start from patches, in the plan."""

from typing import Any

import pytest

from scdd.errors import ScddError
from scdd.plan.cost.stages import jobs_of
from scdd.plan.load import plan_of
from scdd.plan.plan import Node, Plan
from scdd.plan.wording import describe

TRAIN = 1437  # of digits


def planned(*methods: Any, **changes: Any) -> Plan:
    config = {
        "experiment": "e",
        "dataset": "digits",
        "backbone": {"arch": "resnet10", "width": 0.25},
        "methods": list(methods),
        "ipc": [1, 10],
        "seeds": [0],
        "recover": {"block": 10},
    }
    return plan_of(config | changes)


def sources(plan: Plan) -> list[Node]:
    """What the images of each set are made by, without recoveries."""
    sets = [plan.parent(node, "source") for node in plan.of("imageset")]
    return [node for node in sets if node.stage == "select"]


def test_images_of_single_crops_are_nested() -> None:
    first, second = sources(planned("scdd", "rded"))
    assert first == second
    assert first.params == {"method": "rded", "storage": "lossless"}


def test_mosaics_are_made_anew_for_each_ipc_of_the_same_crops() -> None:
    plan = planned("scdd", {"name": "rded", "patches": {"factor": 2}})
    first, second = sources(plan)
    assert [node.params["ipc"] for node in (first, second)] == [1, 10]
    assert plan.parent(first, "patches") == plan.parent(second, "patches")


def test_the_observer_is_the_teacher_or_the_one_that_is_named() -> None:
    by_other = {"name": "other", "like": "rded", "observer": "sre2l"}
    plan = planned("scdd", "sre2l", "rded", by_other)
    probes = plan.of("probe")
    assert [plan.parent(node, "teacher") for node in plan.of("patches")] == probes
    (table,) = plan.of("tables")
    assert "other: crops chosen by the probe of sre2l." in table.params["notes"]


def test_how_images_are_kept_leaves_the_choice_as_it_is() -> None:
    plan = planned("scdd", "rded", {"name": "b", "like": "rded", "patches": {"storage": "jpeg"}})
    assert len(plan.of("patches")) == 1
    assert len({node.key for node in sources(plan)}) == 2


@pytest.mark.parametrize("start", ["patches", "median"])
def test_a_recovery_starts_from_what_its_own_teacher_chooses(start: str) -> None:
    plan = planned("sre2l", {"name": "scdd", "recover": {"start": start}})
    (chosen,) = plan.of("patches")
    without, with_start = plan.of("recover")
    assert "patches" not in without.parents
    assert plan.parent(with_start, "patches") == chosen
    assert plan.parent(chosen, "teacher") == plan.parent(with_start, "teacher")


def test_a_recovery_may_have_patches_of_its_own() -> None:
    own = {"recover": {"start": "patches"}, "patches": {"factor": 2, "pool": 40}}
    (chosen,) = planned({"name": "scdd", **own}).of("patches")
    assert [chosen.params[key] for key in ("factor", "pool", "crops")] == [2, 40, 5]


def test_a_sweep_of_patches_has_one_teacher() -> None:
    swept = {"name": "rded", "sweep": {"patches": {"factor": [1, 2, 3]}}}
    plan = planned("scdd", swept, ipc=[1])
    assert len(plan.of("probe")) == 1
    assert [node.params["factor"] for node in plan.of("patches")] == [1, 2, 3]


def test_jobs_that_rank_images_are_told_apart() -> None:
    plan = planned("scdd", "rded", {"name": "d", "like": "scdd", "recover": {"start": "median"}})
    assert [describe(plan, node, {}) for node in plan.of("patches")] == [
        "rank real images for RDED, digits, factor 1",
        "rank real images for d, digits, around the median",
    ]


def test_the_observer_sees_every_crop_of_the_pool() -> None:
    """As often as a verifier sees the ten images of each class."""
    plan = planned(
        "scdd",
        {"name": "rded", "patches": {"pool": 50, "crops": 4}},
        {"name": "d", "like": "scdd", "recover": {"start": "median"}},
        ipc=[10],
        verifier="scdd",
    )
    verified, *_ = (job for node in plan.of("verify") for job in jobs_of(plan, node))
    seen = verified.work.flops / (10 * 10)
    crops, whole = (job for node in plan.of("patches") for job in jobs_of(plan, node))
    assert crops.work.flops == pytest.approx(10 * 50 * 4 * seen)
    assert whole.work.flops == pytest.approx(TRAIN * seen)


@pytest.mark.parametrize(
    ("methods", "changes", "message"),
    [
        (
            ["scdd", "rded"],
            {"ipc": [101]},
            "ipc: 101, with which method 'rded' takes crops of 101 images of a class, but "
            "patches.pool is 100. Set it to 101 or more, or lower ipc.",
        ),
        (
            ["scdd", {"name": "rded", "patches": {"factor": 3, "pool": 10000}}],
            {"ipc": [20]},
            "ipc: 20, with which method 'rded' takes crops of 180 images of a class for 20 "
            "(patches.factor 3), but the smallest class of digits has 139 training images. Lower "
            "ipc or patches.factor.",
        ),
        (
            [{"name": "scdd", "recover": {"start": "patches"}, "patches": {"factor": 2}}],
            {"ipc": [25]},
            "ipc: 25, with which method 'scdd' takes crops of 120 images of a class for 30 "
            "(patches.factor 2), but patches.pool is 100.",
        ),
        (
            [{"name": "scdd", "recover": {"start": "median"}}],
            {"ipc": [101]},
            "ipc: 101, but the smallest class of digits has 139 training images, and method "
            "'scdd' starts 150 from real ones. Lower ipc to 100.",
        ),
        (
            [{"name": "scdd", "patches": {"factor": 2}}],
            {},
            "methods.scdd.patches: its recovery starts from noise. Set recover.start to patches,",
        ),
        (
            ["scdd", {"name": "rded", "observer": "sre"}],
            {},
            "methods.rded.observer: 'sre' is not a method with a probe.",
        ),
        (["rded"], {}, "methods.rded: needs a teacher, and no method has a probe."),
        (
            ["scdd", {"name": "rded", "patches": {"factor": 4}}],
            {},
            "patches.factor: input should be less than or equal to 3 (got 4)",
        ),
        (["scdd"], {"patches": {"pol": 3}}, "patches.pol"),
        (["scdd", {"name": "random", "patches": {"pool": 3}}], {}, "methods.random.patches: this"),
    ],
)
def test_what_no_job_could_do_is_told_before_the_first(
    methods: list[Any], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ScddError) as refused:
        planned(*methods, **changes)
    assert message in str(refused.value)
