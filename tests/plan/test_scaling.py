"""Which methods belong together when images are compared by the size of their backbone."""

from typing import Any

import pytest

from scdd.plan.load import plan_of

Config = dict[str, Any]
SIZES = {"backbone": {"width": [0.125, 0.25]}, "squeeze": {"seed": [0, 1]}}


def tables(*methods: Any, **more: Any) -> Config:
    """The frozen parameters of the tables."""
    config: Config = {
        "experiment": "e",
        "dataset": "digits",
        "backbone": {"arch": "resnet10", "width": 0.25},
        "students": [{"arch": "resnet10", "width": 0.125}],
        "ipc": [1],
        "seeds": [0],
        "recover": {"block": 10},
        "methods": list(methods),
    }
    (node,) = plan_of(config | more).of("tables")
    return node.params


def test_sizes_and_seeds_of_a_squeeze_make_a_series() -> None:
    params = tables({"name": "scdd", "sweep": SIZES}, {"name": "sre2l", "sweep": SIZES}, "random")
    rows = [(row["series"], row["network"], row["seed"]) for row in params["scaling"]]
    assert rows == [
        (series, network, seed)
        for series in ("SC-DD", "SRe2L")
        for network in ("resnet10-w0.125", "resnet10-w0.25")
        for seed in (0, 1)
    ]
    labelled = {row["series"] for row in params["scaling"] if row["with_labels"]}
    assert labelled == {"SRe2L"}
    assert [row["method"] for row in params["scaling"]][1] == "scdd-width-0.125-seed-1"


def test_parameters_of_a_backbone_are_counted_without_its_classifier() -> None:
    """By hand: a ResNet-10 of eight channels in its first stage, with the small stem."""
    weights, before = 3 * 8 * 9 + 2 * 8, 8
    for after in (8, 16, 32, 64):
        weights += 9 * before * after + 9 * after * after + 4 * after
        weights += (before * after + 2 * after) if before != after else 0
        before = after
    params = tables({"name": "scdd", "sweep": {"backbone": {"width": [0.125, 0.25]}}})
    assert params["sizes"]["resnet10-w0.125"] == weights


def test_methods_that_are_written_out_are_a_series_too() -> None:
    """Whatever their names and titles, and wherever they are evaluated."""
    wide = {"name": "wide", "like": "scdd", "backbone": {"arch": "resnet10", "width": 0.5}}
    params = tables("scdd", {**wide, "title": "Wider", "ipc": [1]})
    assert {row["series"] for row in params["scaling"]} == {"SC-DD"}


def test_what_differs_otherwise_is_another_series() -> None:
    sweep = {"backbone": {"width": [0.125, 0.25]}}
    longer = {"name": "longer", "like": "scdd", "recover": {"iterations": 9}, "sweep": sweep}
    params = tables({"name": "scdd", "sweep": sweep}, longer)
    assert list(dict.fromkeys(row["series"] for row in params["scaling"])) == [
        "SC-DD",
        "longer",
    ]


def test_two_series_with_one_title_have_the_names_of_their_first_methods() -> None:
    widths = {"backbone": {"width": [0.125, 0.25]}, "recover": {"iterations": [8, 9]}}
    params = tables({"name": "scdd", "sweep": widths})
    assert list(dict.fromkeys(row["series"] for row in params["scaling"])) == [
        "SC-DD, scdd-width-0.125-iterations-8",
        "SC-DD, scdd-width-0.125-iterations-9",
    ]


@pytest.mark.parametrize(
    "methods",
    [
        ["scdd", "sre2l"],
        [{"name": "scdd", "sweep": {"squeeze": {"seed": [0, 1]}}}],
        ["scdd", {"name": "other", "like": "teacher", "backbone": "resnet10"}],
    ],
    ids=["one network", "seeds alone", "a teacher without images"],
)
def test_without_several_sizes_there_is_nothing_to_show(methods: list[Any]) -> None:
    assert "scaling" not in tables(*methods)
