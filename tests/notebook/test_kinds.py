"""Networks of every kind as backbones, teachers and students, through all stages."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from toy import CLASSES, MEAN, STD, image_set

from scdd import notebook as dd
from scdd.errors import ScddError

KINDS = {
    "densenet21": 0.25,
    "shufflenet_v2_x0_5": 0.25,
    "mobilenet_v2": 0.25,
    "efficientnet_b0": 0.25,
    "wrn-16-2": 0.25,
    "convnet1-bn": 0.25,
    "convnet3-bn": 0.25,
}
SQUEEZE = {"epochs": 1, "batch": 16, "warmup_epochs": 0, "knn_every": 0}
# until BatchNorm's running statistics are those of the images
LONGER = {**SQUEEZE, "epochs": 4, "batch": 8, "lr": 0.01, "bn_groups": 1}
SMALL = {"count": 1, "size": 8}
HEADS: dict[str, dict[str, Any]] = {
    "mocov2": {"dim": 8, "queue": 32, "bn_groups": 2},
    "mocov3": {"dim": 8, "hidden": 12, "bn_groups": 2},
    "swav": {"dim": 8, "hidden": 12, "prototypes": 5, "queue": 0, "small": SMALL},
    "dino": {"bottleneck": 8, "hidden": 12, "outputs": 9, "small": SMALL},
}


def data(resolution: int) -> dd.Data:
    train, val = image_set(48, resolution), image_set(12, resolution, seed=1)
    pairs = [(split.pixels, split.labels) for split in (train, val)]
    return dd.open_data(*pairs, device="cpu", classes=CLASSES, mean=MEAN, std=STD)


@pytest.mark.parametrize("arch", KINDS)
def test_it_is_squeezed_probed_recovered_from_labels_and_learns(arch: str) -> None:
    network = {"arch": arch, "width": KINDS[arch]}
    backbone = dd.squeeze(data(8), "supervised", backbone=network, **LONGER)
    teacher = dd.probe(backbone, epochs=1, batch=16, lr=1)
    keys = {"iterations": 2, "r_bn": "auto", "block": 3, "shift": 1}
    images = dd.recover(teacher, ipc=1, **keys)
    assert images.pixels.shape == (3, 1, 3, 8, 8)
    assert not torch.equal(images.pixels[0], images.pixels[1])
    protocol = {"epochs": 1, "batch": 3, "student": network}
    labels = dd.relabel(teacher, images, "scdd-paper", **protocol)
    student = dd.validate(images, labels)
    assert 0 <= student.top1 <= 100


@pytest.mark.parametrize(
    ("arch", "method"),
    [
        ("densenet21", "swav"),
        ("shufflenet_v2_x0_5", "mocov2"),
        ("mobilenet_v2", "mocov3"),
        ("efficientnet_b0", "dino"),
        ("wrn-16-2", "dino"),
        ("convnet3-bn", "mocov2"),
    ],
)
def test_it_learns_without_labels(arch: str, method: str) -> None:
    """The heads suit the width of its features; all of its weights move."""
    network = {"arch": arch, "width": KINDS[arch]}
    images, keys = data(16), {**SQUEEZE, **HEADS[method]}
    start = dd.squeeze(images, "untrained", backbone=network).checkpoint.state
    state = dd.squeeze(images, method, backbone=network, **keys).checkpoint.state
    assert state.keys() == start.keys()
    moved = {key for key in state if not torch.equal(state[key], start[key])}
    assert {key for key in state if key.endswith(".weight")} <= moved


def test_torchvisions_weights_are_a_teacher_with_its_own_classifier(tmp_path: Path) -> None:
    network = torchvision.models.get_model("mobilenet_v2", num_classes=3)
    torch.save(network.state_dict(), file := tmp_path / "mobilenet_v2.pth")
    source = {"file": str(file), "mean": MEAN, "std": STD}
    wanted = {"arch": "mobilenet_v2", "stem": "imagenet"}
    backbone = dd.squeeze(data(8), "imported", backbone=wanted, source=source)
    state = dd.probe(backbone, features="imported").checkpoint.state
    for key, tensor in network.state_dict().items():
        own = key.replace("classifier.1", "fc") if "classifier" in key else f"body.{key}"
        assert torch.equal(state[own], tensor), key


def test_small_crops_of_a_network_for_one_size_are_refused() -> None:
    network = {"arch": "convnet3-bn", "width": 0.25}
    with pytest.raises(ScddError, match="crops of 8 pixels, but convnet3-bn takes"):
        dd.squeeze(data(16), "swav", backbone=network, **{**SQUEEZE, **HEADS["swav"]})
