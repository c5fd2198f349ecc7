"""Sweeps: which variants stand for a method or a protocol, and what they share in the plan."""

from typing import Any

import pytest

from scdd.errors import ScddError
from scdd.params.experiment import Experiment
from scdd.params.network import Network
from scdd.plan.config import parse
from scdd.plan.load import plan_of
from scdd.plan.plan import Plan
from scdd.plan.presets import merge
from scdd.plan.sweeps import expand

Config = dict[str, Any]
DIGITS: Config = {"experiment": "e", "dataset": "digits", "ipc": [1], "seeds": [0]}
LR = {"recover": {"lr": [0.2, 0.4]}}


def experiment(*methods: Any, **more: Any) -> Experiment:
    return parse(Experiment, {**DIGITS, "methods": list(methods), **more}, "")


def artifacts(plan: Plan) -> set[str]:
    """All but the tables, whose columns have other names."""
    return {key for key, node in plan.nodes.items() if node.stage != "tables"}


def tables(plan: Plan) -> dict[str, Any]:
    (node,) = plan.of("tables")
    return node.params


def refusal(method: Config, **more: Any) -> str:
    with pytest.raises(ScddError) as caught:
        plan_of({**DIGITS, "methods": [method], **more})
    return str(caught.value)


# ---- of a method -------------------------------------------------------------------------------


def test_variants_take_the_place_of_a_method() -> None:
    config, _ = expand(experiment("sre2l", {"name": "scdd", "sweep": LR}, "random"))
    assert [(each.name, each.title, each.like, each.recover) for each in config.methods] == [
        ("sre2l", None, None, {}),
        ("scdd-lr-0.2", "SC-DD, lr 0.2", "scdd", {"lr": 0.2}),
        ("scdd-lr-0.4", "SC-DD, lr 0.4", "scdd", {"lr": 0.4}),
        ("random", None, None, {}),
    ]


def test_without_a_sweep_nothing_changes() -> None:
    plain = experiment("scdd", "random", protocol={"scdd-paper": {"epochs": 3}})
    assert expand(plain) == (plain, [])


def test_variants_keep_what_their_method_has() -> None:
    own = {"name": "mine", "like": "scdd", "recover": {"lr": 9, "iterations": 7}, "ipc": [1]}
    config, _ = expand(experiment({**own, "sweep": LR}))
    first = config.methods[0]
    assert (first.title, first.like, first.ipc) == ("mine, lr 0.2", "scdd", (1,))
    assert first.recover == {"lr": 0.2, "iterations": 7}


def test_two_keys_make_their_product_and_equal_last_parts_are_told_apart() -> None:
    sweep = {"probe": {"lr": [1, 2]}, "recover": {"lr": [0.2], "view": {"flip": [True, False]}}}
    config, (swept,) = expand(experiment({"name": "scdd", "sweep": sweep}))
    assert swept.keys == ("probe.lr", "recover.lr", "flip")
    assert list(swept.variants.values()) == [
        (1, 0.2, True),
        (1, 0.2, False),
        (2, 0.2, True),
        (2, 0.2, False),
    ]
    last = config.methods[-1]
    assert last.title == "SC-DD, probe.lr 2, recover.lr 0.2, flip false"
    assert last.name == "scdd-probe.lr-2-recover.lr-0.2-flip-false"
    assert (last.probe, last.recover) == ({"lr": 2}, {"lr": 0.2, "view": {"flip": False}})


def test_the_values_of_a_key_that_is_a_list_are_lists() -> None:
    config, _ = expand(
        experiment({"name": "scdd", "sweep": {"recover": {"betas": [[0.5, 0.9], [0.9, 0.99]]}}})
    )
    assert [each.title for each in config.methods] == [
        "SC-DD, betas [0.5, 0.9]",
        "SC-DD, betas [0.9, 0.99]",
    ]
    assert config.methods[0].recover == {"betas": [0.5, 0.9]}
    swept = {"name": "scdd", "sweep": {"recover": {"betas": [0.5, 0.9]}}}
    assert "recover.betas: input should be a valid list (got 0.5)" in refusal(swept)


def test_a_variant_with_the_methods_own_value_shares_its_artifacts() -> None:
    common = {**DIGITS, "recover": {"lr": 0.4, "block": 10}}
    plain = plan_of({**common, "methods": ["scdd"]})
    swept = plan_of({**common, "methods": [{"name": "scdd", "sweep": LR}]})
    assert artifacts(plain) < artifacts(swept)


def test_another_value_adds_its_own_artifacts_from_the_recovery_on() -> None:
    def planned(values: list[float]) -> set[str]:
        method = {"name": "scdd", "sweep": {"recover": {"lr": values}}}
        return artifacts(plan_of({**DIGITS, "methods": [method], "recover": {"block": 10}}))

    new = planned([0.2, 0.4, 0.6]) - planned([0.2, 0.4])
    assert sorted(key.split("/")[0] for key in new) == [
        "imageset",
        "recover",
        "relabel",
        "validate",
    ]


def test_variants_of_a_recovery_have_one_teacher_by_the_name_of_their_method() -> None:
    config = {**DIGITS, "recover": {"block": 10}, "verifier": "scdd"}
    params = tables(plan_of({**config, "methods": [{"name": "scdd", "sweep": LR}, "random"]}))
    assert {cell["teacher"] for cell in params["cells"]} == {"scdd"}
    assert [probe["title"] for probe in params["probes"]] == ["SC-DD"]


def test_variants_of_a_probe_have_a_teacher_each() -> None:
    swept = {"name": "scdd", "sweep": {"probe": {"epochs": [1, 2]}}}
    params = tables(plan_of({**DIGITS, "methods": [swept], "recover": {"block": 10}}))
    teachers = [(cell["method"], cell["teacher"]) for cell in params["cells"]]
    assert teachers == [("scdd-epochs-1", "scdd-epochs-1"), ("scdd-epochs-2", "scdd-epochs-2")]


def test_a_backbone_is_swept_by_its_size_with_the_rest_of_the_experiments() -> None:
    sweep = {"backbone": {"width": [0.125, 0.5]}, "squeeze": {"seed": [3]}}
    shared = {"backbone": {"arch": "resnet10", "width": 0.25}}
    config, (swept,) = expand(experiment({"name": "scdd", "sweep": sweep}, **shared))
    assert [(each.name, each.backbone, each.squeeze) for each in config.methods] == [
        ("scdd-width-0.125-seed-3", Network("resnet10", 0.125), {"seed": 3}),
        ("scdd-width-0.5-seed-3", Network("resnet10", 0.5), {"seed": 3}),
    ]
    assert not swept.one_teacher


def test_a_methods_own_backbone_is_what_its_sweep_varies() -> None:
    own = {"arch": "resnet18", "width": 0.5}
    method = {"name": "scdd", "backbone": own, "sweep": {"backbone": {"arch": ["resnet34"]}}}
    config, _ = expand(experiment(method))
    assert [each.backbone for each in config.methods] == [Network("resnet34", 0.5)]


# ---- of a protocol -----------------------------------------------------------------------------


def test_variants_take_the_place_of_a_protocol() -> None:
    only = {"name": "random", "protocols": ["scdd-paper"]}
    config, (swept,) = expand(
        experiment(
            "scdd",
            only,
            protocols=["sre2l", "scdd-paper"],
            protocol={"scdd-paper": {"epochs": 9, "sweep": {"lr": [0.1, 0.2]}}},
        )
    )
    names = ("scdd-paper-lr-0.1", "scdd-paper-lr-0.2")
    assert config.protocols == ("sre2l", *names)
    assert config.methods[1].protocols == names
    assert config.protocol == {
        "scdd-paper": {"epochs": 9},
        names[0]: {"like": "scdd-paper", "lr": 0.1},
        names[1]: {"like": "scdd-paper", "lr": 0.2},
    }
    assert (swept.kind, swept.variants) == ("protocol", {names[0]: (0.1,), names[1]: (0.2,)})


def test_variants_of_a_protocol_that_is_like_another_are_like_that_one() -> None:
    slow = {"like": "scdd-paper", "lr": 0.5, "sweep": {"epochs": [3]}}
    config, _ = expand(experiment("scdd", protocols=["slow"], protocol={"slow": slow}))
    assert config.protocol == {"slow-epochs-3": {"like": "scdd-paper", "lr": 0.5, "epochs": 3}}


def test_images_and_labels_are_shared_by_the_learning_rates_of_students() -> None:
    protocol = {"scdd-paper": {"sweep": {"lr": [0.1, 0.2]}}}
    config = {**DIGITS, "methods": ["scdd"], "recover": {"block": 10}, "protocol": protocol}
    plan = plan_of(config)
    assert [len(plan.of(stage)) for stage in ("imageset", "relabel", "validate")] == [1, 1, 2]


# ---- refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        ({"recover": {"lr": 0.2}}, "sweep.recover.lr: a list of values is needed (got 0.2)."),
        ({"recover": {}}, "sweep.recover: a list of values is needed (got {})."),
        ({"recover": {"lr": []}}, "sweep.recover.lr: a list of values is needed (got [])."),
        ({"recover": {"lr": [1, 1]}}, "sweep.recover.lr: 1 appears twice."),
        ({"recover": {"view": [{"flip": True}]}}, "sweep.recover.view: a mapping is not a value."),
        ({"recover": {"seed": [*range(101)]}}, "sweep: 101 variants, and 100 are the most."),
        ({"learn": {"lr": [1]}}, "sweep.learn: this method has no use for it."),
        ({"backbone": {"width": [0]}}, "sweep.backbone.width: input should be greater than"),
    ],
)
def test_what_is_not_a_sweep_is_refused(sweep: Config, message: str) -> None:
    assert refusal({"name": "scdd", "sweep": sweep}).startswith(f"methods.scdd.{message}")


def test_unknown_keys_are_named() -> None:
    section = {"name": "scdd", "sweep": {"recovr": {"lr": [1]}}}
    assert refusal(section).startswith("unknown key methods.scdd.sweep.recovr. ")
    network = {"name": "scdd", "sweep": {"backbone": {"widht": [1]}}}
    assert refusal(network).startswith("unknown key methods.scdd.sweep.backbone.widht. ")
    key = {"name": "scdd", "sweep": {"recover": {"lrr": [1]}}}
    assert refusal(key).startswith("unknown key recover.lrr. ")


def test_a_swept_method_and_another_of_its_name_are_refused() -> None:
    swept, plain = {"name": "scdd", "sweep": LR}, "scdd"
    with pytest.raises(ScddError, match="methods: a name appears twice"):
        plan_of({**DIGITS, "methods": [swept, plain]})


def test_names_that_are_too_long_are_refused() -> None:
    sweep = {"recover": {"betas": [[0.123456789, 0.123456789], [0.5, 0.9]], "iterations": [1000]}}
    message = refusal({"name": "a-rather-long-name", "like": "scdd", "sweep": sweep})
    assert "is longer than the 60 characters of a name" in message


@pytest.mark.parametrize(
    ("protocol", "message"),
    [
        ({"scdd-paper": {"sweep": [1]}}, "protocol.scdd-paper.sweep: keys with lists of values"),
        ({"whole": {"sweep": {"lr": [1]}}}, "protocol.whole.sweep: training on the whole data"),
        (
            {"scdd-paper": {"sweep": {"lr": [1]}}, "scdd-paper-lr-1": {"like": "sre2l"}},
            "protocol.scdd-paper-lr-1: scdd-paper's sweep has a variant of this name.",
        ),
    ],
)
def test_protocols_that_are_swept_wrongly_are_refused(protocol: Config, message: str) -> None:
    assert refusal({"name": "random-hard"}, protocol=protocol).startswith(message)


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ({"recover": {"lr": [0.2, 0.4]}}, "a method's sweep: {recover: {lr: [0.2, 0.4]}}."),
        (
            {"squeeze": {"mocov2": {"view": {"flip": [True, False]}}}},
            "a method's sweep: {squeeze: {view: {flip: [True, False]}}}.",
        ),
        (
            {"protocol": {"scdd-paper": {"lr": [1, 2]}}},
            "protocol.scdd-paper.sweep: {lr: [1, 2]}.",
        ),
    ],
)
def test_a_list_in_place_of_a_value_is_told_of_sweeps(
    tiny: Config, change: Config, hint: str
) -> None:
    with pytest.raises(ScddError) as refusal:
        plan_of(merge(tiny, change))
    assert str(refusal.value).endswith(f"To try each value, set {hint}")


@pytest.mark.parametrize(
    "change",
    [
        {"recover": {"betas": [0.1, 0.2, 0.3]}},
        {"squeeze": {"mocov2": {"view": ["none"]}}},
        {"protocol": {"whole": {"lr": [1, 2]}}},
        {"seeds": 1.5},
    ],
)
def test_what_cannot_be_swept_is_not(tiny: Config, change: Config) -> None:
    with pytest.raises(ScddError) as refusal:
        plan_of(merge(tiny, change))
    assert "sweep" not in str(refusal.value)
