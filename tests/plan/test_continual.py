"""Continual learning in the plan: memories, what they share, and what is refused."""

from pathlib import Path
from typing import Any

import pytest

from scdd.errors import ScddError
from scdd.params.experiment import Continual
from scdd.params.protocol import Relabel
from scdd.plan.continual import moments
from scdd.plan.cost.stages import jobs_of
from scdd.plan.jobs import jobs
from scdd.plan.load import plan_of
from scdd.plan.plan import Node, Plan
from scdd.plan.wording import describe
from scdd.report.sections import pages

Config = dict[str, Any]
CONFIG: Config = {
    "experiment": "e",
    "dataset": {"name": "digits", "classes": 8},
    "backbone": {"arch": "resnet10", "width": 0.25},
    "students": [{"arch": "resnet10", "width": 0.25}],
    "methods": ["scdd", "random"],
    "ipc": [10],
    "seeds": [0],
    "recover": {"block": 8},
    "protocol": {"scdd-paper": {"epochs": 50}},
}


def planned(continual: Config | None, **more: Any) -> Plan:
    return plan_of(CONFIG | {"continual": continual} | more)


def cells(plan: Plan, **wanted: Any) -> list[Config]:
    """Those of continual learning that have these values."""
    (tables,) = plan.of("tables")
    listed: list[Config] = tables.params["continual"]
    return [cell for cell in listed if all(cell[k] == v for k, v in wanted.items())]


def student(plan: Plan, cell: Config) -> Node:
    return plan.nodes[str(Path(cell["metrics"]).parent)]


def memory(plan: Plan, cell: Config) -> Node:
    return plan.nodes[str(Path(cell["images"]).parent)]


def refusal(continual: Config, **more: Any) -> str:
    with pytest.raises(ScddError) as caught:
        planned(continual, **more)
    return str(caught.value)


def test_an_experiment_without_it_is_as_it_was_and_all_of_it_is_in_one_with_it() -> None:
    without, with_it = planned(None), planned({"steps": [4], "orders": 1})
    assert "continual" not in without.of("tables")[0].params
    before = {key for key in without.nodes if not key.startswith("tables/")}
    assert before < with_it.nodes.keys()
    added = {with_it.nodes[key].stage for key in with_it.nodes.keys() - before}
    assert added == {"imageset", "relabel", "validate", "tables"}


def test_memories_recover_and_choose_no_further_image() -> None:
    plans = planned(None), planned({"steps": [4, 8], "orders": 2})
    made = [
        [job for job in jobs(plan) if job.node.stage in ("squeeze", "probe", "recover", "select")]
        for plan in plans
    ]
    assert [(job.node.key, job.ranges) for job in made[0]] == [
        (job.node.key, job.ranges) for job in made[1]
    ]


@pytest.mark.parametrize(
    ("classes", "steps", "seen"),
    [(8, 4, [2, 4, 6, 8]), (10, 3, [3, 6, 10]), (7, 4, [1, 3, 5, 7]), (5, 5, [1, 2, 3, 4, 5])],
)
def test_classes_come_in_shares_as_equal_as_can_be(
    classes: int, steps: int, seen: list[int]
) -> None:
    of_steps = [*moments(Continual(steps=(steps,), orders=1), classes)]
    assert [moment["seen"] for moment in of_steps] == seen
    assert [moment["step"] for moment in of_steps] == [*range(1, steps + 1)]


def test_a_memory_is_the_set_of_the_same_images_with_some_classes_and_the_last_is_the_set() -> None:
    plan = planned({"steps": [4], "orders": 2})
    (whole,) = {
        cell["images"] for cell in plan.of("tables")[0].params["cells"] if cell["method"] == "scdd"
    }
    for order in (0, 1):
        sets = [memory(plan, cell) for cell in cells(plan, method="scdd", order=order)]
        assert sets[-1].key == str(Path(whole).parent)
        assert {images.parents["source"] for images in sets} == {sets[-1].parents["source"]}
        for images, seen in zip(sets[:-1], (2, 4, 6), strict=True):
            assert images.params == {**sets[-1].params, "order": order, "seen": seen}


def test_the_class_order_is_the_students_seed_and_the_same_for_all_methods() -> None:
    plan = planned({"steps": [4], "orders": 3}, seeds=[7])
    for cell in cells(plan):
        known = memory(plan, cell).params
        assert (known.get("order", cell["order"]), known.get("seen", 8)) == (
            cell["order"],
            cell["seen"],
        )
        assert student(plan, cell).params["seed"] == cell["order"]
    moment = ("steps", "step", "order", "seen")
    by_method = [
        [tuple(cell[key] for key in moment) for cell in cells(plan, method=name)]
        for name in ("scdd", "random")
    ]
    assert by_method[0] == by_method[1]
    assert len(by_method[0]) == 3 * 4


def test_numbers_of_steps_share_students_and_the_last_are_those_of_the_main_table() -> None:
    plan = planned({"steps": [4, 8], "orders": 2})
    few, many = ({cell["metrics"] for cell in cells(plan, steps=steps)} for steps in (4, 8))
    assert few < many
    listed = {cell["metrics"] for cell in plan.of("tables")[0].params["cells"]}
    assert listed == {cell["metrics"] for cell in cells(plan, steps=4, step=4, order=0)}
    # of each method: 2 orders of 7 memories, and the whole set
    assert len(plan.of("validate")) == 2 * 2 * 8
    assert len(plan.of("relabel")) == len(plan.of("imageset")) == 2 * (2 * 7 + 1)


def test_labels_are_those_of_the_methods_teacher_for_the_memory_alone() -> None:
    plan = planned({"steps": [4], "orders": 1})
    (probe,) = plan.of("probe")
    for cell in cells(plan):
        labels = plan.parent(student(plan, cell), "labels")
        assert labels.parents == {"images": memory(plan, cell).key, "teacher": probe.key}


def test_hard_labels_have_the_memory_alone() -> None:
    plan = planned({"steps": [4], "orders": 1}, methods=["random-hard"])
    for cell in cells(plan):
        assert student(plan, cell).parents == {"images": memory(plan, cell).key}
    assert not plan.of("relabel")


def test_sets_of_two_sources_are_cut_as_others_are() -> None:
    plan = planned({"steps": [4], "orders": 1}, methods=["scdd", "ccfs"])
    images = memory(plan, cells(plan, method="ccfs", step=1)[0])
    whole = memory(plan, cells(plan, method="ccfs", step=4)[0])
    assert plan.fillings(images) == plan.fillings(whole)
    assert plan.checksums(images) == plan.checksums(whole)


def test_a_memory_counts_its_own_classes() -> None:
    plan = planned({"steps": [4], "orders": 1})
    cell = cells(plan, method="scdd", step=1)[0]
    trained, images = student(plan, cell), memory(plan, cell)
    labels = plan.parent(trained, "labels")
    assert [plan.class_count(node) for node in (images, labels, trained)] == [2, 2, 2]
    assert plan.class_count(plan.parent(images, "source")) == 8
    assert plan.set_bytes(images) == 2 * 10 * 3 * 16 * 16
    # ten images of two classes; a view, and two logits of two bytes, in each of a hundred epochs
    assert Relabel.of(labels.params).epochs_per_shard == 100
    assert plan.store_bytes(labels) == 2 * 10 * 100 * (25 + 2 * 2)
    sizes = {job.node.key: job.size for job in jobs(plan)}
    assert sizes[trained.key] == 2 * 10 * 50


def test_a_memory_costs_its_own_images_and_validation_images() -> None:
    plan = planned({"steps": [4], "orders": 1})
    first, last = (cells(plan, method="scdd", step=step)[0] for step in (1, 4))
    works = [jobs_of(plan, student(plan, cell))[0].work for cell in (first, last)]
    amounts = [{kind: amount.flops for (kind, _), amount in w.parts.items()} for w in works]
    for kind in ("train", "forward"):  # the classifier is smaller too
        assert amounts[0][kind] == pytest.approx(amounts[1][kind] / 4, rel=1e-3)
    shards = [jobs_of(plan, plan.parent(student(plan, cell), "labels")) for cell in (first, last)]
    assert 4 * shards[0][0].work.flops == pytest.approx(shards[1][0].work.flops)


def test_jobs_of_memories_tell_their_classes_and_no_two_read_alike() -> None:
    plan = planned({"steps": [8], "orders": 2})
    told = [describe(plan, node, {}) for node in plan.nodes.values()]
    assert sorted(told) == sorted(set(told))
    assert (
        "validate SC-DD, digits, IPC 10, 2 classes of order 1, resnet10-w0.25, seed 1, 50 epochs"
    ) in told
    assert "collect Random, digits, IPC 10, 1 class of order 0" in told


def test_the_table_is_shown_at_the_end() -> None:
    (tables,) = planned({"steps": [4], "orders": 1}).of("tables")
    assert "continual.md" in pages(tables.params)


@pytest.mark.parametrize(
    ("continual", "more", "message"),
    [
        ({"steps": [9]}, {}, "continual.steps: 9, but there are 8 classes. A step adds at least"),
        ({}, {}, "continual.steps: 10, but there are 8 classes."),
        ({"steps": [1]}, {}, "continual.steps.0: input should be greater than or equal to 2"),
        ({"steps": []}, {}, "continual.steps: "),
        ({"steps": [4, 4]}, {}, "continual.steps: 4 appears twice."),
        ({"steps": [4], "orders": 0}, {}, "continual.orders: input should be greater than or"),
        ({"step": [4]}, {}, "unknown key continual.step. Did you mean 'steps'?"),
        ({"steps": [8]}, {"ipc": [1]}, "with IPC 1 one image would be in memory after the first"),
        (
            {"steps": [4]},
            {"protocol": {"scdd-paper": {"form": "topk:3"}}},
            "continual, 2 classes in memory: protocol.scdd-paper.form: topk:3, but there are 2",
        ),
        ({"steps": [4]}, {"methods": ["whole"]}, "continual: there is no method whose images"),
    ],
)
def test_what_cannot_be_learned_in_steps_is_refused(
    continual: Config, more: Config, message: str
) -> None:
    assert message in refusal(continual, **more)
