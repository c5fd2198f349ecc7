"""The classic methods in the plan: their artifacts, what they share, and what is refused."""

from typing import Any

import pytest

from scdd.errors import ScddError
from scdd.plan.load import plan_of
from scdd.plan.plan import Plan

# CIFAR-100's class list is known without its files
CONFIG = {
    "experiment": "e",
    "dataset": {"name": "cifar100"},
    "ipc": [1],
    "seeds": [0],
    "protocols": ["dc"],
}


def planned(*methods: Any, **more: Any) -> Plan:
    return plan_of({**CONFIG, "methods": list(methods), **more}, check_files=False)


def pixels(plan: Plan) -> list[tuple[str, bool]]:
    """Of each image set its pixels, and whether students see it whitened."""
    return [(node.params["pixels"], "whitening" in node.parents) for node in plan.of("imageset")]


def test_each_ipc_is_learned_for_itself() -> None:
    plan = planned("dm", ipc=[1, 10])
    assert [node.params["ipc"] for node in plan.of("learn")] == [1, 10]


def test_dsa_has_dc_s_engine_and_its_own_parameters() -> None:
    plan = planned("dc", "dsa")
    dc, dsa = (node.params for node in plan.of("learn"))
    assert (dc["engine"], dsa["engine"]) == ("dc", "dc")
    assert (dc["dsa"], dc["start"], dsa["dsa"], dsa["start"]) == (False, "noise", True, "real")


@pytest.mark.parametrize(
    ("ipc", "loops"), [(1, (1, 1)), (10, (10, 50)), (20, (20, 25)), (30, (30, 20)), (50, (50, 10))]
)
def test_dc_s_loops_are_those_of_its_code_for_the_ipc(ipc: int, loops: tuple[int, int]) -> None:
    (node,) = planned("dc", ipc=[ipc]).of("learn")
    assert (node.params["outer"], node.params["inner"]) == loops


def test_an_ipc_without_published_loops_is_refused_with_the_nearest() -> None:
    with pytest.raises(
        ScddError,
        match=r"^learn\.dc: nothing is published for IPC 12\. The nearest is IPC 10, with outer "
        r"10, inner 50\. Set learn\.dc\.outer and learn\.dc\.inner\.$",
    ):
        planned("dc", ipc=[12])


def test_own_loops_are_taken_for_any_ipc() -> None:
    (node,) = planned("dc", ipc=[12], learn={"dc": {"outer": 3, "inner": 4}}).of("learn")
    assert (node.params["outer"], node.params["inner"]) == (3, 4)


def test_values_of_the_dataset_itself_win_over_those_of_its_size() -> None:
    """MTT's rates for CIFAR-10 are not those for CIFAR-100."""
    (ten,) = planned("mtt", dataset="cifar10").of("learn")
    (hundred,) = planned("mtt").of("learn")
    assert (ten.params["lr_images"], hundred.params["lr_images"]) == (100, 1000)


def test_methods_and_ipcs_share_the_experts_of_a_pixel_space() -> None:
    """Of CIFAR-100, IPC 1 and 50 are whitened, IPC 10 is not."""
    plan = planned("mtt", "tesla", ipc=[1, 10, 50])
    assert len(plan.of("learn")) == 6
    assert sorted("whitening" in node.parents for node in plan.of("experts")) == [False, True]


def test_experts_are_trained_as_far_as_the_longest_follower_needs() -> None:
    """IPC 50 starts up to epoch 39 and follows for 2: the files end at epoch 45."""
    plan = planned("mtt", ipc=[1, 50])
    (experts,) = plan.of("experts")
    ends = {file.stem.split("_")[3] for file in plan.targets(experts)}
    assert ends == {"0000-0004", "0005-0009", "0010-0024", "0025-0044"}


def test_the_bytes_of_experts_are_known() -> None:
    """100 experts of 504,420 parameters (classics: ConvNet-3, 100 classes), 46 sets, 4 bytes."""
    (experts,) = (plan := planned("mtt", ipc=[50])).of("experts")
    assert plan.bytes(experts) == 100 * 504_420 * 46 * 4


def test_students_of_hard_labels_see_learned_floats() -> None:
    assert pixels(planned("dm")) == [("normalised", False)]
    assert pixels(planned("mtt")) == [("zca", True)]


def test_stored_as_8_bit_images_the_whitened_space_stays() -> None:
    assert pixels(planned({"name": "mtt", "storage": "uint8"})) == [("uint8", True)]


def test_both_ways_of_storage_share_what_was_learned() -> None:
    plan = planned("dm", {"name": "dm-uint8", "like": "dm", "storage": "uint8"})
    assert len(plan.of("learn")) == 1
    assert pixels(plan) == [("normalised", False), ("uint8", False)]


def test_teachers_see_whitened_images_as_8_bit_ones() -> None:
    plan = planned("scdd", {"name": "mtt", "protocols": ["scdd-paper"]}, protocols=["scdd-paper"])
    own = [node for node in plan.of("imageset") if node.params["method"] == "mtt"]
    assert [(node.params["pixels"], "whitening" in node.parents) for node in own] == [
        ("uint8", False)
    ]


def test_snapshots_are_image_sets_of_students_with_hard_labels() -> None:
    plan = planned({"name": "dm", "learn": {"snapshots": 3}})
    assert [node.params.get("at") for node in plan.of("imageset")] == [None, 5000, 10000, 15000]
    assert len(plan.of("validate")) == 4


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (
            {"name": "dm", "learn": {"network": "resnet18"}},
            "^learn.dm.network: images are learned with convnet3 or convnet4, not with resnet18.$",
        ),
        ({"name": "random", "learn": {"lr_images": 1}}, "^methods.random.learn: this method has"),
        ({"name": "dm", "experts": "a"}, "^methods.dm.experts: this method has no use for it.$"),
        ({"name": "dm", "learn": {"outer": 1}}, "^unknown key learn.dm.outer."),
    ],
)
def test_what_no_job_could_do_is_refused(method: dict[str, Any], message: str) -> None:
    with pytest.raises(ScddError, match=message):
        planned(method)


def test_a_section_of_an_unknown_method_is_refused() -> None:
    with pytest.raises(ScddError, match=r"^unknown key learn\.dmm\. Did you mean"):
        planned("dm", learn={"dmm": {}})
