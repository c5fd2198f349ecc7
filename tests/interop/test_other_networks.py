"""Checkpoints of torchvision's networks that are not ResNets, and of Wide ResNets."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from safetensors.torch import load_file
from torch import nn

from scdd.cli import main
from scdd.errors import ScddError
from scdd.interop import checkpoints
from scdd.networks.backbone import load_backbone
from scdd.networks.build import build
from scdd.params.network import Network
from scdd.rng import generator

NAMES = ("shufflenet_v2_x0_5", "mobilenet_v2", "densenet121", "efficientnet_b0", "alexnet")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "checkpoint.pth"


def theirs(name: str, classes: int = 5) -> Any:
    torch.manual_seed(0)
    network = torchvision.models.get_model(name, num_classes=classes)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 1.5)
    return network.eval()


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_a_file_of_torchvisions_gives_equal_outputs(name: str, path: Path) -> None:
    network = theirs(name)
    torch.save(network.state_dict(), path)
    found = checkpoints.find(path)
    assert found.layout == "torchvision"
    assert (found.architecture.arch, found.architecture.width) == (name, 1.0)
    wanted = Network(name, 1.0, "imagenet")
    ours = build(wanted, 5, 64, generator(1)).eval()
    load_backbone(ours, checkpoints.fitted(found, wanted, path))
    ours.fc.load_state_dict({key[3:]: tensor for key, tensor in found.classifier.items()})
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(ours(images), network(images))


def test_densenets_published_names_are_older_than_their_layers(path: Path) -> None:
    state = {
        key.replace("norm1.", "norm.1.").replace("norm2.", "norm.2."): tensor
        for key, tensor in theirs("densenet121").state_dict().items()
        if "num_batches" not in key
    }
    state = {
        k.replace("conv1.", "conv.1.").replace("conv2.", "conv.2."): t for k, t in state.items()
    }
    torch.save(state, path)
    found = checkpoints.find(path)
    assert found.architecture == Network("densenet121", 1.0, "imagenet")
    assert checkpoints.fitted(found, found.architecture, path)


@pytest.mark.parametrize(
    ("name", "width"), [("densenet21", 0.25), ("shufflenet_v2_x1_0", 0.5), ("mobilenet_v2", 0.5)]
)
def test_a_width_is_told_by_the_shapes(name: str, width: float, path: Path) -> None:
    network = build(Network(name, width, "small"), 3, 32, generator(0))
    torch.save({key.removeprefix("body."): t for key, t in network.state_dict().items()}, path)
    found = checkpoints.find(path)
    assert found.architecture.arch == name
    wide = build(Network(name, found.architecture.width, "small"), 3, 32, generator(0))
    shapes = {key: tensor.shape for key, tensor in wide.state_dict().items()}
    assert shapes == {key: tensor.shape for key, tensor in network.state_dict().items()}


def test_it_is_found_in_wrappers(path: Path) -> None:
    network = nn.DataParallel(theirs("mobilenet_v2"))
    torch.save({"model": network.state_dict(), "epoch": 3}, path)
    found = checkpoints.find(path)
    assert (found.architecture.arch, found.prefix) == ("mobilenet_v2", "model.")


def test_of_weights_and_their_averages_the_averages_are_taken(path: Path) -> None:
    first, second = theirs("mobilenet_v2"), theirs("mobilenet_v2")
    nn.init.ones_(second.classifier[1].bias)
    torch.save({"model": first.state_dict(), "model_ema": second.state_dict()}, path)
    assert checkpoints.find(path).classifier["fc.bias"].eq(1).all()


def test_a_wide_resnet_of_g_vbsm_has_our_keys(path: Path) -> None:
    network = build(Network("wrn-16-2", 1.0, "imagenet"), 10, 32, generator(0))
    torch.save(network.state_dict(), path)
    found = checkpoints.find(path)
    assert found.architecture.arch == "wrn-16-2"
    assert found.state.keys() | found.classifier.keys() == network.state_dict().keys()


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Network("resnet18", 1.0, "imagenet"), "holds a mobilenet_v2 of width 1, but"),
        (Network("densenet121", 1.0, "imagenet"), "holds a mobilenet_v2 of width 1, but"),
        (Network("mobilenet_v2", 0.5, "imagenet"), "in a mobilenet_v2 of width 0.5."),
    ],
)
def test_another_network_or_width_is_refused(wanted: Network, message: str, path: Path) -> None:
    torch.save(theirs("mobilenet_v2").state_dict(), path)
    with pytest.raises(ScddError) as caught:
        checkpoints.fitted(checkpoints.find(path), wanted, path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_two_networks_in_one_file_are_refused(path: Path) -> None:
    first, second = (theirs(name).state_dict() for name in ("mobilenet_v2", "shufflenet_v2_x0_5"))
    torch.save({"a": first, "b": second}, path)
    with pytest.raises(ScddError, match=r"several networks, below the keys b\., a\."):
        checkpoints.find(path)
    resnet = build(Network("resnet10", 0.125, "small"), 2, 8, generator(0)).state_dict()
    torch.save({"a": first, "c": resnet}, path)
    with pytest.raises(ScddError, match=r"several networks, below the keys a\., c\."):
        checkpoints.find(path)


def test_the_command_shows_it_and_writes_their_keys(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = theirs("shufflenet_v2_x0_5")
    torch.save(network.state_dict(), path)
    out = tmp_path / "backbone.safetensors"
    assert main(["import", str(path), "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "a classifier of 5 classes" in shown
    assert "arch: shufflenet_v2_x0_5" in shown
    assert "stem" not in shown
    written = load_file(out)
    assert written.keys() == network.state_dict().keys()
    assert checkpoints.find(out).architecture.arch == "shufflenet_v2_x0_5"


def test_what_has_no_batch_norm_is_shown_as_a_teacher(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(theirs("alexnet").state_dict(), path)
    assert main(["import", str(path)]) == 0
    assert "like: teacher" in capsys.readouterr().out
