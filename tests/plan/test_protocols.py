"""Protocols by IPC, and several teachers with weights."""

from typing import Any

import pytest

from scdd.errors import ScddError
from scdd.plan.load import plan_of
from scdd.plan.plan import Plan
from scdd.plan.presets import from_ipc

Config = dict[str, Any]
EQUAL = {"name": "both", "like": "random", "teacher": ["scdd", "sre2l"]}
VOTED = {**EQUAL, "teacher_priors": [64, 60.6]}


def on_cifar(dataset: str, name: str, ipc: list[int], **more: Any) -> Plan:
    config = {
        "experiment": "e",
        "dataset": dataset,
        "methods": ["random", {"name": "sre2l", "ipc": [1]}],
        "protocols": [name],
        "ipc": ipc,
        "seeds": [0],
        "recover": {"block": 10},
        **more,
    }
    return plan_of(config, check_files=False)


def students(plan: Plan, key: str) -> dict[int, Any]:
    """A parameter of the random images' students by IPC."""
    values = {}
    for node in plan.of("validate"):
        labels = plan.parent(node, "labels")
        images = plan.parent(labels, "images")
        if images.params["method"] == "random":
            values[images.params["ipc"]] = node.params[key]
    return values


@pytest.mark.parametrize(
    ("dataset", "protocol", "key", "by_ipc"),
    [
        ("cifar100", "rded", "batch", {1: 20, 10: 100, 20: 100, 50: 200, 100: 200}),
        ("cifar10", "rded", "batch", {1: 10, 10: 50, 50: 100}),
        ("cifar100", "cvdd", "eta", {1: 1, 10: 2, 49: 2, 50: 1}),
        ("cifar10", "cvdd", "eta", {1: 1, 10: 1, 50: 1}),
        ("cifar10", "cvdd", "batch", {1: 10, 10: 16}),
        ("cifar100", "fadrm", "lr", {1: 0.0005, 9: 0.0005, 10: 0.001, 50: 0.001}),
        ("cifar100", "fadrm", "eta", {1: 2, 10: 2, 50: 1}),
        ("cifar100", "delt", "batch", {1: 20, 10: 100, 20: 100, 30: 200, 40: 200, 100: 200}),
        ("cifar10", "edc", "optimizer", {1: "adamw", 10: "adamw"}),
        ("cifar100", "edc", "optimizer", {1: "sgd", 10: "sgd"}),
    ],
)
def test_published_values_are_those_of_the_authors_programs_for_an_ipc(
    dataset: str, protocol: str, key: str, by_ipc: dict[int, Any]
) -> None:
    assert students(on_cifar(dataset, protocol, list(by_ipc)), key) == by_ipc


def test_an_ipc_between_two_published_ones_is_noted() -> None:
    (table,) = on_cifar("cifar100", "cvdd", [10, 20]).of("tables")
    (said,) = (note for note in table.params["notes"] if "published for IPC" in note)
    assert said == "protocol cvdd: IPC 20 has the values that are published for IPC 10."


def test_an_experiment_sets_values_by_ipc_over_the_published_ones() -> None:
    own = {"cvdd": {"eta": 3, "by_ipc": {50: {"lr": 0.002}}}, "mine": {"like": "cvdd"}}
    plan = on_cifar("cifar100", "cvdd", [1, 10, 50], protocol=own)
    assert students(plan, "eta") == {1: 3, 10: 3, 50: 3}
    assert students(plan, "lr") == {1: 0.001, 10: 0.001, 50: 0.002}
    plan = on_cifar("cifar100", "mine", [10, 50], protocol=own)
    assert students(plan, "lr") == {10: 0.001, 50: 0.002}
    (table,) = plan.of("tables")
    assert "protocol cvdd: this experiment has its own eta, lr." in table.params["notes"]


def test_from_ipc_is_the_nearest_one_below() -> None:
    assert [from_ipc((10, 50, 1), ipc) for ipc in (1, 9, 10, 49, 1000)] == [1, 1, 10, 10, 50]
    assert from_ipc((10, 50), 9) is None
    assert from_ipc((10, 50), None) is None


def labels(config: Config) -> dict[str, Any]:
    """The parameters of the labels by several teachers."""
    plan = plan_of(config)
    (node,) = (node for node in plan.of("relabel") if "teacher_2" in node.parents)
    return node.params


@pytest.fixture
def several(tiny: Config) -> Config:
    """Six random images, labelled by two teachers."""
    return tiny | {"methods": ["scdd", "sre2l", VOTED], "protocols": ["cvdd"], "ipc": [2]}


def test_teachers_are_weighted_where_the_protocol_says_so(several: Config) -> None:
    voted = labels(several)
    assert (voted["teacher_priors"], voted["prior_temperature"]) == ([64, 60.6], 10)
    (table,) = plan_of(several).of("tables")
    said = "its teachers have the weights softmax(priors / 10), with the priors 64.0, 60.6."
    assert any(note.endswith(said) for note in table.params["notes"])
    several["protocols"] = ["cvdd", "fadrm"]
    both = [node for node in plan_of(several).of("relabel") if "teacher_2" in node.parents]
    assert sorted("teacher_priors" in node.params for node in both) == [False, True]
    several["methods"][2] = EQUAL
    assert "teacher_priors" not in labels(several | {"protocols": ["cvdd"]})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"methods": ["scdd", {**VOTED, "teacher": ["scdd"]}]},
            "methods.both.teacher_priors: 2 numbers for 1 teachers. Give one for each",
        ),
        (
            {"protocols": ["fadrm"]},
            "methods.both.teacher_priors: none of its protocols weights teachers by them. Set "
            "prior_temperature of protocol.fadrm, or leave the key out.",
        ),
        (
            {"protocol": {"cvdd": {"batch": 4}}},
            "protocol.cvdd.bn_groups: 2, but a batch of 2 of the 6 images would have groups of one",
        ),
        (
            {"protocol": {"cvdd": {"teacher_bn": "eval"}}},
            "protocol.cvdd: bn_groups is for teacher_bn: batch; set that, or leave bn_groups out",
        ),
        (
            {"protocol": {"cvdd": {"teacher_bn": "eval", "bn_groups": 1}}},
            "teacher_dropout is for teacher_bn: batch",
        ),
        (
            {"protocol": {"cvdd": {"batch": 15}}},
            "protocol.cvdd: batch 15 does not split into 2 passes of 2 images or more",
        ),
        (
            {"protocol": {"scdd-paper": {"milestone_factor": 0.5}}},
            "protocol.scdd-paper: milestone_factor 0.5 needs milestones",
        ),
        (
            {"protocol": {"cvdd": {"by_ipc": {50: {"lr": 0}}}}},
            "protocol.cvdd.lr: input should be greater than 0",
        ),
        (
            {"protocol": {"cvdd": {"by_ipc": {50: {"like": "rded"}}}}},
            "protocol.cvdd: by_ipc.50.like: this key is not by IPC",
        ),
        ({"protocol": {"cvdd": {"by_ipc": {"many": {}}}}}, "protocol.cvdd.by_ipc.many"),
        ({"protocol": {"cvdd": {"by_ipc": 3}}}, "protocol.cvdd.by_ipc: input should be"),
        (
            {"protocol": {"cvdd": {"label_reuse": "images"}}},
            "protocol.cvdd.label_reuse: input should be 'epochs', 'batches' or 'shuffled'",
        ),
    ],
)
def test_values_that_do_not_fit_are_named(several: Config, change: Config, message: str) -> None:
    with pytest.raises(ScddError) as caught:
        plan_of({**several, **change})
    assert message in str(caught.value)
