"""By which values artifacts differ."""

from typing import Any

from scdd.plan.differences import among_namesakes, differing, settings
from scdd.plan.load import plan_of


def test_values_are_an_artifacts_own_and_those_that_it_is_made_with(tiny: dict[str, Any]) -> None:
    plan = plan_of(tiny)
    (values,) = settings(plan, plan.of("imageset"))
    assert values["imageset.ipc"] == 1
    assert values["recover.iterations"] == 2
    assert values["squeeze.queue"] == 128
    assert values["data.name"] == "digits"
    assert "relabel.seed" not in values


def test_a_further_teachers_stages_have_its_number(tiny: dict[str, Any]) -> None:
    tiny["methods"] = [{"name": "scdd", "committee": ["sre2l"]}, "sre2l"]
    plan = plan_of(tiny)
    values = settings(plan, plan.of("recover"))[0]
    assert (values["squeeze.method"], values["squeeze_2.method"]) == ("mocov2", "supervised")


def test_only_values_that_differ_are_told_of_those_that_have_them() -> None:
    items = [{"a": 1, "b": 1}, {"a": 1, "b": 2, "c": 3}, {"a": 1}]
    assert differing(items) == [{"b": 1}, {"b": 2}, {}]


def test_namesakes_differ_by_what_was_changed_before_them(tiny: dict[str, Any]) -> None:
    tiny["methods"] = ["scdd", {"name": "slow", "like": "scdd", "recover": {"lr": 0.1}}]
    plan = plan_of(tiny)
    found = among_namesakes(plan)
    assert {plan.nodes[key].stage for key in found} == {
        "recover",
        "imageset",
        "relabel",
        "validate",
    }
    assert [found[node.key] for node in plan.of("validate")] == [
        {"recover.lr": 0.4},
        {"recover.lr": 0.1},
    ]


def test_the_tables_are_told_where_students_are_from_without_another_digest(
    tiny: dict[str, Any],
) -> None:
    tiny |= {"methods": ["scdd", {"name": "slow", "like": "scdd", "recover": {"lr": 0.1}}]}
    plan = plan_of({**tiny, "seeds": [0, 1]})
    (tables,) = plan.of("tables")
    labels = {node.key for node in plan.of("relabel")}
    assert {origin["labels"] for origin in tables.params["origins"]} == labels
    values = [origin["values"] for origin in tables.params["origins"]]
    assert values == [{"recover.lr": 0.4}] * 2 + [{"recover.lr": 0.1}] * 2
