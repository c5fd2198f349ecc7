"""CCFS in the plan: its chain of curricula, what it shares, and what is refused."""

from typing import Any

import pytest

from scdd.errors import ScddError
from scdd.plan.load import plan_of
from scdd.plan.methods.curricula import distilled, lots
from scdd.plan.plan import Node, Plan
from scdd.plan.presets import merge
from scdd.plan.wording import describe

CONFIG: dict[str, Any] = {
    "experiment": "e",
    "dataset": "digits",
    "backbone": {"arch": "resnet10", "width": 0.25},
    "students": [{"arch": "resnet10", "width": 0.25}, "resnet18"],
    "methods": ["scdd", "ccfs"],
    "ipc": [12],
    "seeds": [0],
    "recover": {"block": 10},
}


def planned(*methods: Any, **more: Any) -> Plan:
    return plan_of(CONFIG | {"methods": list(methods)} | more)


def refusal(*methods: Any, **more: Any) -> str:
    with pytest.raises(ScddError) as caught:
        planned(*methods, **more)
    return str(caught.value)


def images_of(plan: Plan, node: Node) -> Node:
    """The image set of a curriculum or a student."""
    return plan.parent(plan.parent(node, "labels"), "images")


@pytest.mark.parametrize(
    ("ipc", "share", "count"),
    [(50, 0.1, 5), (100, 0.29, 29), (3, 0.2, 1), (1, 0.5, 1), (9, 0.4, 3)],
)
def test_the_share_of_distilled_images_is_rounded_down_to_one_at_least(
    ipc: int, share: float, count: int
) -> None:
    assert distilled(ipc, share) == count


@pytest.mark.parametrize(
    ("count", "curricula", "sizes"),
    [(45, 3, [15, 15, 15]), (20, 3, [7, 7, 6]), (2, 3, [1, 1]), (5, 1, [5])],
)
def test_lots_are_of_equal_size(count: int, curricula: int, sizes: list[int]) -> None:
    assert lots(count, curricula) == sizes


def test_each_curriculum_has_a_student_of_the_images_before_it() -> None:
    """Of 12 images 2 are distilled; lots of 4, 3 and 3 follow."""
    plan = planned("scdd", "ccfs")
    first, second, third = plan.of("curriculum")
    sets = [images_of(plan, node) for node in (first, second, third)]
    assert [images.params["ipc"] for images in sets] == [2, 6, 9]
    assert [node.params["taken"] for node in (first, second, third)] == [0, 4, 7]
    assert "before" not in first.parents
    assert (second.parents["before"], third.parents["before"]) == (first.key, second.key)
    (recovery,), (forgetting,) = plan.of("recover"), plan.of("forgetting")
    assert {node.parents["difficulty"] for node in (first, second, third)} == {forgetting.key}
    assert {images.parents["source"] for images in sets} == {recovery.key}
    assert [images.params.get("distilled") for images in sets] == [None, 2, 2]
    orders = [plan.parent(plan.parent(images, "last"), "order") for images in sets[1:]]
    assert orders == [first, second]


def test_the_images_are_the_distilled_ones_and_all_lots() -> None:
    plan = planned("scdd", "ccfs")
    (cell,) = [
        cell
        for cell in plan.of("tables")[0].params["cells"]
        if cell["method"] == "ccfs" and cell["student"] != "resnet18"
    ]
    images = plan.nodes[cell["images"].removesuffix("/set.json")]
    real = plan.parent(images, "last")
    assert plan.parent(real, "order") == plan.of("curriculum")[-1]
    assert [(filling.source.stage, filling.count) for filling in plan.fillings(images)] == [
        ("recover", 2),
        ("select", 10),
    ]
    folders = {path.parents[1] for path in plan.shards(images)}
    assert folders == {plan.of("recover")[0].folder, real.folder}
    # each is made as far as it is used: the recovery for SC-DD's own twelve images
    assert plan.largest_ipc(real) == 10
    assert plan.largest_ipc(plan.of("recover")[0]) == 12
    assert plan.jobs(real) == ["slots_0000-0000", "slots_0001-0009"]


def test_its_students_are_the_protocols_own_and_the_first_of_the_experiment() -> None:
    plan = planned("scdd", "ccfs")
    student = plan.of("curriculum")[0]
    (same,) = [
        node
        for node in plan.of("validate")
        if images_of(plan, node).params["method"] == "ccfs" and node.params["student"]["width"] < 1
    ]
    own = {"taken"}
    assert {k: v for k, v in student.params.items() if k not in own} == {
        k: v for k, v in same.params.items() if k != "val_resize"
    }


def test_curricula_of_an_ipc_share_its_base_with_the_method_that_it_is_of() -> None:
    """IPC 2 of SC-DD is what IPC 12 begins with, labels and all."""
    plan = planned("scdd", "ccfs", ipc=[2, 12])
    sets = [node for node in plan.of("imageset") if node.params["method"] == "recover"]
    assert sorted(node.params["ipc"] for node in sets) == [1, 2, 12]
    assert len([node for node in plan.of("relabel")]) == len(plan.of("imageset"))


def test_teachers_of_the_labels_say_what_is_known() -> None:
    both = {"name": "ccfs", "teacher": ["scdd", "sre2l"]}
    plan = planned("scdd", "sre2l", both)
    probes = {f"probe/{node.name}" for node in plan.of("probe")}
    for node in plan.of("curriculum"):
        assert {node.parents["teacher"], node.parents["teacher_2"]} == probes


@pytest.mark.parametrize("base", ["sre2l", "random", "scdd"])
def test_any_method_with_images_of_8_bits_can_be_the_base(base: str) -> None:
    plan = planned("scdd", "sre2l", "random", {"name": "ccfs", "base": base})
    (first, *_) = plan.of("curriculum")
    named = {"random": "random", "scdd": "mocov2", "sre2l": "supervised"}[base]
    assert named in images_of(plan, first).label


def test_keys_of_the_experiment_and_the_method() -> None:
    other = {"name": "other", "like": "ccfs", "ccfs": {"distilled": 0.5}}
    plan = planned("scdd", "ccfs", other, ccfs={"curricula": 1, "seed": 3})
    own, half = plan.of("curriculum")
    assert [images_of(plan, node).params["ipc"] for node in (own, half)] == [2, 6]
    assert {node.params["seed"] for node in (own, half)} == {3}


def test_another_protocol_may_train_the_students_of_the_curricula() -> None:
    plan = planned("scdd", "ccfs", protocols=["scdd-paper", "rded"], ccfs={"protocol": "rded"})
    assert {node.params["eta"] for node in plan.of("curriculum")} == {2}  # rded's
    sets = {cell["images"] for cell in plan.of("tables")[0].params["cells"]}
    assert len(sets) == 2  # one of SC-DD and one of CCFS, by both protocols


def test_a_sweep_of_the_share() -> None:
    swept = {"name": "ccfs", "sweep": {"ccfs": {"distilled": [0.25, 0.5]}}}
    plan = planned("scdd", swept, ccfs={"curricula": 1})
    assert [images_of(plan, node).params["ipc"] for node in plan.of("curriculum")] == [3, 6]


def test_the_published_shares() -> None:
    """scripts/ccfs_cifar100.sh and ccfs_tiny.sh."""
    firsts, batches = [], []
    for name, ipc in (("cifar100", 50), ("cifar100", 25), ("tiny-imagenet", 50)):
        dataset = {"name": name, "root": "nowhere"}
        config = CONFIG | {"dataset": dataset, "methods": ["cda", "ccfs"], "ipc": [ipc]}
        config["protocols"] = ["ccfs"]
        plan = plan_of(merge(config, {"recover": {"block": 100}}), check_files=False)
        firsts.append(images_of(plan, plan.of("curriculum")[0]).params["ipc"])
        assert len(plan.of("curriculum")) == 3
        students = [
            node for node in plan.of("validate") if images_of(plan, node).params["ipc"] == ipc
        ]
        batches.append((plan.of("curriculum")[0].params["batch"], students[0].params["batch"]))
    assert firsts == [5, 5, 10]
    assert batches == [(32, 64), (32, 32), (64, 64)]


def test_notes_tell_what_the_images_are() -> None:
    notes = planned("scdd", "ccfs").of("tables")[0].params["notes"]
    assert (
        "CCFS, IPC 12: 2 images of scdd, then real ones in lots of 4, 3, 3, each chosen by a "
        "student of the images before it (protocol scdd-paper)." in notes
    )


def test_a_curriculum_in_words() -> None:
    plan = planned("scdd", "ccfs")
    told = [describe(plan, node, {}) for node in plan.of("curriculum")]
    assert told == [
        f"find what the images lack of CCFS, digits, IPC {ipc}, resnet10-w0.25, 200 epochs"
        for ipc in (2, 6, 9)
    ]


@pytest.mark.parametrize(
    ("method", "more", "message"),
    [
        ({"base": "random-har"}, {}, "methods.ccfs.base: 'random-har' is not a method with images"),
        ({"base": "ccfs"}, {}, "methods.ccfs.base: 'ccfs' is not a method with images"),
        ({"base": "dm"}, {}, "methods.ccfs.base: the images of 'dm' are learned"),
        ({"ccfs": {"distilled": 1}}, {}, "distilled: input should be less than 1"),
        ({"ccfs": {"distiled": 0.5}}, {}, "unknown key ccfs.distiled. Did you mean 'distilled'?"),
        ({"ccfs": {"protocol": "rded"}}, {}, "ccfs.protocol: 'rded' is not one of the experiment"),
        ({}, {"ipc": [1]}, "ipc: 1, but method 'ccfs' needs a slot for a distilled image"),
        ({}, {"ipc": [180]}, "method 'ccfs' takes real ones"),
        ({}, {"protocols": ["dc"]}, "ccfs.protocol: dc has hard labels"),
    ],
)
def test_what_cannot_be_is_refused(method: Any, more: Any, message: str) -> None:
    dm = {"name": "dm", "ipc": [10], "protocols": ["dc"], "learn": {"zca": False}}
    if method.get("base") == "dm":
        more = {"protocols": ["scdd-paper", "dc"], "ipc": [50], "ccfs": {"protocol": "scdd-paper"}}
        assert message in refusal("scdd", dm, {"name": "ccfs", **method}, **more)
        return
    assert message in refusal("scdd", {"name": "ccfs", **method}, **more)


def test_without_a_teacher_of_its_own_a_base_must_be_named() -> None:
    assert refusal("random-hard", "ccfs") == (
        "methods.ccfs.base: no method with a teacher of its own is listed. Name a method."
    )
