"""Configurations, digests and paths."""

import math
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT

from scdd import cli
from scdd.artifacts.config import read_frozen
from scdd.data import sets
from scdd.errors import ScddError
from scdd.params.base import parameters, pick
from scdd.params.experiment import Experiment
from scdd.params.protocol import Protocol, Student, Train
from scdd.params.recover import Recover
from scdd.params.select import Forgetting
from scdd.params.squeeze import SQUEEZES, MoCoV2
from scdd.params.views import View
from scdd.plan import datasets, load
from scdd.plan.config import parse
from scdd.plan.identity import canonical, digest
from scdd.plan.load import freeze, plan_of, plan_of_file, thaw
from scdd.plan.methods import METHODS
from scdd.plan.plan import Node, Plan
from scdd.plan.presets import merge, preset, preset_names, published_ipcs
from scdd.plan.stages import STAGES
from scdd.report import sections

Config = dict[str, Any]


def plan_file(name: str) -> Plan:
    return plan_of_file(ROOT / name, check_files=False)


def digests(plan: Plan, stage: str) -> set[str]:
    return {node.digest for node in plan.of(stage)}


def squeezes_of_teachers(plan: Plan, node: Node) -> list[str]:
    """The squeezes of a node's teachers, in order."""
    return [path.parent.name.split("-")[2] for path in plan.made_by(node, "teacher")]


def refusal(config: Config) -> str:
    with pytest.raises(ScddError) as caught:
        plan_of(config)
    return str(caught.value)


# ---- identity ----------------------------------------------------------------------------------


def test_canonical_json_ignores_order_and_the_kind_of_a_whole_number() -> None:
    assert canonical({"b": 1.0, "a": (2, True)}) == canonical({"a": [2, True], "b": 1})
    assert canonical({"a": 1}) == '{"a":1}'


def test_a_digest_is_the_start_of_the_sha256_of_the_canonical_json() -> None:
    import hashlib

    assert digest({"a": 0.5}) == hashlib.sha256(b'{"a":0.5}').hexdigest()[:12]


def test_defaults_written_out_change_nothing(tiny: Config) -> None:
    before = plan_of(tiny)
    tiny["recover"] |= {"lr": 0.4, "betas": [0.5, 0.9]}
    assert plan_of(tiny).nodes.keys() == before.nodes.keys()


@pytest.mark.parametrize(
    ("section", "key", "value", "first"),
    [
        ("recover", "lr", 0.1, "recover"),
        ("probe", "epochs", 2, "probe"),
        ("dataset", "classes", 4, "data"),
        ("backbone", "width", 0.25, "squeeze"),
    ],
)
def test_a_parameter_changes_its_stage_and_all_after_it(
    tiny: Config, section: str, key: str, value: Any, first: str
) -> None:
    stages = ["data", "squeeze", "probe", "recover", "imageset", "relabel", "validate", "tables"]
    before = plan_of(tiny)
    tiny[section][key] = value
    after = plan_of(tiny)
    same = [stage for stage in stages if digests(before, stage) == digests(after, stage)]
    assert same == stages[: stages.index(first)]


@pytest.mark.parametrize(
    ("section", "value"),
    [
        ("machine", {"device": "cpu", "threads": 4, "save_every": 60, "pass_width": 2}),
        ("dataset", {"name": "digits", "classes": 3, "root": "x"}),
    ],
)
def test_where_and_how_jobs_run_is_in_no_digest(tiny: Config, section: str, value: Config) -> None:
    before = plan_of(tiny)
    tiny[section] = value
    assert plan_of(tiny).nodes.keys() == before.nodes.keys()


def test_two_experiments_share_what_is_the_same(tiny: Config, tmp_path: Path) -> None:
    other = {**tiny, "experiment": "other", "seeds": [0, 1]}
    files = [tmp_path / "one.yaml", tmp_path / "two.yaml"]
    for file, config in zip(files, (tiny, other), strict=True):
        file.write_text(yaml.safe_dump(config))
    both = plan_of({"experiments": [str(file) for file in files]})
    assert len(both.of("recover")) == 1
    assert len(both.of("validate")) == 2
    assert len(both.of("tables")) == 2


# without lists of others, which have nothing of their own
EXPERIMENTS = ["config.yaml"] + [
    f"experiments/{file.name}"
    for file in (ROOT / "experiments").iterdir()
    if "experiments" not in yaml.safe_load(file.read_text())
]


def shipped(name: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The artifacts of a shipped experiment, all but the tables."""
    sets.module("imagefolder")  # imported later, it would keep the function that is put in here
    monkeypatch.setattr("scdd.data.sets.class_folders", lambda root: [])
    return sorted(key for key, node in plan_file(name).nodes.items() if node.stage != "tables")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_digests_of_the_shipped_experiments_do_not_change(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An update that changes them throws weeks of results away: give a new key its `as_before`.

    Where a change is meant, `SCDD_WRITE_DIGESTS=1 pytest tests/plan` writes them anew.
    """
    file = ROOT / "tests" / "digests.yaml"
    committed = yaml.safe_load(file.read_text()) if file.exists() else {}
    if os.environ.get("SCDD_WRITE_DIGESTS"):
        committed[name] = shipped(name, monkeypatch)
        file.write_text(yaml.safe_dump(committed))
    assert shipped(name, monkeypatch) == committed[name]


# ---- backbones to look at ----------------------------------------------------------------------

LOOK = {
    "experiment": "look",
    "dataset": {"name": "digits", "classes": 3},
    "backbones": ["untrained", {"method": "supervised", "seeds": [0, 1]}],
    "recover": {"block": 3},
}


def test_an_experiment_may_have_backbones_alone() -> None:
    plan = plan_of(LOOK)
    counts = {stage: len(plan.of(stage)) for stage in STAGES if plan.of(stage)}
    assert counts == {"data": 1, "squeeze": 3, "probe": 3, "informativeness": 3, "tables": 1}
    (table,) = plan.of("tables")
    assert sections.pages(table.params) == ["backbones.md"]
    looks = table.params["backbones"]
    assert [(look["title"], look["seed"]) for look in looks] == [
        ("Untrained", None),
        ("Supervised", 0),
        ("Supervised", 1),
    ]


def test_a_backbone_that_a_method_uses_too_is_squeezed_once(tiny: Config) -> None:
    alone = plan_of(tiny)
    both = plan_of({**tiny, "backbones": ["mocov2"]})
    assert digests(alone, "probe") == digests(both, "probe")
    assert digests(alone, "validate") == digests(both, "validate")
    assert sections.pages(both.of("tables")[0].params) == ["main.md", "backbones.md"]


def test_a_backbones_own_network_squeeze_and_probe() -> None:
    backbone = {
        "method": "supervised",
        "backbone": "resnet34",
        "squeeze": {"epochs": 3},
        "probe": {"epochs": 4},
    }
    plan = plan_of({**LOOK, "backbones": [backbone]})
    (squeeze,), (probe,) = plan.of("squeeze"), plan.of("probe")
    assert (squeeze.params["arch"], squeeze.params["epochs"]) == ("resnet34", 3)
    assert probe.params["epochs"] == 4


def test_an_automatic_r_bn_makes_the_recovery_a_child_of_a_look_at_its_teacher(
    tiny: Config,
) -> None:
    tiny["recover"]["r_bn"] = "auto"
    plan = plan_of(tiny)
    (recover,), (look,), (probe,) = map(plan.of, ("recover", "informativeness", "probe"))
    assert recover.params["r_bn"] == "auto"
    assert recover.parents == {"teacher": probe.key, "informativeness": look.key}
    tiny["informativeness"] = {"balance": 3}
    other = plan_of(tiny)
    assert digests(other, "recover") != digests(plan, "recover")
    assert digests(other, "probe") == digests(plan, "probe")


def test_a_look_does_not_depend_on_the_recoverys_length_and_r_bn(tiny: Config) -> None:
    tiny["backbones"] = ["mocov2"]
    before = digests(plan_of(tiny), "informativeness")
    tiny["recover"] |= {"iterations": 7, "r_bn": "auto"}
    assert digests(plan_of(tiny), "informativeness") == before
    tiny["recover"] |= {"lr": 0.1}
    assert digests(plan_of(tiny), "informativeness") != before


CROPS = {"crop": [0.08, 1.0], "flip": True}
NORMAL = {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.2, 0.3]}
LATER = [
    {"crop_by": "image"},
    {"curriculum": "cosine"},
    {"curriculum": "cosine", "milestone": 0.5},
    {"start": "real"},
    {"statistics": "class"},
    NORMAL,
    {"storage": "jpeg"},
]


@pytest.mark.parametrize("change", LATER)
def test_a_later_key_of_the_recovery_is_in_its_digest_once_it_is_used(
    tiny: Config, change: Config
) -> None:
    tiny["recover"] |= CROPS
    (before,) = plan_of(tiny).of("recover")
    defaults = {key: parameters(Recover)[key].default for change in LATER for key in change}
    tiny["recover"] |= defaults
    assert plan_of(tiny).of("recover") == [before]
    tiny["recover"] |= change
    (after,) = plan_of(tiny).of("recover")
    assert after.digest != before.digest
    assert {key: after.params[key] for key in change} == change


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"start": "real"}, True),
        ({"statistics": "class"}, True),
        ({"storage": "jpeg"}, True),
        (NORMAL, False),
    ],
)
def test_a_look_at_a_teacher_depends_on_what_it_uses_of_the_recovery(
    tiny: Config, change: Config, same: bool
) -> None:
    tiny["recover"]["r_bn"] = "auto"
    before = digests(plan_of(tiny), "informativeness")
    tiny["recover"] |= change
    assert (digests(plan_of(tiny), "informativeness") == before) == same


# ---- coresets ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["herding", "kcenter"])
def test_a_coreset_is_chosen_by_the_network_that_labels_it_or_by_another(
    tiny: Config, name: str
) -> None:
    other = {"name": "other", "like": name, "features": "sre2l"}
    tiny["methods"] = ["scdd", "sre2l", name, other, {**other, "name": "third", "teacher": "sre2l"}]
    plan = plan_of(tiny)
    mocov2, supervised = plan.of("probe")
    assert [plan.parent(node, "teacher") for node in plan.of("coreset")] == [mocov2, supervised]
    own, by_other = plan.of("select")
    assert own.params == {"method": name}
    assert plan.parent(own, "order").params["method"] == name
    assert plan.data_of(by_other) == plan.of("data")[0]
    # the third has the second's images, but labels of its own
    labels = {plan.parent(node, "teacher").key for node in plan.of("relabel")}
    assert labels == {mocov2.key, supervised.key}
    (table,) = plan.of("tables")
    assert "other: chosen by the features of sre2l's backbone." in table.params["notes"]


def test_a_coresets_teacher_gives_its_features_too(tiny: Config) -> None:
    tiny["methods"] = ["scdd", "sre2l", {"name": "herding", "teacher": "sre2l"}]
    plan = plan_of(tiny)
    (order,), (_, supervised) = plan.of("coreset"), plan.of("probe")
    assert plan.parent(order, "teacher") == supervised


def test_a_look_in_float32_is_as_before_and_one_in_bf16_another(tiny: Config) -> None:
    tiny["methods"] = ["scdd", "herding"]
    before = plan_of(tiny)

    def changed(**keys: Any) -> set[str]:
        merged = {key: {**tiny.get(key, {}), **value} for key, value in keys.items()}
        new = plan_of({**tiny, **merged}).nodes.keys() - before.nodes.keys()
        return {key.partition("/")[0] for key in new}

    assert not changed(probe={"precision": "float32"}, coreset={"precision": "float32"})
    chosen = {"coreset", "select", "imageset", "relabel", "validate", "tables"}
    assert changed(coreset={"precision": "bf16"}) == chosen
    assert changed(probe={"precision": "bf16"}) == chosen | {"probe", "recover"}


def test_ipcs_of_a_coreset_share_its_order_and_images(tiny: Config) -> None:
    tiny["methods"], tiny["ipc"] = ["scdd", "herding", "kcenter", "forgetting"], [1, 10]
    plan = plan_of(tiny)
    counts = {stage: len(plan.of(stage)) for stage in STAGES}
    assert [counts[s] for s in ("coreset", "forgetting", "select", "imageset")] == [2, 1, 3, 8]
    orders = [plan.targets(node) for s in ("coreset", "forgetting") for node in plan.of(s)]
    assert {file.name for files in orders for file in files} == {"order.safetensors"}


def test_forgetting_is_a_training_run_of_the_backbone(tiny: Config) -> None:
    tiny["methods"] = ["scdd", "forgetting"]
    wide = {"name": "wide", "like": "forgetting", "backbone": "resnet18"}
    tiny["methods"].append(wide)
    tiny["forgetting"] = {"epochs": 3}
    plan = plan_of(tiny)
    own, other = plan.of("forgetting")
    assert own.parents == {"data": plan.of("data")[0].key}
    assert (own.params["arch"], own.params["width"], own.params["stem"]) == (
        "resnet10",
        0.125,
        "small",
    )
    assert other.params["arch"] == "resnet18"
    assert own.params["epochs"] == 3
    (table,) = plan.of("tables")
    notes = [note for note in table.params["notes"] if "events counted over" in note]
    assert notes == [
        "Forgetting: events counted over 3 epochs of resnet10-w0.125.",
        "wide: events counted over 3 epochs of resnet18.",
    ]


def test_the_training_run_of_forgetting_on_cifar_is_the_authors() -> None:
    config = yaml.safe_load((ROOT / "experiments/cifar100.yaml").read_text())
    config["methods"] = ["scdd", "forgetting"]
    (node,) = plan_of(config, check_files=False).of("forgetting")
    steps = [share * node.params["epochs"] for share in node.params["milestones"]]
    assert steps == [60, 120, 160]  # run_cifar.py: MultiStepLR
    kept = {key: node.params[key] for key in ("epochs", "lr", "batch", "factor", "weight_decay")}
    assert kept == {"epochs": 200, "lr": 0.1, "batch": 128, "factor": 0.2, "weight_decay": 5e-4}


@pytest.mark.parametrize("family", ["cifar", "tiny", "imagenet"])
def test_every_published_training_run_is_a_valid_one(family: str) -> None:
    found = preset("forgetting", family).values
    assert parse(Forgetting, found, "forgetting").dump()["lr"] == found["lr"]


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({}, 256),
        ({"val_resize": 224}, None),
        ({"resolution": 128}, 146),
        ({"resolution": 96}, None),
    ],
)
def test_students_of_imagenet_are_tested_on_the_centre_of_larger_images(
    own: Config, expected: int | None
) -> None:
    """As published figures have it: 256 of 224 pixels. No other stage depends on it."""
    config = yaml.safe_load((ROOT / "experiments/imagenet1k.yaml").read_text())
    plan = plan_of({**config, "dataset": {**config["dataset"], **own}}, check_files=False)
    assert {node.params.get("val_resize") for node in plan.of("validate")} == {expected}
    others = [node for node in plan.nodes.values() if node.stage not in ("validate", "tables")]
    assert not any("val_resize" in node.params for node in others)
    notes = plan.of("tables")[0].params["notes"]
    assert any(f"resized to {expected};" in note for note in notes) == (expected is not None)


# ---- presets -----------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["cifar", "tiny", "imagenet"])
@pytest.mark.parametrize("name", preset_names("recover"))
def test_every_published_recovery_is_a_valid_one(name: str, family: str) -> None:
    found = preset("recover", name, family).values
    assert parse(Recover, found, name).dump()["lr"] == found["lr"]


def test_cda_is_a_supervised_squeeze_and_a_curriculum_of_crops() -> None:
    config = yaml.safe_load((ROOT / "experiments/tiny-imagenet.yaml").read_text())
    plan = plan_of({**config, "methods": ["cda", "sre2l"]}, check_files=False)
    assert len(plan.of("squeeze")) == 1
    cda, sre2l = (node.params for node in plan.of("recover"))
    assert (cda["curriculum"], cda["crop"], cda["iterations"]) == ("cosine", [0.08, 1.0], 4000)
    assert sre2l["curriculum"] == "none"


def test_any_method_may_have_another_published_recovery() -> None:
    config = yaml.safe_load((ROOT / "experiments/cifar100.yaml").read_text())
    released = {"name": "released", "like": "scdd", "preset": "scdd-code"}
    released["recover"] = {"storage": "lossless"}
    config["methods"] = ["scdd", released]
    plan = plan_of(config, check_files=False)
    one, other = (node.params for node in plan.of("recover"))
    assert (one["mean"], other["mean"]) == (None, [0.4914, 0.4822, 0.4465])
    assert (other["storage"], other["lr"]) == ("lossless", 0.4)
    (table,) = plan.of("tables")
    assert "released: recovered with the values of scdd-code." in table.params["notes"]
    assert "recover scdd-code: this experiment has its own storage." in table.params["notes"]


def test_a_committees_teachers_are_parents_of_the_recovery(tiny: Config) -> None:
    tiny["methods"] = ["scdd", "sre2l", {"name": "both", "like": "scdd", "committee": ["sre2l"]}]
    plan = plan_of(tiny)
    own, _, both = plan.of("recover")
    assert squeezes_of_teachers(plan, both) == ["mocov2", "supervised"]
    assert plan.made_by(own, "teacher") == plan.made_by(both, "teacher")[:1]
    assert own.digest != both.digest
    (table,) = plan.of("tables")
    assert "both: recovered from the teachers of both and sre2l." in table.params["notes"]


def test_a_verifier_looks_at_recovered_images_alone(tiny: Config) -> None:
    tiny["methods"], tiny["ipc"] = ["scdd", "sre2l", "random"], [1, 2]
    before = {node.key for node in plan_of(tiny).nodes.values() if node.stage != "tables"}
    tiny["verifier"] = "sre2l"
    plan = plan_of(tiny)
    assert len(plan.of("verify")) == 4
    assert {plan.parent(node, "teacher").label for node in plan.of("verify")} == {
        plan.of("probe")[1].label
    }
    assert before <= plan.nodes.keys()


def test_a_key_may_suit_the_methods_own_recoveries_alone(tiny: Config) -> None:
    """A curriculum needs crops, which scdd-paper has none of."""
    tiny["methods"], tiny["recover"]["curriculum"] = ["cda"], "linear"
    (recover,) = plan_of(tiny).of("recover")
    assert recover.params["curriculum"] == "linear"
    tiny["methods"] = ["scdd"]
    assert "curriculum linear is of crops, and there are none; set crop" in refusal(tiny)


def test_the_papers_recovery_of_cifar_100() -> None:
    found = preset("recover", "scdd-paper", "cifar")
    assert parse(Recover, found.values, "recover") == Recover(
        lr=0.4, iterations=1000, r_bn=0.005, first_bn_multiplier=10, shift=4, block=100
    )
    assert found.sources["lr"] == "paper"


def test_values_of_the_file_win_over_the_preset_and_a_methods_own_over_both() -> None:
    config = yaml.safe_load((ROOT / "experiments/cifar100.yaml").read_text())
    config["recover"] = {"lr": 0.3, "r_bn": 0.02}
    config["methods"] = ["scdd", {"name": "other", "like": "scdd", "recover": {"lr": 0.2}}]
    one, other = (node.params for node in plan_of(config, check_files=False).of("recover"))
    assert (one["lr"], one["r_bn"], one["iterations"]) == (0.3, 0.02, 1000)
    assert (other["lr"], other["r_bn"], other["iterations"]) == (0.2, 0.02, 1000)


def test_a_part_of_a_view_keeps_the_rest_of_its_sections_default() -> None:
    view = parse(MoCoV2, {"view": {"flip": False}}, "squeeze.mocov2").view
    assert view == View(crop="resized", scale=(0.2, 1.0), flip=False)


@pytest.mark.parametrize("family", ["cifar", "tiny", "imagenet"])
@pytest.mark.parametrize("name", ["mocov2", "mocov3", "swav", "dino", "supervised"])
def test_every_published_squeeze_is_a_valid_one(name: str, family: str) -> None:
    found = preset("squeeze", name, family).values
    assert found
    assert parse(SQUEEZES[name], found, name).dump()["lr"] == found["lr"]


PROTOCOLS = [name for name in preset_names("protocol") if name != "whole"]
SOURCES = {"paper", "code", "assumed"}


@pytest.mark.parametrize("family", ["cifar", "tiny", "imagenet", "digits"])
@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_published_protocol_is_a_valid_one_with_its_sources(name: str, family: str) -> None:
    found = preset("protocol", name, family)
    protocol = parse(Protocol, found.values, name)
    assert set(found.sources.values()) <= SOURCES
    if family == "digits":
        assert set(found.sources.values()) <= {"assumed"}
    elif protocol.labels == "soft":
        # what a student's accuracy depends on most is said by each
        told = {"optimizer", "lr", "weight_decay", "epochs", "batch", "eta", "mix", "view.crop"}
        assert told <= found.sources.keys()
    if protocol.student is not None:
        assert protocol.dsa == (name == "dc")


@pytest.mark.parametrize("family", ["cifar", "cifar10", "tiny", "imagenet"])
@pytest.mark.parametrize("name", ["rded", "delt", "gvbsm", "edc", "cvdd", "fadrm"])
def test_published_values_by_ipc_are_valid_and_new_ones(name: str, family: str) -> None:
    before = preset("protocol", name, family).values
    for ipc in published_ipcs("protocol", name, family):
        found = preset("protocol", name, family, ipc=ipc)
        assert found.values != before
        parse(Protocol, found.values, name)
        assert set(found.sources.values()) <= SOURCES
        before = found.values


def test_there_is_a_bundle_for_each_protocol_of_the_literature() -> None:
    names = (
        "scdd-paper scdd-code sre2l ccfs cda rded delt gvbsm edc cvdd fadrm hard-label dc dc-plain"
    )
    assert names.split() == PROTOCOLS


@pytest.mark.parametrize(("name", "last"), [("dc", 1000), ("dc-plain", 300)])
def test_dcs_learning_rate_falls_after_the_epoch_that_its_code_says(name: str, last: int) -> None:
    """`for ep in range(E + 1)`, and a new optimiser after epoch E // 2 + 1."""
    from scdd.evaluate.train import learning_rate, renews

    protocol = parse(Protocol, preset("protocol", name, "cifar").values, "")
    training = Student.of(pick(Train, protocol).dump())
    rates = [learning_rate(training, epoch) for epoch in range(training.epochs)]
    before = last // 2 + 2  # epochs
    assert rates == pytest.approx([0.01] * before + [0.001] * (last + 1 - before))
    assert [epoch for epoch in range(training.epochs) if renews(training, epoch)] == [before]


def test_the_released_protocol_of_cifar_100_ends_at_three_quarters_of_its_learning_rate() -> None:
    """lr = .5 lr0 (1 + cos(pi e / 300 / 2)) over 200 epochs."""
    from scdd.evaluate.train import learning_rate

    protocol = parse(Protocol, preset("protocol", "scdd-code", "cifar").values, "")
    training = Student.of(pick(Train, protocol).dump())
    assert training.epochs == 200
    for epoch in range(200):
        expected = 0.0005 * (1 + math.cos(math.pi * epoch / 300 / 2))
        assert learning_rate(training, epoch) == pytest.approx(expected)
    assert (protocol.lr, protocol.teacher_bn, protocol.mix_by) == (0.001, "batch", "batch")


@pytest.mark.parametrize(
    ("key", "value", "first"),
    [
        ("patches", 2, "relabel"),
        ("randaugment", {"operations": 1}, "relabel"),
        ("mix_by", "batch", "relabel"),
        ("teacher_bn", "batch", "relabel"),
        ("loss", "mse-ce", "validate"),
        ("loss", "kl-t2", "validate"),
        ("ema", 0.99, "validate"),
        ("steep_from", 0.8, "validate"),
        ("milestones", [0.5], "validate"),
        ("decay_vectors", False, "validate"),
        ("passes", 2, "validate"),
        ("bn_updates", 2, "validate"),
        ("label_reuse", "batches", "validate"),
        ("label_reuse", "shuffled", "validate"),
    ],
)
def test_a_later_key_of_a_protocol_changes_its_stage_alone(
    tiny: Config, key: str, value: Any, first: str
) -> None:
    """And leaves the digests alone while it is as before: tests/digests.yaml."""
    before, own, order = plan_of(tiny), tiny["protocol"]["scdd-paper"], list(STAGES)
    plan = plan_of({**tiny, "protocol": {"scdd-paper": {**own, key: value}}})
    for stage in ("imageset", "relabel", "validate"):
        same = digests(plan, stage) == digests(before, stage)
        assert same == (order.index(stage) < order.index(first)), stage


def test_what_a_loss_does_not_use_is_not_in_its_students_digests(tiny: Config) -> None:
    own = tiny["protocol"]["scdd-paper"]

    def students(**changes: Any) -> set[str]:
        changed = {"protocol": {"scdd-paper": {**own, **changes}}}
        return digests(plan_of({**tiny, **changed}), "validate")

    assert students(ce_weight=0.5) == students()
    assert students(loss="mse-ce", temperature=3) == students(loss="mse-ce")
    assert students(loss="mse-ce", ce_weight=0.5) != students(loss="mse-ce")


def test_a_protocol_of_hard_labels_needs_no_teacher(tiny: Config) -> None:
    tiny |= {"methods": ["random"], "protocols": ["hard-label"]}
    plan = plan_of(tiny)
    assert not plan.of("relabel")
    assert not plan.of("probe")
    for node in plan.of("validate"):
        assert node.params["labels"] == "hard"
        assert not {"temperature", "loss"} & node.params.keys()
        assert node.params["dsa"] is False
    (table,) = plan.of("tables")
    assert {cell["teacher"] for cell in table.params["cells"]} == {None}


def test_hard_labels_are_mixed_where_the_protocol_is_theirs(tiny: Config) -> None:
    tiny |= {"methods": ["scdd", "random-hard"], "protocols": ["scdd-paper"]}
    own = {**tiny["protocol"]["scdd-paper"], "mix": "cutmix"}
    tiny["protocol"] = {"scdd-paper": own}
    control = [n for n in plan_of(tiny).of("validate") if n.params["labels"] == "hard"]
    assert {node.params["mix"] for node in control} == {"none"}
    tiny["protocol"] = {"scdd-paper": {**own, "labels": "hard"}}
    students = plan_of(tiny).of("validate")
    assert {node.params["mix"] for node in students} == {"cutmix"}


def test_a_protocol_may_prescribe_its_student(tiny: Config) -> None:
    tiny |= {"methods": ["random"], "protocols": ["hard-label", "dc"]}
    tiny["protocol"] = {"dc": {"student": {"arch": "resnet10", "width": 0.5}}}
    plan = plan_of(tiny)
    (table,) = plan.of("tables")
    students = {cell["protocol"]: cell["student"] for cell in table.params["cells"]}
    assert students == {"hard-label": "resnet10-w0.125", "dc": "resnet10-w0.5"}
    (node,) = [n for n in plan.of("validate") if n.params.get("dsa")]
    assert node.params["student"]["width"] == 0.5
    assert node.params["milestones"] == [0.5]
    assert node.params["view"]["crop"] == "none"


def test_how_often_one_looks_is_in_no_digest(tiny: Config) -> None:
    names = []
    for every in (1, 5):
        tiny["squeeze"]["mocov2"]["knn_every"] = every
        (node,) = plan_of(tiny).of("squeeze")
        assert node.params["knn_every"] == every
        names.append(node.digest)
    assert names[0] == names[1]


def test_assumed_values_stand_in_the_tables_notes() -> None:
    (table,) = plan_file("experiments/tiny-imagenet.yaml").of("tables")
    (note,) = (note for note in table.params["notes"] if note.startswith("recover scdd-paper"))
    assert "r_bn" in note
    assert "lr" not in note


def test_values_changed_under_a_published_name_stand_in_the_tables_notes() -> None:
    config = yaml.safe_load((ROOT / "experiments/tiny-imagenet.yaml").read_text())
    config["recover"] = {"r_bn": 0.1, "lr": 0.2, "tv_l2": 0, "l2_scale": 0.5}
    (table,) = plan_of(config, check_files=False).of("tables")
    notes = [note for note in table.params["notes"] if note.startswith("recover scdd-paper")]
    assert any("has its own r_bn, lr, l2_scale." in note for note in notes)
    assert not any("r_bn" in note for note in notes if "assumed" in note)


def test_mappings_merge_key_by_key() -> None:
    assert merge({"view": {"pad": 4, "flip": True}}, {"view": {"pad": 1}}) == {
        "view": {"pad": 1, "flip": True}
    }


# ---- wrong configurations ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"protocls": []}, "unknown key protocls. Did you mean 'protocols'?"),
        (
            {"recover": {"iteratons": 1}},
            "unknown key recover.iteratons. Did you mean 'iterations'?",
        ),
        ({"squeeze": {"mocov2x": {}}}, "unknown key squeeze.mocov2x. Did you mean 'mocov2'?"),
        (
            {"squeeze": {"mocov2": {"view": {"flop": 1}}}},
            "squeeze.mocov2.view.flop. Did you mean 'flip'",
        ),
        ({"recover": {"jitter": 1}}, "recover.jitter is called shift now."),
        (
            {"methods": [{"name": "scdd", "recover": {"jitter_both_ways": True}}]},
            "recover.jitter_both_ways is called shift_both_ways now.",
        ),
        (
            {"squeeze": {"dino": {"jitter": [0.4, 0.4, 0.4, 0.1]}}},
            "squeeze.dino.jitter is called colour_jitter now.",
        ),
        (
            {"squeeze": {"mocov2": {"jitter_p": 1}}},
            "squeeze.mocov2.jitter_p is called colour_jitter_p now.",
        ),
        (
            {"squeeze": {"mocov2": {"ema": 0.9}}},
            "squeeze.mocov2.ema is called target_momentum now.",
        ),
        ({"probe": {"views": "clean"}}, "probe.views is called features now."),
        ({"inform": {"balance": 1}}, "inform is called informativeness now."),
        (
            {"backbones": [{"method": "mocov2", "overrides": {}}]},
            "backbones.0.overrides is called squeeze now.",
        ),
        ({"backbones": [{"squeeze": "mocov2"}]}, "backbones.0.squeeze is called method now."),
        ({"recover": {"block": 3, "lr": "fast"}}, "recover.lr: input should be a valid number"),
        (
            {"recover": {"block": 3, "lr": -1}},
            "recover.lr: input should be greater than 0 (got -1)",
        ),
        ({"recover": {"block": 4}}, "recover.block: 4, but there are 3 classes"),
        ({"ipc": [0]}, "ipc.0: input should be greater than or equal to 1"),
        ({"ipc": None}, "ipc: input should be a valid list"),
        ({"dataset": "cifar1000"}, "dataset.name: unknown 'cifar1000'. Did you mean 'cifar100'?"),
        (
            {"dataset": {"name": "cifar100", "root": "nowhere"}},
            "nowhere/cifar-100-python does not exist",
        ),
        ({"dataset": {"name": "imagefolder", "root": "nowhere"}}, "nowhere/train does not exist"),
        (
            {"dataset": {"name": "digits", "classes": 3, "val_resize": 15}},
            "dataset.val_resize: 15, but the images have 16 pixels a side. Set it to 16 or more.",
        ),
        (
            {"dataset": {"name": "digits", "classes": 3, "val_resize": 18}},
            "dataset.val_resize: digits has no images of other sizes to cut from. Leave it out.",
        ),
        ({"dataset": {"name": "digits", "classes": 11}}, "dataset.classes: 11, but there are 10"),
        (
            {"dataset": {"name": "digits", "classes": ["9", "ten"]}},
            "dataset.classes: no class 'ten'",
        ),
        ({"backbone": "resnet19"}, "backbone: unknown arch 'resnet19'. Did you mean 'resnet18'?"),
        ({"students": ["vgg"]}, "students: unknown arch 'vgg'"),
        ({"students": ["convnet5"]}, "students: unknown arch 'convnet5'. Did you mean 'convnet"),
        ({"students": [{"arch": "swin_t", "width": 2}]}, "students: swin_t has one width"),
        ({"students": ["alexnet"]}, "students: alexnet takes images of 63 pixels on, and these"),
        (
            {"backbone": "convnet3"},
            "methods.scdd: images are recovered from statistics of BatchNorm, and convnet3 has",
        ),
        ({"backbone": "timm:resnet26"}, "backbone: timm:resnet26 can be a student only"),
        ({"methods": ["scd"]}, "methods: unknown method 'scd'. Did you mean 'scdd'?"),
        ({"methods": ["scdd", "scdd"]}, "methods: a name appears twice"),
        ({"methods": ["random"]}, "methods.random: needs a teacher, and no method has a probe"),
        ({"methods": ["scdd", "random"], "ipc": [150]}, "the smallest class of digits has 139"),
        ({"methods": ["scdd", "herding"], "ipc": [150]}, "method 'herding' takes real ones"),
        ({"methods": ["scdd", "forgetting"], "ipc": [150]}, "method 'forgetting' takes real ones"),
        ({"methods": ["kcenter"]}, "methods.kcenter: needs a teacher, and no method has a probe"),
        (
            {"methods": ["scdd", {"name": "herding", "features": "sre2"}]},
            "methods.herding.features: 'sre2' is not a method with a probe. Known: scdd.",
        ),
        (
            {"methods": ["scdd", {"name": "herding", "backbone": "resnet18"}]},
            "methods.herding.backbone: this method has no use for it.",
        ),
        (
            {"methods": ["scdd", {"name": "forgetting", "features": "scdd"}]},
            "methods.forgetting.features: this method has no use for it.",
        ),
        (
            {"methods": [{"name": "scdd", "features": "scdd"}]},
            "methods.scdd.features: this method has no use for it.",
        ),
        (
            {"methods": ["scdd", {"name": "random-hard", "teacher": "scdd"}]},
            "methods.random-hard.teacher: this method has no use for it.",
        ),
        ({"forgetting": {"epoch": 3}}, "unknown key forgetting.epoch. Did you mean 'epochs'?"),
        ({"forgetting": {"factor": 0}}, "forgetting.factor: input should be greater than 0"),
        ({"forgetting": {"momentum": 0}}, "forgetting.momentum: input should be greater than 0"),
        (
            {"protocols": ["scdd-papr"]},
            "protocols: unknown 'scdd-papr'. Did you mean 'scdd-paper'?",
        ),
        (
            {"protocol": {"scdd-paper": {"like": "rded"}}},
            "protocol.scdd-paper.like: scdd-paper is a published protocol itself. Give the one "
            "that varies rded a name of its own.",
        ),
        ({"protocol": {"rdde": {}}}, "unknown key protocol.rdde. Did you mean 'rded'?"),
        *(
            (
                {"protocol": {"scdd-paper": {"form": form}}},
                f"protocol.scdd-paper.form: '{form}' is not a form of logits; write float16, int8",
            )
            for form in (
                "float32",
                "topk",
                "topk:0",
                "topk:-1",
                "topk:2.5",
                "int8 ",
                "pca:7",
                "pca:8.5",
            )
        ),
        (
            {"protocol": {"scdd-paper": {"form": "topk:4"}}},
            "protocol.scdd-paper.form: topk:4, but there are 3 classes. Set k to 3 or less.",
        ),
        (
            {"protocol": {"scdd-paper": {"form": "pca:13"}}},
            "protocol.scdd-paper.form: pca:13, but there are 3 classes. Set N to 12 or less, or "
            "take int8.",
        ),
        (
            {"protocol": {"scdd-paper": {"epochs": 5, "label_epochs": 6}}},
            "label_epochs 6 are more than the 5 epochs of training",
        ),
        (
            {"protocol": {"scdd-paper": {"mix": "none", "mix_by": "batch"}}},
            "protocol.scdd-paper: mix_by batch is for mixup and cutmix",
        ),
        (
            {"methods": ["scdd", {"name": "random", "teacher": ["scdd", "scd"]}]},
            "methods.random: needs a teacher, and no method 'scd' with a probe is listed. Did you",
        ),
        (
            {"methods": ["scdd", {"name": "random", "teacher": ["scdd", "scdd"]}]},
            "methods.1.teacher: scdd appears twice",
        ),
        (
            {"methods": ["scdd", {"name": "random", "teacher": []}]},
            "methods.1.teacher: list should have at least 1 item",
        ),
        ({"seeds": [-1]}, "seeds.0: input should be greater than or equal to 0"),
        ({"squeeze": {"mocov2": {"batch": 96}}}, "queue 4096 is not a multiple of batch 96"),
        ({"squeeze": {"swav": {"queue": 300}}}, "queue 300 is not a multiple of batch 256"),
        ({"squeeze": {"swav": {"queue": 512, "epochs": 9}}}, "queue_from 15 comes after all 9"),
        (
            {"squeeze": {"mocov3": {"batch": 100, "bn_groups": 8}}},
            "batch 100 does not split into 8",
        ),
        ({"squeeze": {"dino": {"final_lr": 1}}}, "squeeze.dino: final_lr 1.0 is larger than lr"),
        ({"squeeze": {"dino": {"small": {"scale": [0.2, 0.1]}}}}, "is not a range within 0 and 1"),
        (
            {"squeeze": {"mocov2": {"batch": 2048, "queue": 2048}}},
            "squeeze.mocov2.batch: 2048, but there are 1437 training images",
        ),
        (
            {
                "methods": ["scdd-swav"],
                "squeeze": {"swav": {"small": {"size": 17}}},
            },
            "a crop of 17 pixels is larger than the images, which have 16 a side",
        ),
        ({"squeeze": {"supervised": {"lrr": 1}}}, "unknown key squeeze.supervised.lrr"),
        ({"protocol": {"whole": {"batsh": 1}}}, "unknown key protocol.whole.batsh"),
        ({"protocol": {"whole": {"labels": "hard"}}}, "unknown key protocol.whole.labels"),
        ({"protocol": {"rded": {"dsa": True}}}, "soft labels are made before; set labels: hard"),
        (
            {"protocol": {"edc": {"form": "topk:2"}}},
            "compares all logits as they are, which form topk:2 does",
        ),
        ({"protocol": {"edc": {"milestones": [0.5]}}}, "take the place of the cosine; set eta: 1"),
        ({"protocol": {"edc": {"at_milestones": "renew"}}}, "renew needs milestones; set them"),
        ({"protocol": {"edc": {"ema": 1}}}, "protocol.edc.ema: input should be less than 1"),
        ({"protocol": {"edc": {"randaugment": {"magnitude": 31}}}}, "randaugment.magnitude: input"),
        (
            {"protocol": {"edc": {"randaugment": {"ops": 2}}}},
            "unknown key protocol.edc.randaugment",
        ),
        (
            {"protocol": {"scdd-paper": {"patches": 20}}},
            "protocol.scdd-paper.patches: 20, but the images have 16 pixels a side",
        ),
        (
            {"protocols": ["dc"], "protocol": {"dc": {"student": "convnet33"}}},
            "protocol.dc.student: unknown arch 'convnet33'",
        ),
        (
            {"methods": [{"name": "random", "recover": {"lr": 1}}]},
            "methods.random.recover: this method",
        ),
        ({"methods": [{"name": "whole", "ipc": [1]}]}, "methods.whole.ipc: this method"),
        ({"seeds": [0, 1, 0]}, "seeds: 0 appears twice"),
        ({"students": ["resnet18", {"arch": "resnet18"}]}, "students: resnet18 appears twice"),
        ({"machine": {"device": "gpu"}}, "machine.device: string should match pattern"),
        ({"students": [{"arch": "resnet18", "width": 0.001}]}, "students.0.width: input should be"),
        ({"recover": {"block": True}}, "recover.block cannot be true"),
        ({"seeds": [True]}, "seeds cannot be true"),
        ({"protocol": {"scdd-paper": None}}, "protocol.scdd-paper: input should be a valid dict"),
        ({"recover": {"block": 3, "lr": float("inf")}}, "recover.lr: input should be a finite"),
        ({"dataset": {"name": "digits", "download": True}}, "dataset.download: digits cannot be"),
        ({"probe": {"epochs": 0}}, "probe.epochs: input should be greater than or equal to 1"),
        ({"squeeze": {"mocov2": {"epochs": 3, "warmup_epochs": 3}}}, "warmup_epochs 3 leave none"),
        ({"methods": []}, "methods or backbones are missing."),
        (
            {"backbones": ["mocov9"]},
            "backbones.0.method: unknown 'mocov9'",
        ),
        ({"backbones": [{"method": "mocov2", "seed": 1}]}, "unknown key backbones.0.seed."),
        (
            {"backbones": ["mocov2", {"method": "mocov2", "seeds": [1]}]},
            "backbones.1: a second MoCo v2, resnet10-w0.125; give it a title of its own.",
        ),
        (
            {"backbones": [{"method": "supervised", "squeeze": {"queue": 1}}]},
            "unknown key squeeze.supervised.queue.",
        ),
        ({"recover": {"block": 3, "r_bn": "aut"}}, "recover.r_bn: input should be a valid number"),
        (
            {"recover": {"iterations": 0}},
            "recover.iterations: input should be greater than or equal",
        ),
        ({"recover": {"lr": 0}}, "recover.lr: input should be greater than 0 (got 0)"),
        (
            {"recover": {"crop": [0.5, 0.1]}},
            "recover: crop [0.5, 0.1] is not a range within 0 and 1",
        ),
        (
            {"recover": {"crop": [0.5, 1.1]}},
            "recover: crop [0.5, 1.1] is not a range within 0 and 1",
        ),
        ({"recover": {"crop": [0, 1]}}, "recover.crop.0: input should be greater than 0 (got 0)"),
        ({"recover": {"crop": 0.5}}, "recover.crop: input should be a valid list (got 0.5)"),
        (
            {"recover": {"curriculum": "cosine"}},
            "recover: curriculum cosine is of crops, and there are none; set crop",
        ),
        (
            {"recover": {"curriculum": "cosin"}},
            "recover.curriculum: input should be 'none', 'step'",
        ),
        (
            {"recover": {**CROPS, "milestone": 0.5}},
            "recover: milestone 0.5 is that of a curriculum, and there is none; set curriculum",
        ),
        (
            {"recover": {**CROPS, "curriculum": "step", "milestone": 1.5}},
            "recover.milestone: input should be less than or equal to 1 (got 1.5)",
        ),
        (
            {"recover": {"crop_by": "image"}},
            "recover: crop_by image is for crops and flips, and there are none; set crop or flip",
        ),
        (
            {"recover": {"mean": [0.4, 0.5, 0.6]}},
            "recover: mean [0.4, 0.5, 0.6] has no std; set both or neither",
        ),
        ({"recover": {"std": [0.4, 0.5, 0.6]}}, "recover: std [0.4, 0.5, 0.6] has no mean"),
        ({"recover": {"mean": [0.4, 0.5]}}, "recover.mean"),
        (
            {"recover": {"storage": "png"}},
            "recover.storage: input should be 'lossless', 'truncated' or 'jpeg'",
        ),
        (
            {"recover": {"block": 3, "start": "real"}, "ipc": [101]},
            "ipc: 101, but the smallest class of digits has 139 training images, and method "
            "'scdd' starts 150 from real ones. Lower ipc to 100.",
        ),
        (
            {"methods": [{"name": "scdd", "preset": "scdd-cod"}]},
            "methods.scdd.preset: unknown 'scdd-cod'. Did you mean 'scdd-code'?",
        ),
        (
            {"methods": ["scdd", {"name": "b", "like": "scdd", "committee": ["scd"]}]},
            "methods.b.committee: 'scd' is not another method with a probe. Did you mean 'scdd'?",
        ),
        (
            {"methods": ["scdd", {"name": "b", "like": "scdd", "committee": ["b"]}]},
            "methods.b.committee: 'b' is not another method with a probe. Known: scdd.",
        ),
        ({"verifier": "random"}, "verifier: 'random' is not a method with a probe. Known: scdd."),
        (
            {"methods": [{"name": "random", "preset": "cda"}]},
            "methods.random.preset: this method has no use for it.",
        ),
        ({"machine": {"pass_width": 0}}, "machine.pass_width: input should be greater than or"),
        (
            {"informativeness": {"balance": 0}},
            "informativeness.balance: input should be greater than 0 (got 0).",
        ),
        ({"experiments": []}, "beside 'experiments' there can be no other key"),
    ],
)
def test_a_wrong_configuration_gets_one_clear_message(
    tiny: Config, change: Config, message: str
) -> None:
    assert message in refusal({**tiny, **change})


@pytest.mark.parametrize("value", [None, [], 3, "experiments/cifar100.yaml"])
def test_experiments_must_be_a_list(value: Any) -> None:
    assert "experiments: a list of configuration files" in refusal({"experiments": value})


def test_the_same_folder_name_in_two_places_is_refused(tiny: Config, tmp_path: Path) -> None:
    files = []
    for place in ("one", "two"):
        for name in ("cat", "dog", "owl"):
            for split in ("train", "val"):
                (tmp_path / place / "pets" / split / name).mkdir(parents=True)
        dataset = {"name": "imagefolder", "root": str(tmp_path / place / "pets"), "resolution": 32}
        files.append(tmp_path / f"{place}.yaml")
        config = {**tiny, "experiment": place, "dataset": dataset}
        files[-1].write_text(yaml.safe_dump(config))
    assert "two experiments read pets from different places" in refusal(
        {"experiments": [str(file) for file in files]}
    )


def test_a_folders_name_and_classes_are_its_identity(tiny: Config, tmp_path: Path) -> None:
    made = []
    for place, names in (("pets", "ab"), ("pots", "ab"), ("pets2/pets", "ac")):
        for name in names:
            for split in ("train", "val"):
                (tmp_path / place / split / name).mkdir(parents=True)
        tiny["dataset"] = {"name": "imagefolder", "root": str(tmp_path / place), "resolution": 32}
        tiny["recover"]["block"] = 2
        made.append(plan_of(tiny).of("data")[0].digest)
    assert len(set(made)) == 3


def test_a_job_without_its_drivers_plan_stops(
    tiny: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(load.VARIABLE, raising=False)
    with pytest.raises(ScddError, match="did not reach this job"):
        load.for_run(tiny, Path(), is_driver=False)


def test_a_missing_key_is_named(tiny: Config) -> None:
    del tiny["ipc"]
    assert refusal(tiny) == "ipc is missing."


def test_a_message_about_one_of_several_experiments_names_its_file(tmp_path: Path) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text("experiment: x\nmethods: [scdd]\n")
    assert refusal({"experiments": [str(file)]}) == f"{file}: ipc is missing."


def test_a_message_about_the_plan_of_one_of_several_experiments_names_it(
    tiny: Config, tmp_path: Path
) -> None:
    files = [tmp_path / f"{name}.yaml" for name in ("fine", "wrong")]
    for file in files:
        file.write_text(yaml.safe_dump({**tiny, "experiment": file.stem}))
    files[1].write_text(files[1].read_text() + "verifier: whole\n")
    message = refusal({"experiments": [str(file) for file in files]})
    assert message.startswith("wrong: verifier: ")


# ---- the frozen plan ---------------------------------------------------------------------------


def test_a_job_reads_the_plan_that_its_driver_froze(
    tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(load.VARIABLE, raising=False)
    driver = load.for_run(tiny, Path(), is_driver=True)
    tiny["recover"]["lr"] = 0.7
    job = load.for_run(tiny, Path(), is_driver=False)
    assert job == driver
    assert load.for_run(tiny, Path(), is_driver=True).nodes.keys() != driver.nodes.keys()


def test_a_plan_survives_freezing(tiny: Config, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    plan = plan_of(tiny)
    path = freeze(plan)
    assert thaw(path) == plan
    written = path.stat().st_mtime_ns
    assert freeze(plan).stat().st_mtime_ns == written


def test_each_artifact_gets_its_config_and_an_altered_one_is_put_right(
    tiny: Config, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    plan = plan_of(tiny)
    load.write_configs(plan)
    for node in plan.nodes.values():
        frozen = read_frozen(node.folder / "config.json", node.stage)
        assert (frozen.digest, frozen.params) == (node.digest, node.params)
    first, *others = (node.folder / "config.json" for node in plan.nodes.values())
    written = [path.stat().st_mtime_ns for path in others]
    text = first.read_text()
    first.write_text(text.replace(" ", ""))
    load.write_configs(plan)
    assert first.read_text() == text
    assert [path.stat().st_mtime_ns for path in others] == written


# ---- soft labels -------------------------------------------------------------------------------


def relabelled(config: Config, **protocol: Any) -> tuple[Plan, Any, Any]:
    """The plan with these keys of the protocol, and its one store and student."""
    own = {**config["protocol"]["scdd-paper"], **protocol}
    plan = plan_of({**config, "protocol": {"scdd-paper": own}})
    (labels,), (student,) = plan.of("relabel"), plan.of("validate")
    return plan, labels, student


@pytest.mark.parametrize(
    "keys",
    [
        {"mix_by": "set", "teacher_bn": "eval", "views": "stored", "label_epochs": None},
        {"label_precision": "float32"},
        {"form": "float16", "label_epochs": 1},  # of one epoch
    ],
)
def test_the_ways_of_labelling_as_before_change_nothing(tiny: Config, keys: Config) -> None:
    assert relabelled(tiny, **keys)[0].nodes.keys() == plan_of(tiny).nodes.keys()


@pytest.mark.parametrize(
    "keys",
    [
        {"mix_by": "batch"},
        {"teacher_bn": "batch"},
        {"views": "drawn"},
        {"form": "int8"},
        {"form": "topk:2"},
        {"label_precision": "bf16"},
    ],
)
def test_ways_of_labelling_are_in_the_stores_identity(tiny: Config, keys: Config) -> None:
    before, labels = plan_of(tiny).of("relabel")[0], relabelled(tiny, **keys)[1]
    assert labels.digest != before.digest
    assert labels.params == {**before.params, **labels.params, **keys}


@pytest.mark.parametrize(
    ("keys", "tied"),
    [({}, False), ({"mix_by": "batch"}, True), ({"teacher_bn": "batch"}, True)],
)
def test_labels_that_depend_on_batches_have_their_size_in_the_identity(
    tiny: Config, keys: Config, tied: bool
) -> None:
    stores = [relabelled(tiny, **keys, batch=batch)[1] for batch in (64, 32)]
    assert (stores[0].digest != stores[1].digest) == tied
    assert [store.params.get("batch") for store in stores] == ([64, 32] if tied else [None, None])


@pytest.mark.parametrize(("form", "told"), [("int8", False), ("topk:2", True)])
def test_the_temperature_is_in_the_identity_of_topk_alone(
    tiny: Config, form: str, told: bool
) -> None:
    stores = [relabelled(tiny, form=form, temperature=t)[1] for t in (4.0, 20.0)]
    assert (stores[0].digest != stores[1].digest) == told


def test_fewer_labelled_epochs_are_fewer_files_and_another_student(tiny: Config) -> None:
    plan, labels, student = relabelled(tiny, epochs=250)
    assert (plan.label_epochs(student), plan.store_epochs(labels)) == (250, 300)
    few, some, half = (relabelled(tiny, epochs=250, label_epochs=e) for e in (20, 120, 125))
    assert [path.name for path in few[0].label_shards(few[1], 20)] == [
        "epochs_0000-0019.safetensors"
    ]
    assert [path.name for path in some[0].label_shards(some[1], 120)] == [
        "epochs_0000-0099.safetensors",
        "epochs_0100-0199.safetensors",
    ]
    assert some[1].digest == half[1].digest == labels.digest  # whole shards serve both
    assert len({made[2].digest for made in (few, some, half, (plan, labels, student))}) == 4
    assert few[2].params["label_epochs"] == 20


def test_hard_labels_may_be_mixed_by_batch(tiny: Config) -> None:
    def student(mix_by: str) -> Node:
        own = {"labels": "hard", "mix": "mixup", "mix_by": mix_by, "epochs": 1}
        (node,) = plan_of({**tiny, "protocol": {"scdd-paper": own}}).of("validate")
        return node

    assert student("batch").params["mix_by"] == "batch"
    assert student("batch").digest != student("set").digest


def test_the_bytes_of_images_and_labels_are_told_before_the_run(
    tiny: Config, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny["protocol"]["scdd-paper"] |= {"epochs": 30, "label_epochs": 7, "form": "topk:2"}
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(tiny))
    assert cli.main(["plan", "--configfile", "my.yaml"]) == 0
    lines = capsys.readouterr().out.splitlines()
    # 3 images of 16 x 16 pixels; 7 epochs of views, 2 logits with their classes and the rest
    images, labels = 3 * 3 * 16 * 16, 7 * 3 * (25 + 2 * (2 + 1) + 2)
    for stage, size in (("imageset", images), ("relabel", labels)):
        (line,) = (line for line in lines if line.startswith(stage))
        assert f"  {size} bytes" in line
    assert f"images: {images} bytes (0.0 MiB)" in lines
    assert f"soft labels: {labels} bytes (0.0 MiB)" in lines


def test_several_teachers_are_parents_of_the_labels_in_the_order_given(tiny: Config) -> None:
    tiny["methods"] = ["scdd", "sre2l", {"name": "random", "teacher": ["sre2l", "scdd"]}]
    plan = plan_of(tiny)
    (labels,) = (node for node in plan.of("relabel") if "random" in node.label)
    assert squeezes_of_teachers(plan, labels) == ["supervised", "mocov2"]
    (table,) = plan.of("tables")
    assert [cell["teacher"] for cell in table.params["cells"]] == ["scdd", "sre2l", "sre2l + scdd"]


def test_one_teacher_in_a_list_is_that_teacher(tiny: Config) -> None:
    tiny["methods"] = ["scdd", {"name": "random", "teacher": "scdd"}]
    before = plan_of(tiny).nodes.keys()
    tiny["methods"][1]["teacher"] = ["scdd"]
    assert plan_of(tiny).nodes.keys() == before


# ---- the console command -----------------------------------------------------------------------


def test_scdd_reports_a_mistake_in_one_line(tmp_path: Path, capsys: Any) -> None:
    assert cli.main(["plan", "--configfile", str(tmp_path / "none.yaml")]) == 1
    assert capsys.readouterr().err == f"error: {tmp_path / 'none.yaml'} does not exist.\n"


def test_scdd_keys_explains_every_key(capsys: Any) -> None:
    assert cli.main(["keys"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "peak learning rate" in lines["recover.lr"]
    assert lines["recover.lr"].endswith("[0.4]")
    nested = {"base", "experiments", "recover.residual.every", "ccfs.distilled", "ablation.method"}
    assert nested <= lines.keys()
    assert set(METHODS) <= set(lines["methods"].replace(",", "").split())


# ---- what tables count ---------------------------------------------------------------------------


def test_a_column_came_of_its_jobs_its_teachers_among_them(tiny: Config) -> None:
    tiny["methods"], tiny["ipc"] = ["scdd", "random", "random-hard"], [2]
    tiny["protocol"]["scdd-paper"] |= {"epochs": 150, "epochs_per_shard": 100}
    tiny["seeds"] = [0, 1]
    plan = plan_of(tiny)
    (table,) = plan.of("tables")
    jobs = {}
    for one in table.params["costs"]:
        names = {stage: [Path(f).stem for f in files] for stage, files in one["stages"].items()}
        jobs[one["method"]] = {k: v for k, v in names.items() if k not in ("data", "imageset")}
    taught = {"squeeze": ["squeeze"], "probe": ["probe"]}
    labelled = {"relabel": ["epochs_0000-0099", "epochs_0100-0199"], "validate": ["validate"] * 2}
    slots = ["slots_0000-0000", "slots_0001-0009"]
    recovered = [f"{span}_classes_0000-0002" for span in slots]
    assert jobs == {
        "scdd": taught | {"recover": recovered} | labelled,
        "random": taught | {"select": slots} | labelled,
        "random-hard": {"select": slots, "validate": ["validate"] * 2},
    }
    (probe,) = plan.of("probe")
    folder = str(probe.folder.relative_to("results"))
    files = {f for one in table.params["costs"] for f in one["stages"].get("probe", ())}
    assert files == {f"{folder}/costs/probe.json"}


def test_what_is_stored_for_soft_labels_is_told_to_the_tables(tiny: Config) -> None:
    tiny["methods"] = ["scdd", "random-hard"]
    tiny["protocol"]["scdd-paper"]["epochs"] = 7
    (table,) = plan_of(tiny).of("tables")
    soft, hard = (cell["stored"] for cell in table.params["cells"])
    assert soft == {"form": "float16", "bytes": 7 * (25 + 2 * 3)}  # three classes
    assert hard is None


# ---- protocols and methods that vary one another -------------------------------------------------


def test_a_protocol_may_be_like_a_published_one(tiny: Config) -> None:
    tiny["protocols"] = ["scdd-paper", "slow"]
    tiny["protocol"]["slow"] = {"like": "scdd-paper", "lr": 0.0007, "view": {"flip": False}}
    plan = plan_of(tiny)
    paper, slow = (node.params for node in plan.of("validate"))
    assert {key for key in paper if paper[key] != slow[key]} == {"lr"}
    assert slow["lr"] == 0.0007
    one, other = (node.params["view"] for node in plan.of("relabel"))
    assert one == {**other, "flip": True}
    assert other["pad"] == 1  # as this experiment has it for scdd-paper
    (table,) = plan.of("tables")
    said = "protocol slow: scdd-paper, but for lr 0.0007, view.flip False."
    assert said in table.params["notes"]
    assert [cell["protocol"] for cell in table.params["cells"]] == ["scdd-paper", "slow"]


def test_the_notes_tell_of_a_protocol_that_only_has_another_name_or_is_like_none(
    tiny: Config,
) -> None:
    tiny["protocols"] = ["same", "own"]
    tiny["protocol"] |= {"same": {"like": "scdd-paper"}, "own": {"epochs": 2}}
    (table,) = plan_of(tiny).of("tables")
    notes = table.params["notes"]
    assert "protocol same: scdd-paper." in notes
    assert "protocol own: epochs 2; else the defaults of `scdd keys`, none published." in notes


def test_a_method_may_have_fewer_protocols(tiny: Config) -> None:
    tiny["methods"] = ["scdd", {"name": "random", "protocols": ["slow"]}]
    tiny["protocols"] = ["scdd-paper", "slow"]
    tiny["protocol"]["slow"] = {"like": "scdd-paper", "lr": 0.0007}
    tiny["ablation"] = {"method": "scdd", "protocol": "scdd-paper"}
    (table,) = plan_of(tiny).of("tables")
    assert [(cell["method"], cell["protocol"]) for cell in table.params["cells"]] == [
        ("scdd", "scdd-paper"),
        ("scdd", "slow"),
        ("random", "slow"),
    ]
    assert table.params["ablation"]["protocols"] == {"scdd-paper": "", "slow": "lr 0.0007"}
    assert sections.pages(table.params) == ["ablation.md"]


def test_an_ablation_tells_what_the_experiment_changes_of_another_bundle(tiny: Config) -> None:
    tiny["protocols"] = ["scdd-paper", "slow", "rded", "rded-slow"]
    tiny["protocol"]["scdd-paper"]["epochs"] = 2
    tiny["protocol"] |= {"rded": {"epochs": 3}, "slow": {"like": "scdd-paper", "lr": 0.1}}
    tiny["protocol"]["rded-slow"] = {"like": "rded", "lr": 0.1}
    tiny["ablation"] = {"method": "scdd", "protocol": "scdd-paper"}
    (table,) = plan_of(tiny).of("tables")
    assert table.params["ablation"]["protocols"] == {
        "scdd-paper": "",
        "slow": "lr 0.1",
        "rded": "epochs 3",
        "rded-slow": "epochs 3, lr 0.1",
    }


def test_an_ablation_tells_what_each_method_changes(tiny: Config) -> None:
    jpeg = {"name": "jpeg", "like": "scdd", "recover": {"storage": "jpeg", "lr": 0.2}}
    tiny["methods"] = ["scdd", jpeg]
    tiny["ablation"] = {"method": "scdd", "protocol": "scdd-paper"}
    (table,) = plan_of(tiny).of("tables")
    told = {"scdd": "", "jpeg": "recover.storage jpeg, recover.lr 0.2"}
    assert table.params["ablation"]["methods"] == told


SLOW = {"protocol": {"slow": {"like": "scdd-paper"}}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"protocol": {"slow": {"like": "scdd-papr"}}},
            "protocol.slow.like: unknown 'scdd-papr'. Did you mean 'scdd-paper'?",
        ),
        ({"protocol": {"slow": {"like": "whole"}}}, "protocol.slow.like: unknown 'whole'"),
        ({"protocol": {"slow": {"like": ["a"]}}}, "protocol.slow.like: unknown ['a']"),
        (
            {"protocol": {"slow": {"like": "scdd-paper", "lrr": 1}}},
            "unknown key protocol.slow.lrr. Did you mean 'lr'?",
        ),
        (
            SLOW | {"methods": [{"name": "scdd", "protocols": ["slow"]}]},
            "methods.scdd.protocols: 'slow' is not one of the experiment's protocols.",
        ),
        (
            {"methods": ["scdd", {"name": "whole", "protocols": ["scdd-paper"]}]},
            "methods.whole.protocols: this method has no use for it.",
        ),
        (
            {"ablation": {"method": "sre2l", "protocol": "scdd-paper"}},
            "ablation.method: no method 'sre2l' with the protocol scdd-paper.",
        ),
        (
            SLOW | {"ablation": {"method": "scdd", "protocol": "slow"}},
            "ablation.protocol: 'slow' is not one of the experiment's protocols.",
        ),
        ({"ablation": {"method": "scdd"}}, "ablation.protocol is missing."),
        ({"dataset": {"holdout": 1}}, "dataset.holdout: input should be less"),
        (
            {
                "dataset": {"name": "digits", "holdout": 0.5},
                "methods": ["scdd", "random"],
                "ipc": [80],
            },
            "the smallest class of digits has 69",
        ),
        ({"dataset": {"holdout": 0.999}}, "dataset.holdout: 0.999, which leaves none of the 139"),
    ],
)
def test_what_cannot_be_compared_or_held_out_is_refused(
    tiny: Config, change: Config, message: str
) -> None:
    assert message in refusal(merge(tiny, change))


def test_a_held_out_part_is_part_of_the_datasets_identity(tiny: Config) -> None:
    before = plan_of(tiny)
    tiny["dataset"]["holdout"] = 0
    assert plan_of(tiny).nodes.keys() == before.nodes.keys()
    tiny["dataset"]["holdout"] = 0.1
    plan = plan_of(tiny)
    assert plan.nodes.keys().isdisjoint(before.nodes)
    (data,), (table,) = plan.of("data"), plan.of("tables")
    assert data.label == "digits-16-holdout0.1"
    assert table.params["holdout"] == 0.1


@pytest.mark.parametrize("holdout", [0.0, 0.1])
def test_what_others_made_may_have_seen_the_held_out_images(tiny: Config, holdout: float) -> None:
    tiny["dataset"]["holdout"] = holdout
    draft = datasets.draft(Plan(), parse(Experiment, tiny, ""), check_files=False)
    draft.import_from(draft.data, "theirs/teacher.pth")
    assert draft.plan.imports == {draft.data.key: "theirs/teacher.pth"}
    assert [note.partition(" is imported.")[0] for note in draft.notes] == ["teacher.pth"] * (
        holdout > 0
    )
