"""What the jobs of each stage do, against counts by hand."""

import json
from pathlib import Path
from typing import Any

import pytest

from scdd.params.network import Network
from scdd.params.squeeze import DINO, SQUEEZES, MoCoV2, MoCoV3, Supervised, SwAV, Training
from scdd.params.views import SmallCrops
from scdd.plan.cost.counts import NotCounted
from scdd.plan.cost.networks import backbone_size
from scdd.plan.cost.passes import Job
from scdd.plan.cost.squeezes import STEPS, squeeze_work
from scdd.plan.cost.stages import jobs_of
from scdd.plan.load import plan_of
from scdd.plan.plan import Plan

FORWARD = 0.1019e9  # of ConvNet-3 with 128 filters on an image of CIFAR-100
NETWORK = Network("resnet10", 0.25, "small")
BODY = backbone_size(NETWORK, 16, None).flops  # of the backbone of `digits` below
WHOLE = backbone_size(NETWORK, 16, 10).flops  # with its classifier
TRAIN, VAL = 1437, 360  # digits


def digits(**changes: Any) -> Plan:
    config = {
        "experiment": "e",
        "dataset": "digits",
        "backbone": {"arch": "resnet10", "width": 0.25},
        "students": [{"arch": "resnet10", "width": 0.25}],
        "methods": ["scdd"],
        "ipc": [10],
        "seeds": [0],
        "recover": {"block": 10},
    }
    return plan_of(config | changes)


def jobs(plan: Plan, stage: str) -> list[Job]:
    return [job for node in plan.of(stage) for job in jobs_of(plan, node)]


def flops_by_kind(job: Job) -> dict[str, float]:
    return {kind: amount.flops for (kind, _), amount in job.work.parts.items() if amount.flops}


# ---- squeezes ----------------------------------------------------------------------------------

SMALL = 7  # pixels a side of small views of 16: three sevenths
HEADS = {  # multiplications of heads for one view; 128 is the width of the backbone's features
    "mocov2": 128 * 128 + 128 * 8,
    "key of mocov3": 128 * 32 + 32 * 8,
    "predictor": 8 * 32 + 32 * 8,
    "swav": 128 * 32 + 32 * 8 + 8 * 50,
    "dino": 128 * 32 + 32 * 32 + 32 * 8 + 8 * 60,
}


@pytest.mark.parametrize(
    ("params", "each"),
    [
        # two queries that are trained, each compared with 64 keys, and two keys
        (
            MoCoV2(dim=8, queue=64, batch=64),
            2 * 3 * (BODY + 2 * HEADS["mocov2"] + 2 * 8 * 64) + 2 * (BODY + 2 * HEADS["mocov2"]),
        ),
        # one of each
        (
            MoCoV2(dim=8, queue=64, batch=64, symmetric=False),
            3 * (BODY + 2 * HEADS["mocov2"] + 2 * 8 * 64) + BODY + 2 * HEADS["mocov2"],
        ),
        # two predictions, compared with the keys of the batch, and two keys
        (
            MoCoV3(hidden=32, dim=8, batch=64),
            2 * 3 * (BODY + 2 * (HEADS["key of mocov3"] + HEADS["predictor"]) + 2 * 8 * 64)
            + 2 * (BODY + 2 * HEADS["key of mocov3"]),
        ),
        # two large views and three small ones, all trained
        (
            SwAV(hidden=32, dim=8, prototypes=50, batch=64, small=SmallCrops(count=3)),
            3 * (2 * BODY + 3 * backbone_size(NETWORK, SMALL, None).flops + 5 * 2 * HEADS["swav"]),
        ),
        # the same, and the teacher's two large ones
        (
            DINO(hidden=32, bottleneck=8, outputs=60, batch=64, small=SmallCrops(count=3)),
            3 * (2 * BODY + 3 * backbone_size(NETWORK, SMALL, None).flops + 5 * 2 * HEADS["dino"])
            + 2 * (BODY + 2 * HEADS["dino"]),
        ),
        (Supervised(batch=64), 3 * WHOLE),
    ],
    ids=["mocov2", "mocov2, asymmetric", "mocov3", "swav", "dino", "supervised"],
)
def test_a_squeeze_takes_its_passes(params: Training, each: float) -> None:
    """200 epochs of 22 full batches of 64; a k-NN accuracy in every tenth, of all images."""
    steps = 200 * 22
    knn = 20 * TRAIN * BODY
    work = squeeze_work(params, NETWORK, 16, 10, TRAIN)
    assert work.flops == pytest.approx(steps * 64 * each + knn)


def test_every_squeeze_that_trains_is_counted() -> None:
    assert set(STEPS) == {each for each in SQUEEZES.values() if issubclass(each, Training)}


# ---- the other stages --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("features", "images"),
    [
        ("clean", 2 * TRAIN + VAL),  # once for the training, once for the accuracies
        ("augmented", 100 * TRAIN + TRAIN + VAL),
    ],
)
def test_a_probe_passes_images_through_the_backbone(features: str, images: int) -> None:
    (job,) = jobs(digits(probe={"features": features}), "probe")
    assert flops_by_kind(job)["forward"] == pytest.approx(images * BODY)
    assert flops_by_kind(job)["train"] == 100 * TRAIN * 3 * 2 * 128 * 10  # the classifier


def test_a_fine_tuning_probe_trains_the_backbone_on_every_view() -> None:
    (job,) = jobs(digits(probe={"features": "augmented", "tune": "all", "epochs": 7}), "probe")
    counted = flops_by_kind(job)
    assert counted["train"] == pytest.approx(7 * TRAIN * 3 * WHOLE)
    assert counted["forward"] == pytest.approx((TRAIN + VAL) * BODY)  # the accuracies


def test_a_recovery_takes_two_passes_for_each_image_and_iteration() -> None:
    """A job for the first slot and one for the nine others; a unit is one image of each class."""
    first, others = jobs(digits(recover={"block": 10, "iterations": 7}), "recover")
    assert first.name == "slots_0000-0000_classes_0000-0009"
    assert flops_by_kind(first) == {"images": pytest.approx(7 * 10 * 2 * WHOLE)}
    assert flops_by_kind(others) == {"images": pytest.approx(7 * 90 * 2 * WHOLE)}
    assert (first.units, others.units) == (1, 9)


def test_a_committee_takes_as_many_passes_as_it_has_members() -> None:
    methods = ["sre2l", {"name": "scdd", "committee": ["sre2l"], "ipc": [1]}]
    plan = digits(methods=methods, ipc=[1])
    alone, both = sorted(job.work.flops for job in jobs(plan, "recover"))
    assert both == pytest.approx(2 * alone)


def test_an_informativeness_takes_a_recovery_and_signals() -> None:
    """100 iterations of ten images, and three passes for each of 16 views."""
    plan = digits(recover={"block": 10, "r_bn": "auto"})
    (job,) = jobs(plan, "informativeness")
    assert job.work.flops == pytest.approx((100 * 2 + 16 * 3) * 10 * WHOLE)


def test_labels_take_a_pass_for_each_image_and_epoch() -> None:
    """300 epochs of a hundred images, in files of a hundred epochs."""
    plan = digits(protocol={"scdd-paper": {"epochs": 300}})
    shards = jobs(plan, "relabel")
    assert shards[0].name == "epochs_0000-0099"
    assert [job.work.flops for job in shards] == [pytest.approx(100 * 100 * WHOLE)] * 3


def test_a_student_is_trained_and_tested_twenty_times() -> None:
    plan = digits(
        protocol={"scdd-paper": {"epochs": 50}, "whole": {"epochs": 5}}, methods=["whole", "scdd"]
    )
    distilled, whole = sorted(jobs(plan, "validate"), key=lambda job: job.work.flops)
    assert flops_by_kind(distilled) == {
        "train": pytest.approx(50 * 100 * 3 * WHOLE),
        "forward": pytest.approx(20 * VAL * WHOLE),
    }
    assert flops_by_kind(whole) == {
        "train": pytest.approx(5 * TRAIN * 3 * WHOLE),
        "forward": pytest.approx(5 * VAL * WHOLE),
    }


def test_coresets_look_at_the_training_images() -> None:
    """Herding once; forgetting in each of 200 epochs of a training."""
    plan = digits(methods=["scdd", "herding", "forgetting"])
    (features,), (run,) = jobs(plan, "coreset"), jobs(plan, "forgetting")
    assert features.work.flops == pytest.approx(TRAIN * BODY)
    assert run.work.flops == pytest.approx(200 * TRAIN * 3 * WHOLE)


def test_a_curriculum_is_a_student_that_sees_the_training_images_once() -> None:
    """Of 2 of 10 images a class 2 are distilled; lots of 3, 3 and 2 are added to them. The teacher
    is a network like the student."""
    plan = digits(methods=["scdd", "ccfs"])
    sizes = [images * 10 for images in (2, 5, 8)]
    for job, size in zip(jobs(plan, "curriculum"), sizes, strict=True):
        assert flops_by_kind(job) == {
            "train": pytest.approx(size * 200 * 3 * WHOLE),
            "forward": pytest.approx(2 * TRAIN * WHOLE),
        }


def test_a_verifier_sees_each_image_once() -> None:
    (job,) = jobs(digits(methods=["sre2l", "scdd"], verifier="sre2l"), "verify")[:1]
    assert job.work.flops == pytest.approx(100 * WHOLE)


def test_jobs_have_the_names_of_their_files_of_costs() -> None:
    """As the tables find them."""
    plan = digits(methods=["scdd", "random", "herding", "random-hard", "whole"])
    for table in plan.of("tables"):
        for part in table.params["costs"]:
            for stage, files in part["stages"].items():
                known = {
                    f"{node.key}/costs/{job.name}.json"
                    for node in plan.of(stage)
                    for job in jobs_of(plan, node)
                }
                assert set(files) <= known


# ---- learned images ----------------------------------------------------------------------------


def learned(method: Any, ipc: int) -> Plan:
    config = {
        "experiment": "e",
        "dataset": "cifar100",
        "methods": [method],
        "ipc": [ipc],
        "protocols": ["dc"],
        "seeds": [0],
    }
    return plan_of(config, check_files=False)


@pytest.mark.parametrize(
    ("method", "ipc", "passes"),
    [
        # 1,000 networks: 25,600 real images trained on, 100 learned ones differentiated twice
        ("dc", 1, 1000 * (25_600 * 3 + 100 * 9)),
        # ten steps of the images, and 50 epochs on them between two
        ("dsa", 10, 1000 * (10 * (25_600 * 3 + 1000 * 9) + 9 * 50 * 1000 * 3)),
        # real images go forward only
        ("dm", 50, 20_000 * (25_600 + 5000 * 3)),
        # 20 steps on 100 images, each differentiated once more
        ("mtt", 1, 5000 * 20 * 100 * 11),
        ("tesla", 50, 10_000 * 80 * 125 * 11),
    ],
)
def test_a_method_takes_its_passes(method: str, ipc: int, passes: int) -> None:
    (job,) = jobs(learned(method, ipc), "learn")
    assert job.work.flops == pytest.approx(passes * FORWARD, rel=1e-3)


def test_experts_take_three_passes_of_each_image_and_epoch() -> None:
    """CIFAR-100's at IPC 50: 100 experts up to epoch 41, in files to epoch 45."""
    parts = jobs(learned("mtt", 50), "experts")
    assert len(parts) == 10 * 4
    total = sum(job.work.flops for job in parts)
    assert total == pytest.approx(100 * 45 * 50_000 * 3 * FORWARD, rel=1e-3)


def test_whitening_multiplies_all_pixels_with_each_other() -> None:
    """Of 60,000 images with 3,072 values, and eigenvectors of a matrix of 3,072 rows."""
    (job,) = jobs(learned("mtt", 1), "whiten")
    assert job.work.flops == pytest.approx(60_000 * 2 * 3072**2 + 25 * 3072**3)


def test_a_convnet_is_that_of_the_layers() -> None:
    """Nine weights for each pair of channels and pixel, twice; and the last layer."""
    layers = [3 * 128 * 32**2, 128 * 128 * 16**2, 128 * 128 * 8**2]
    three = backbone_size(Network("convnet3"), 32, 100).flops
    assert three == 2 * (9 * sum(layers) + 100 * 128 * 4**2)
    assert three == pytest.approx(FORWARD, rel=1e-3)
    four = backbone_size(Network("convnet4"), 64, 200).flops
    assert four == pytest.approx(0.43e9, rel=0.02)


# ---- a user's own folder -----------------------------------------------------------------------


def folder_plan(root: Path) -> Plan:
    for name in ("a", "b"):
        (root / "train" / name).mkdir(parents=True, exist_ok=True)
    config = {
        "experiment": "e",
        "dataset": {"name": "imagefolder", "root": str(root), "resolution": 16},
        "methods": ["whole"],
        "ipc": [1],
        "seeds": [0],
    }
    return plan_of(config, check_files=False)


def test_images_of_a_folder_are_counted_if_they_are_there(tmp_path: Path) -> None:
    plan = folder_plan(tmp_path)
    with pytest.raises(NotCounted, match="how many training images"):
        jobs(plan, "validate")
    for split, count in (("train", 3), ("val", 2)):
        for name in ("a", "b"):
            (tmp_path / split / name).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                (tmp_path / split / name / f"{number}.png").touch()
    (job,) = jobs(plan, "validate")
    parts = {kind: amount for (kind, _), amount in job.work.parts.items()}
    assert parts["train"].flops / 3 / 6 == pytest.approx(parts["forward"].flops / 20 / 4 * 200)


def test_a_dataset_that_is_made_tells_its_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plan = folder_plan(tmp_path / "photos")
    (data,) = plan.of("data")
    data.folder.mkdir(parents=True)
    (data.folder / "dataset.json").write_text(json.dumps({"train": 50, "val": 7}))
    (job,) = jobs(plan, "validate")
    assert job.work.parts["train", "float32"].flops > 0


def test_a_network_of_timm_is_not_counted() -> None:
    pytest.importorskip("timm")
    plan = digits(students=[{"arch": "timm:resnet18"}])
    with pytest.raises(NotCounted, match="timm:resnet18"):
        jobs(plan, "validate")
