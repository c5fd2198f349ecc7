"""Jobs in words."""

import pytest
from conftest import ROOT

from scdd.plan.load import plan_of_file
from scdd.plan.plan import Node, Plan
from scdd.plan.stages import STAGES
from scdd.plan.wording import DOES, describe


@pytest.fixture(scope="module")
def digits() -> Plan:
    return plan_of_file(ROOT / "config.yaml")


def words(plan: Plan, stage: str, **wildcards: str) -> list[str]:
    return [describe(plan, node, wildcards) for node in plan.of(stage)]


def test_a_recovery_names_its_method_dataset_and_images(digits: Plan) -> None:
    assert words(digits, "recover", slots="0001-0009") == [
        "recover SC-DD, digits, images 1–9",
        "recover SRe2L, digits, images 1–9",
        "recover Untrained, digits, images 1–9",
    ]


def test_a_single_image_and_a_block_of_classes(digits: Plan) -> None:
    (first, *_) = words(digits, "recover", slots="0000-0000", classes="0000-0004")
    assert first == "recover SC-DD, digits, image 0, classes 0–4"


def test_all_classes_are_not_told(digits: Plan) -> None:
    (first, *_) = words(digits, "recover", slots="0000-0000", classes="0000-0009", node="x")
    assert first == "recover SC-DD, digits, image 0"


def test_a_student_has_ipc_network_seed_and_epochs(digits: Plan) -> None:
    told = words(digits, "validate")
    assert told[0] == "validate SC-DD, digits, IPC 1, resnet10-w0.25, seed 0, 100 epochs"
    assert told[-1] == "validate Whole data, digits, resnet10-w0.25, seed 2, 15 epochs"


def test_a_teacher_is_not_that_of_methods_that_borrow_its_labels(digits: Plan) -> None:
    assert words(digits, "squeeze") == [
        "squeeze SC-DD, digits, MoCo v2, resnet10-w0.25, 16 epochs",
        "squeeze SRe2L, digits, Supervised, resnet10-w0.25, 8 epochs",
        "squeeze Untrained, digits, resnet10-w0.25",
    ]


def test_methods_that_share_images_are_both_named(digits: Plan) -> None:
    assert "choose Random + Random, hard labels, digits" in words(digits, "select")


def test_other_stages_say_what_they_do(digits: Plan) -> None:
    assert words(digits, "data") == ["read the dataset digits"]
    assert words(digits, "tables") == ["draw tables and figures of digits"]
    assert describe(digits, Node("paper", "mine", "0", {}, {}), {}) == "put together the paper mine"
    assert set(DOES) <= set(STAGES)


def test_protocols_are_told_where_there_are_several() -> None:
    plan = plan_of_file(ROOT / "experiments" / "protocols-digits.yaml")
    relabels = words(plan, "relabel", epochs="0000-0099")
    assert "relabel SC-DD, digits, IPC 10, rded, epochs 0–99" in relabels


@pytest.mark.parametrize("file", ["config.yaml", "experiments/classics-digits.yaml"])
def test_no_two_artifacts_of_a_plan_read_alike_but_image_sets(file: str) -> None:
    """Image sets of 8-bit and of float images, of the same learned ones, may."""
    plan = plan_of_file(ROOT / file)
    told = [describe(plan, node, {}) for node in plan.nodes.values() if node.stage != "imageset"]
    assert sorted(told) == sorted(set(told))
