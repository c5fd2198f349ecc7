"""The networks equal torchvision's, whatever is written out by hand."""

import pretended
import pytest
import torch
import torchvision
from pretended import CPU, GPU

from scdd.errors import ScddError
from scdd.networks.backbone import backbone_state, features_of, in_eval_mode, load_backbone
from scdd.networks.resnet import RESNETS, ResNet, build
from scdd.params.network import Network
from scdd.rng import generator


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_outputs_equal_torchvision(name: str) -> None:
    theirs = torchvision.models.get_model(name, num_classes=7)
    ours = build(Network(name, 1.0, "imagenet"), 7)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    images = torch.randn(2, 3, 64, 64)
    for mode in (True, False):  # training first: it moves the running statistics
        torch.testing.assert_close(ours.train(mode)(images), theirs.train(mode)(images))
    for key, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[key], value)


@pytest.mark.parametrize("name", [name for name in RESNETS if name != "resnet10"])
def test_layout_equals_torchvision(name: str) -> None:
    with torch.device("meta"):
        theirs = torchvision.models.get_model(name).state_dict()
        ours = ResNet(*RESNETS[name], 1.0, "imagenet", 1000).state_dict()
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}


def test_small_stem_keeps_resolution_and_width_scales() -> None:
    network = build(Network("resnet10", 0.25, "small"), 10).eval()
    shapes = []
    network.layer1.register_forward_hook(lambda _m, _i, out: shapes.append(out.shape))
    images = torch.randn(2, 3, 16, 16)
    features = network.features(images)
    assert shapes == [(2, 16, 16, 16)]
    assert features.shape == (2, 128)
    torch.testing.assert_close(network(images), network.fc(features))


def test_initialisation_has_torchvisions_spread() -> None:
    network = build(Network("resnet18", 1.0, "imagenet"), 1000, generator(0, "init"))
    weight = network.layer3[0].conv2.weight  # He-normal, fan out: 256 * 9
    assert weight.std().item() == pytest.approx((2 / (256 * 9)) ** 0.5, rel=0.01)
    bound = 512**-0.5
    assert bound * 0.999 < network.fc.weight.abs().max().item() <= bound
    assert bool((network.bn1.weight == 1).all() and (network.bn1.bias == 0).all())


def test_same_generator_same_weights() -> None:
    architecture = Network("resnet10", 0.25, "small")
    one, two, other = (build(architecture, 3, generator(seed)).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert not torch.equal(one["fc.weight"], other["fc.weight"])


def test_backbone_moves_without_classifier() -> None:
    architecture = Network("resnet10", 0.25, "small")
    one, two = build(architecture, 3).eval(), build(architecture, 5).eval()
    load_backbone(two, backbone_state(one))
    images = torch.randn(2, 3, 16, 16)
    assert torch.equal(one.features(images), two.features(images))


def test_backbone_of_another_width_is_refused() -> None:
    one = build(Network("resnet10", 0.25, "small"), 3)
    two = build(Network("resnet10", 0.5, "small"), 3)
    with pytest.raises(ScddError, match=r"conv1\.weight"):
        load_backbone(two, backbone_state(one))


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(ScddError, match="resnet18"):
        build(Network("resnet81", 1.0, "small"), 3)
    with pytest.raises(ScddError, match="imagenet, small"):
        build(Network("resnet18", 1.0, "cifar"), 3)


def test_a_network_that_is_looked_through_is_channels_last_on_a_gpu_alone() -> None:
    architecture = Network("resnet10", 0.25, "small")
    with pretended.gpu():
        there = in_eval_mode(build(architecture, 3), GPU)
        assert pretended.on_gpu(there.layer1[0].conv1.weight)
    here = in_eval_mode(build(architecture, 3), CPU)
    assert not there.training and not here.training
    formats = torch.channels_last, torch.contiguous_format
    for network, own in zip((there, here), formats, strict=True):
        weight = network.layer1[0].conv1.weight
        assert [weight.is_contiguous(memory_format=one) for one in formats] == [
            one == own for one in formats
        ]


def test_features_in_bf16_come_back_in_float32() -> None:
    network = build(Network("resnet10", 0.25, "small"), 3, generator(0)).eval()
    images = torch.randn(4, 3, 16, 16, generator=generator(1))
    exact, rounded = (features_of(network, images, one) for one in ("float32", "bf16"))
    assert torch.equal(exact, network.features(images))
    assert rounded.dtype == torch.float32
    assert torch.equal(rounded, rounded.bfloat16().float())
    assert not torch.equal(rounded, exact)
    torch.testing.assert_close(rounded, exact, rtol=0.05, atol=0.05 * exact.max().item())
