"""Parameters beside the published ones."""

from dataclasses import dataclass

from scdd.params.base import Section, param
from scdd.plan.load import plan_of
from scdd.plan.presets import Preset
from scdd.plan.settings import Setting, in_a_cell, merged, settings


@dataclass(frozen=True)
class Some(Section):
    lr: float = param(0.1, "a")
    crop: tuple[float, float] | None = param(None, "b")
    steps: int = param(5, "c")
    own: int = param(1, "d")


def test_each_value_stands_beside_the_published_one():
    published = Preset(
        {"lr": 0.1, "crop": [0.5, 1.0], "steps": 9},
        {"lr": "paper", "crop": "code", "steps": "assumed"},
    )
    lines = settings("part", Some(crop=(0.5, 1.0), own=2), published, "cifar", ["own"])
    assert {line.key: line.remark for line in lines} == {
        "lr": "",
        "crop": "",
        "steps": "differs",
        "own": "set here",
    }
    (steps,) = (line for line in lines if line.key == "steps")
    assert steps[2:6] == (*("5", "9", "assumed", "cifar"),)


def test_values_of_several_ipcs_share_a_line():
    line = Setting("p", "k", "1", "1", "paper", "x")
    assert merged([line, line._replace(value="2", remark="differs")]) == [
        Setting("p", "k", "1; 2", "1", "paper", "x", "differs")
    ]


def test_values_are_written_as_in_yaml():
    assert [in_a_cell(value) for value in (None, True, (0.5, 1), "a")] == [
        *("null", "true", "[0.5, 1]", "a"),
    ]


def test_tables_know_the_controls_and_what_differs_from_the_paper():
    """Values of the paper for CIFAR-100: 1000 iterations, lr 0.4."""
    methods = ["scdd", "untrained", "random", "noise", "whole", "herding"]
    config = {
        **{"experiment": "x", "dataset": {"name": "cifar100"}, "methods": methods, "ipc": [1]},
        "recover": {"iterations": 20},
    }
    (table,) = plan_of(config, check_files=False).of("tables")
    assert table.params["controls"] == ["untrained", "random", "noise", "whole"]
    of_recovery = {
        line["key"]: line
        for line in table.params["settings"]
        if line["part"] == "recover scdd-paper"
    }
    assert of_recovery["iterations"]["remark"] == "differs"
    assert of_recovery["iterations"]["published"] == "1000"
    assert of_recovery["lr"]["remark"] == ""
    assert of_recovery["lr"]["of"] == "cifar"
