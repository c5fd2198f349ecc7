"""Networks of several kinds as teachers: what a plan has of them, and what it refuses."""

from typing import Any

import pytest

from scdd.errors import ScddError
from scdd.params.network import Network
from scdd.plan.cost.networks import backbone_size
from scdd.plan.cost.stages import jobs_of
from scdd.plan.load import plan_of

Config = dict[str, Any]
KINDS = ("densenet21", "shufflenet_v2_x0_5", "mobilenet_v2")


def with_teachers(tiny: Config, **own: Any) -> Config:
    """A recovery from four teachers, one of which is its own."""
    teachers = [
        {"name": arch, "like": "teacher", "backbone": {"arch": arch, "width": 0.25}}
        for arch in KINDS
    ]
    method = {"name": "four", "like": "sre2l", "committee": list(KINDS), **own}
    return {**tiny, "methods": [*teachers, method]}


def test_teachers_have_probes_and_no_images(tiny: Config) -> None:
    plan = plan_of(with_teachers(tiny))
    assert len(plan.of("probe")) == 4
    (recover,) = plan.of("recover")
    backbones = [
        plan.parent(plan.parent(recover, role), "backbone").params["arch"]
        for role in ("teacher", "teacher_2", "teacher_3", "teacher_4")
    ]
    assert backbones == ["resnet10", *KINDS]
    assert [cell["method"] for cell in plan.of("tables")[0].params["cells"]] == ["four"]
    probes = [probe["method"] for probe in plan.of("tables")[0].params["probes"]]
    assert probes == [*KINDS, "four"]


def test_a_teacher_is_squeezed_with_labels_or_as_it_says(tiny: Config) -> None:
    config = with_teachers(tiny)
    config["methods"][1]["squeeze"] = {"method": "mocov2"}
    squeezed = {
        node.params["arch"]: node.params["method"] for node in plan_of(config).of("squeeze")
    }
    assert squeezed == {
        "resnet10": "supervised",
        "densenet21": "supervised",
        "shufflenet_v2_x0_5": "mocov2",
        "mobilenet_v2": "supervised",
    }


def test_a_recovery_costs_a_pass_through_each_kind(tiny: Config) -> None:
    plan = plan_of(with_teachers(tiny))
    (recover,) = plan.of("recover")
    networks = [Network(arch, 0.25, "small") for arch in KINDS]
    networks += [Network("resnet10", 0.125, "small")]
    forward = sum(backbone_size(network, 16, 3).flops for network in networks)
    (job,) = jobs_of(plan, recover)
    assert job.work.flops == pytest.approx(2 * 3 * 2 * forward)  # factor, classes, iterations


def test_a_network_without_batch_norm_may_label(tiny: Config) -> None:
    label = {"name": "label", "like": "teacher", "backbone": {"arch": "convnet3", "width": 0.25}}
    own = {"name": "scdd", "teacher": ["label"]}
    plan = plan_of({**tiny, "methods": [label, own]})
    (relabel,) = plan.of("relabel")
    assert plan.parent(relabel, "teacher").label.endswith("convnet3-w0.25")


NORMLESS = {"arch": "convnet3", "width": 0.25}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"methods": [{"name": "scdd", "backbone": NORMLESS}]},
            "methods.scdd: images are recovered from statistics of BatchNorm, and convnet3 has",
        ),
        (
            {
                "methods": [
                    {"name": "plain", "like": "teacher", "backbone": NORMLESS},
                    {"name": "scdd", "committee": ["plain"]},
                ]
            },
            "methods.scdd: images are recovered from statistics of BatchNorm, and convnet3 has",
        ),
        (
            {"methods": [], "backbones": [{"method": "supervised", "backbone": NORMLESS}]},
            "backbones.0: images are recovered from statistics of BatchNorm, and convnet3 has none",
        ),
        (
            {"methods": [{"name": "scdd", "backbone": "squeezenet1_1"}]},
            "backbone: squeezenet1_1 takes images of 17 pixels on",
        ),
        (
            {
                "methods": [
                    {
                        "name": "scdd-swav",
                        "backbone": {"arch": "convnet3-bn", "width": 0.25},
                        "squeeze": {"batch": 64},
                    }
                ]
            },
            "squeeze.swav.small: crops of 7 pixels, but convnet3-bn takes images of 16 pixels "
            "alone. Set small.count to 0",
        ),
        (
            {
                "methods": [
                    {
                        "name": "scdd-swav",
                        "backbone": {"arch": "densenet21", "width": 0.25},
                        "squeeze": {"batch": 64},
                    }
                ]
            },
            "squeeze.swav.small: crops of 7 pixels, but densenet21 takes images of 8 pixels on.",
        ),
        (
            {"methods": [{"name": "t", "like": "teacher", "recover": {"lr": 1}}]},
            "methods.t.recover: this method has no use for it.",
        ),
    ],
)
def test_what_no_teacher_can_be_is_refused(tiny: Config, changes: Config, message: str) -> None:
    with pytest.raises(ScddError) as caught:
        plan_of({**tiny, **changes})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
