"""What DD-Ranking's scores need: which students are planned, and none twice."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from scdd.errors import ScddError
from scdd.plan.load import plan_of
from scdd.plan.plan import Node, Plan
from scdd.report.sections import pages

Config = dict[str, Any]
ARMS = ["images", "images_hard", "images_plain", "random", "random_plain", "whole_hard"]


@pytest.fixture
def ranked(tiny: Config) -> Config:
    tiny["ranking"] = "scdd-paper"
    tiny["protocol"]["scdd-paper"]["epochs"] = 5
    tiny["protocol"]["whole"] = {"epochs": 1, "batch": 64}
    return tiny


def cells(plan: Plan) -> list[dict[str, Any]]:
    (tables,) = plan.of("tables")
    listed: list[dict[str, Any]] = tables.params["ranking"]
    return listed


def arms(plan: Plan, method: str) -> dict[str, Node]:
    """The student of each arm, of an experiment with one seed, student and IPC."""
    of_method = [cell for cell in cells(plan) if cell["of"]["method"] == method]
    assert sorted(cell["arm"] for cell in of_method) == ARMS
    return {cell["arm"]: plan.nodes[str(Path(cell["metrics"]).parent)] for cell in of_method}


def test_an_experiment_without_a_ranking_is_as_it_was(tiny: Config) -> None:
    (tables,) = plan_of(tiny).of("tables")
    assert "ranking" not in tables.params


def test_each_arm_is_a_student_of_what_its_name_says(ranked: Config) -> None:
    plan = plan_of(ranked)
    students = arms(plan, "scdd")
    assert len(plan.of("validate")) == len(students)
    labels = {
        arm: plan.nodes[s.parents["labels"]] for arm, s in students.items() if "labels" in s.parents
    }
    methods = {arm: plan.parent(node, "images").params["method"] for arm, node in labels.items()}
    assert methods == {
        "images": "recover",
        "images_plain": "recover",
        "random": "random",
        "random_plain": "random",
    }
    assert len({node.parents["teacher"] for node in labels.values()}) == 1
    for arm, node in labels.items():
        plain = arm.endswith("plain")
        assert node.params["view"]["crop"] == ("none" if plain else "padded")
        assert (node.params["mix"], node.params["view"]["flip"]) == (
            ("none", False) if plain else ("mixup", True)
        )
        assert students[arm].params["label_epochs"] == (1 if plain else 5)  # all are alike
        assert students[arm].params["epochs"] == 5
    hard, whole = students["images_hard"].params, students["whole_hard"]
    assert (hard["labels"], hard["mix"], hard["view"]["crop"]) == ("hard", "none", "padded")
    assert plan.parent(students["images_hard"], "images").params["method"] == "recover"
    assert [*whole.parents] == ["data"]


def test_random_images_are_labelled_by_the_teacher_of_the_method(ranked: Config) -> None:
    ranked["methods"] = ["scdd", "sre2l"]
    ranked["squeeze"]["supervised"] = {"epochs": 1, "batch": 64}
    plan = plan_of(ranked)
    teachers = [
        plan.nodes[student.parents["labels"]].parents["teacher"]
        for method in ("scdd", "sre2l")
        for student in (arms(plan, method)["images"], arms(plan, method)["random"])
    ]
    assert teachers[0] == teachers[1] != teachers[2] == teachers[3]


def test_what_the_table_has_is_not_trained_twice(ranked: Config) -> None:
    """Random images of the same teacher, the whole data, and two methods that share both."""
    ranked["methods"] = [
        "scdd",
        {"name": "longer", "like": "scdd", "recover": {"iterations": 3}},
        "random",
        "whole",
    ]
    plan = plan_of(ranked)
    # of each method: images, hard, plain; random, random plain, whole for both
    assert len(plan.of("validate")) == 2 * 3 + 3
    (tables,) = plan.of("tables")
    listed = {cell["metrics"] for cell in tables.params["cells"]}
    in_both = Counter(cell["arm"] for cell in cells(plan) if cell["metrics"] in listed)
    assert in_both == {"images": 2, "random": 2, "whole_hard": 2}
    assert {cell["of"]["title"] for cell in cells(plan)} == {"SC-DD", "longer"}


def test_controls_of_the_ranking_alone_are_in_no_other_table(ranked: Config) -> None:
    ranked |= {"ipc": [1, 10], "seeds": [0, 1]}
    (tables,) = plan_of(ranked).of("tables")
    assert {cell["method"] for cell in tables.params["cells"]} == {"scdd"}
    assert Counter(cell["of"]["ipc"] for cell in tables.params["ranking"]) == {1: 12, 10: 12}
    assert {entry["title"] for entry in tables.params["ranking"]} == {
        "SC-DD",
        "Random",
        "Whole data",
    }
    assert "ranking.md" in pages(tables.params)


def test_hard_labels_and_a_prescribed_student_are_those_of_the_protocol(tiny: Config) -> None:
    """By a protocol with hard labels, that of the images is their student with hard labels."""
    narrow = {"arch": "convnet3", "width": 0.0625}
    tiny["protocols"], tiny["ranking"] = ["scdd-paper", "dc"], ["dc"]
    tiny["protocol"] |= {
        "dc": {"epochs": 3, "student": narrow},
        "whole": {"epochs": 1, "batch": 64},
    }
    plan = plan_of(tiny)
    students = arms(plan, "scdd")
    assert students["images"] == students["images_hard"]
    assert {node.params["student"]["arch"] for node in students.values()} == {"convnet3"}
    assert students["images"].params["dsa"]
    assert not students["images_plain"].params["dsa"]
    assert "relabel" not in {node.stage for node in students.values()}


def test_labels_that_depend_on_their_batches_are_those_of_all_epochs(ranked: Config) -> None:
    ranked["protocol"]["scdd-paper"] |= {"teacher_bn": "batch", "mix_by": "batch"}
    student = arms(plan_of(ranked), "scdd")["images_plain"]
    assert student.params["label_epochs"] == 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ranking": "scdd"}, "ranking: 'scdd' is not one of the experiment's protocols."),
        ({"methods": ["scdd", "random-hard"], "ranking": []}, "ranking: "),
        (
            {"methods": ["random-hard"]},
            "ranking: no method with the protocol scdd-paper can be ranked.",
        ),
    ],
)
def test_what_cannot_be_ranked_is_refused(ranked: Config, change: Config, message: str) -> None:
    with pytest.raises(ScddError) as refusal:
        plan_of(ranked | change)
    assert message in str(refusal.value)
