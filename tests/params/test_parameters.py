"""Every section of parameters: through JSON and back, what its digest has, and renamed keys."""

import importlib
import json
import pkgutil
from typing import Any

import pytest

from scdd import params
from scdd.errors import ScddError
from scdd.params.base import Section, key_of, parameters
from scdd.params.data import Data, Whiten
from scdd.params.experiment import (
    Ablation,
    Backbone,
    Continual,
    Dataset,
    Experiment,
    Figures,
    Machine,
    Method,
)
from scdd.params.learn import Cafe, Dc, Dm, Experts, Learn, Matched, Trajectory
from scdd.params.network import Network
from scdd.params.paper import Paper, Part
from scdd.params.patches import Patches
from scdd.params.probe import Informativeness, Probe
from scdd.params.protocol import Loss, Protocol, Relabel, Student, Train, Whole
from scdd.params.recover import Recover, Residual
from scdd.params.select import Ccfs, Coreset, Forgetting, Import, Sampling
from scdd.params.squeeze import (
    DINO,
    Asymmetric,
    Imported,
    MoCoV2,
    MoCoV3,
    MultiCrop,
    Source,
    Supervised,
    SwAV,
    Training,
    Untrained,
)
from scdd.params.statistics import Statistics
from scdd.params.views import RandAugment, SmallCrops, Transform, View
from scdd.plan.config import parse

VIEW = View("resized", 2, (0.3, 0.9), flip=False)
CHANNELS = (0.4, 0.5, 0.6)
NARROW = Network("resnet10", 0.25, "small")
SOURCE = Source("a.pth", "dino", ("cat", "dog"), CHANNELS, CHANNELS, "https://x", "MIT")
# of every section, with values that are not the defaults: tuples, parts, and what may be null
SECTIONS: list[Section] = [
    Ablation("scdd", "scdd-paper"),
    Asymmetric(blur_p=(1.0, 0.1), solarise_p=(0.0, 0.2)),
    Backbone("mocov2", "A title", NARROW, (1, 2), {"epochs": 3}, {"lr": 1.0}),
    Cafe(iterations=9, lr_images=0.1, layers=(1.0, 0.5, 0.2, 0.1), milestones=(0.5,)),
    Continual((4,), 2),
    Part("Table 1", "Accuracy", "digits", ("main", "ablation")),
    Paper("paper", "All of it", (Part("Figure 2", "Images", "digits", ("images",)),)),
    Coreset("bf16"),
    DINO(small=SmallCrops(4, 8, (0.1, 0.2), 0.5), teacher_temperatures=(0.02, 0.05), head_bn=False),
    Data("imagefolder", 8, CHANNELS, CHANNELS, ("cat", "dog"), "photos", 0.25, "test"),
    Dataset("cifar10", "there", True, ("cat", "dog"), 16, 18, CHANNELS, CHANNELS, 0.1, "test"),
    Dc(iterations=9, lr_images=0.1, outer=2, inner=3, distance="mse", dsa_by="step"),
    Dm(iterations=9, lr_images=0.1, start="noise", zca=True, snapshots=3),
    Experiment(
        experiment="name",
        dataset=Dataset("cifar10", classes=3),
        backbone=NARROW,
        methods=(Method("scdd", teacher=("sre2l", "scdd"), recover={"lr": 0.1}), Method("random")),
        backbones=(Backbone("mocov2"),),
        ipc=(1, 10),
        students=(NARROW, Network()),
        protocols=("dc", "rded"),
        seeds=(3,),
        squeeze={"mocov2": {"epochs": 1}},
        ablation=Ablation("scdd", "dc"),
        ranking=("dc",),
        machine=Machine("cpu", 2),
    ),
    Ccfs(0.1, 2, "rded", 3),
    Experts(count=20, per_file=5, storage="bf16"),
    Figures(3, 4, 1, 90),
    Forgetting(VIEW, 10, 32, 0.2, 0.8, 1e-4, (0.5,), 0.1, 3, "bf16"),
    Imported(SOURCE),
    Import("a folder", CHANNELS, CHANNELS),
    Informativeness(10, 0.2),
    Learn(iterations=9, lr_images=0.1, network=Network("convnet4", 0.5)),
    Loss("mse-ce", 4.0, 0.1),
    Machine("cuda:1", 4, 60.0, True, 2, 3, "graphs"),
    Matched(iterations=9, lr_images=0.1, batch=32, dsa=False),
    Method("both", like="scdd", teacher=("a", "b"), committee=("c",), backbone=NARROW, ipc=(1,)),
    MoCoV2(view=VIEW, colour_jitter=(0.1, 0.2, 0.3, 0.4), knn_every=0, blur_p=(0.5, 0.5)),
    MoCoV3(optimizer="lars", target_momentum=0.9, hidden=64),
    MultiCrop(small=SmallCrops(2)),
    NARROW,
    Patches(2, 50, 3, (0.2, 0.9), "jpeg", 4),
    Probe("clean", VIEW, milestones=(0.2, 0.4, 0.9), precision="bf16"),
    Protocol(
        loss="kl-t2",
        milestones=(0.5,),
        randaugment=RandAugment(1, 3),
        mix_by="batch",
        like="rded",
        student=NARROW,
        label_epochs=7,
    ),
    RandAugment(3, 4),
    Recover(
        r_bn="auto",
        iterations=9,
        crop=(0.1, 0.9),
        curriculum="step",
        mean=CHANNELS,
        std=CHANNELS,
        shift=0,
        start="real",
        teachers="vote",
        priors=(60.5, 50.0),
        sizes=(8, 16),
        budgets=(4, 5),
        residual=Residual(0.3),
    ),
    Relabel(VIEW, "cutmix", 1.0, 2, RandAugment(), "batch", "batch", 3, "topk:5", "drawn", 10),
    Residual(0.3, 40),
    Sampling(4),
    SmallCrops(2, 8, (0.1, 0.2), 0.5),
    SOURCE,
    Statistics("patches", 4, CHANNELS, CHANNELS),
    Student(8, 9, "sgd", seed=4, labels="hard", label_epochs=5, mix_by="batch", val_resize=20),
    Supervised(grey_p=0.1, bn_groups=2),
    SwAV(queue=512, queue_from=3, epsilon=0.03),
    Train(8, 9, "sgd", milestones=(0.5, 0.8), at_milestones="renew", learned_lr=True, ema=0.9),
    Trajectory(
        iterations=9,
        lr_images=0.1,
        steps=5,
        expert_epochs=2,
        max_start=3,
        student_lr=0.02,
        lr_student_lr=1e-5,
        gradient="code",
    ),
    Training(epochs=3, warmup_epochs=1, final_lr=0.001),
    Transform(VIEW, "mixup", 0.8, 2, RandAugment(1, 3)),
    Untrained(seed=7),
    VIEW,
    Whiten(0.2),
    Whole(view=VIEW, mix="cutmix", alpha=0.5),
]
# what no config.json has, and must be told again
PLACES: dict[type[Section], dict[str, Any]] = {
    Source: {"file": "a.pth"},
    Imported: {"source": {**SOURCE.dump(), "file": "a.pth"}},
    Import: {"path": "a folder"},
}


def all_sections(section: type[Section] = Section) -> set[type[Section]]:
    """Those of scdd.params, without the base of all."""
    for module in pkgutil.iter_modules(params.__path__):
        importlib.import_module(f"{params.__name__}.{module.name}")
    below = section.__subclasses__()
    inner = {each for one in below for each in all_sections(one)}
    return {each for each in {*below, *inner} if each.__module__.startswith(params.__name__)}


def name_of(value: Any) -> str:
    return (value if isinstance(value, type) else type(value)).__name__


def test_there_is_an_example_of_every_section() -> None:
    assert {type(section) for section in SECTIONS} == all_sections()
    assert len(SECTIONS) == len(all_sections())


@pytest.mark.parametrize("section", SECTIONS, ids=name_of)
def test_a_section_comes_back_from_a_config_json(section: Section) -> None:
    dumped = json.loads(json.dumps(section.dump()))
    assert type(section).of({**dumped, **PLACES.get(type(section), {})}) == section
    assert dumped == section.dump()  # lists, not tuples


@pytest.mark.parametrize("section", SECTIONS, ids=name_of)
def test_other_keys_of_a_config_json_are_left_aside(section: Section) -> None:
    more = {**section.dump(), **PLACES.get(type(section), {}), "sha256": "of something"}
    assert type(section).of(more) == section


@pytest.mark.parametrize("section", SECTIONS, ids=name_of)
def test_a_section_is_what_the_plan_reads_of_its_configuration(section: Section) -> None:
    """Also by the names that keys have in a configuration."""
    written = {**section.dump(), **PLACES.get(type(section), {})}
    keys = {name: key_of(parameter) for name, parameter in parameters(type(section)).items()}
    configured = {keys[name]: value for name, value in written.items()}
    if isinstance(section, Experiment):  # whose methods have keys with other names in Python
        configured["methods"] = [
            {key: value for key, value in method.dump().items() if key != "imported"}
            for method in section.methods
        ]
    assert parse(type(section), configured, "") == section


@pytest.mark.parametrize("section", SECTIONS, ids=name_of)
def test_a_digest_has_all_that_a_config_json_has_but_what_changes_no_result(
    section: Section,
) -> None:
    left_out = {
        name
        for name, parameter in parameters(type(section)).items()
        if not parameter.metadata["in_digest"]
        or getattr(section, name) == parameter.metadata["as_before"]
    }
    dumped = section.dump()
    expected = {name: value for name, value in dumped.items() if name not in left_out}
    if isinstance(section, Imported):
        expected["source"] = {"layout": "dino", "classes": ["cat", "dog"]}
    assert section.identity() == expected


def test_what_changes_no_result_is_in_no_digest() -> None:
    assert "knn_every" not in MoCoV2().identity()
    assert SOURCE.identity() == {"layout": "dino", "classes": ["cat", "dog"]}


def test_paths_are_in_no_config_json() -> None:
    assert "file" not in SOURCE.dump()
    assert "path" not in Import("a folder").dump()


@pytest.mark.parametrize("section", sorted(all_sections(), key=name_of), ids=name_of)
def test_every_parameter_that_is_not_a_section_has_a_meaning(section: type[Section]) -> None:
    for name, parameter in parameters(section).items():
        no_meaning = isinstance(parameter.default, Section) or name in ("method", "source")
        assert no_meaning or parameter.metadata["meaning"], name


# ---- renamed keys ------------------------------------------------------------------------------

RENAMED = [
    (section, old, new)
    for section in sorted(all_sections(), key=name_of)
    for old, new in section.RENAMED.items()
    if new in parameters(section)
]


def test_the_renamed_keys_are_known() -> None:
    assert {(old, new) for _, old, new in RENAMED} == {
        ("jitter", "colour_jitter"),
        ("jitter_p", "colour_jitter_p"),
        ("ema", "target_momentum"),
        ("jitter", "shift"),
        ("jitter_both_ways", "shift_both_ways"),
        ("views", "features"),
        ("overrides", "squeeze"),
        ("squeeze", "method"),
        ("inform", "informativeness"),
    }


@pytest.mark.parametrize(("section", "old", "new"), RENAMED)
def test_an_old_key_gets_the_name_of_the_new_one(
    section: type[Section], old: str, new: str
) -> None:
    with pytest.raises(ScddError) as refusal:
        parse(section, {old: "mocov2"}, "there")
    assert str(refusal.value) == f"there.{old} is called {new} now."


@pytest.mark.parametrize("section", [Supervised, SwAV], ids=name_of)
def test_an_old_key_whose_new_one_a_section_lacks_is_unknown(section: type[Section]) -> None:
    with pytest.raises(ScddError, match=r"^unknown key there\.ema\. "):
        parse(section, {"ema": 0.9}, "there")
