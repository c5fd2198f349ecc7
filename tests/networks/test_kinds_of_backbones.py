"""Networks of all kinds as backbones: features, a last layer, and names of tensors."""

from typing import Any

import pytest
import torch
import torchvision
from torch import nn

from scdd.errors import ScddError
from scdd.networks.backbone import Headed, backbone_state, headed, last_linear, load_backbone
from scdd.networks.build import build
from scdd.networks.wide_resnet import WideResNet
from scdd.params.network import Network
from scdd.plan.students import FAMILIES, STUDENTS, for_images
from scdd.rng import generator

# a network of each kind that is small enough for every test, and the width of its features
KINDS = {
    "resnet10": (0.125, 64),
    "densenet21": (0.25, 32),
    "shufflenet_v2_x0_5": (0.25, 256),
    "mobilenet_v2": (0.25, 1280),
    "efficientnet_b0": (0.25, 320),
    "wrn-16-2": (0.25, 32),
    "convnet1-bn": (0.25, 32 * 16**2),
    "convnet3-bn": (0.25, 32 * 4**2),
}


def backbone(name: str, classes: int = 7, seed: int = 0) -> Any:
    network = for_images(Network(name, KINDS[name][0]), 32, "backbone")
    return build(network, classes, 32, generator(seed))


@pytest.mark.parametrize("name", KINDS)
@torch.no_grad()
def test_the_last_layer_sees_the_features(name: str) -> None:
    network = backbone(name).eval()
    images = torch.randn(2, 3, 32, 32)
    features = network.features(images)
    assert features.shape == (2, KINDS[name][1]) == (2, network.fc.in_features)
    torch.testing.assert_close(network(images), network.fc(features))


@pytest.mark.parametrize("name", KINDS)
def test_a_backbone_takes_what_another_has_but_for_its_classifier(name: str) -> None:
    first, second = backbone(name, classes=7, seed=0), backbone(name, classes=5, seed=1)
    load_backbone(second, backbone_state(first))
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(first.eval().features(images), second.eval().features(images))


@pytest.mark.parametrize(
    "name", ["shufflenet_v2_x0_5", "mobilenet_v2", "densenet121", "efficientnet_b0", "alexnet"]
)
@torch.no_grad()
def test_at_full_width_it_is_torchvisions(name: str) -> None:
    """By its outputs, and by its tensors' names below `body`."""
    ours = build(Network(name, 1.0, "imagenet"), 9, 64, generator(0)).eval()
    theirs = torchvision.models.get_model(name, num_classes=9).eval()
    last = last_linear(theirs)
    for network, weights in ((ours.body, theirs.state_dict()),):
        own = {key: t for key, t in weights.items() if not key.startswith(f"{last}.")}
        assert own.keys() == network.state_dict().keys()
        network.load_state_dict(own)
    ours.fc.load_state_dict(theirs.get_submodule(last).state_dict())
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(ours(images), theirs(images))


@pytest.mark.parametrize(("name", "rate"), [("mobilenet_v2", 0.2), ("shufflenet_v2_x0_5", 0.0)])
def test_dropout_before_the_last_layer_is_not_of_the_features(name: str, rate: float) -> None:
    network = backbone(name)
    assert network.dropout.p == rate
    images = torch.randn(4, 3, 32, 32)
    assert torch.equal(network.train().features(images), network.features(images))


def test_a_wide_resnet_is_that_of_the_paper() -> None:
    """Table 1 of arXiv 1605.07146 for depth 16 and k = 2, and the 0.7 M weights of its table 4."""
    network = build(Network("wrn-16-2", 1.0, "imagenet"), 10, 32, generator(0))
    assert isinstance(network, WideResNet)
    shapes: list[torch.Size] = []
    for stage in (network.conv1, network.block1, network.block2, network.block3):
        stage.register_forward_hook(lambda _part, _seen, out: shapes.append(out.shape[1:]))
    network(torch.randn(2, 3, 32, 32))
    assert [tuple(shape) for shape in shapes] == [
        (16, 32, 32),
        (32, 32, 32),
        (64, 16, 16),
        (128, 8, 8),
    ]
    convolutions = [part for part in network.modules() if isinstance(part, nn.Conv2d)]
    assert len(convolutions) == 16  # the shortcuts count
    assert sum(w.numel() for w in network.parameters()) == pytest.approx(0.7e6, rel=0.02)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.names[0])
def test_the_plan_knows_which_networks_have_batch_norm_and_a_linear_end(family: Any) -> None:
    name = family.names[0]
    if name not in torchvision.models.list_models():
        network: nn.Module = build(Network(name, 0.125, "imagenet"), 2, 32, generator(0))
    elif name.startswith("regnet_"):  # its constructor needs real tensors
        network = torchvision.models.get_model(name, num_classes=2)
    else:
        own = {"init_weights": False} if name in {"googlenet", "inception_v3"} else {}
        with torch.device("meta"):
            network = torchvision.models.get_model(name, num_classes=2, **own)
    norms = [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
    assert family.batch_norm == bool(norms)
    parts = [p for p in network.modules() if isinstance(p, nn.Linear | nn.Conv2d)]
    assert family.backbone == isinstance(parts[-1], nn.Linear)


def test_a_network_of_others_is_taken_apart_at_its_last_layer() -> None:
    network = torchvision.models.get_model("vgg11_bn", num_classes=3)
    found = headed(network)
    assert isinstance(found, Headed)
    assert (found.dropout.p, found.fc.out_features, found.fc.in_features) == (0.5, 3, 4096)
    assert not [part for part in found.body.modules() if part is found.fc]


def test_every_backbone_of_the_plan_has_a_known_size() -> None:
    from scdd.plan.cost.networks import backbone_size

    for name, family in STUDENTS.items():
        if family.backbone:
            size = backbone_size(Network(name, stem="imagenet"), 224, None)
            assert size.features > 0, name


def test_a_shape_that_does_not_fit_is_refused() -> None:
    state = backbone_state(backbone("mobilenet_v2"))
    other = build(Network("mobilenet_v2", 0.5, "small"), 7, 32, generator(0))
    with pytest.raises(ScddError, match="does not fit the architecture: body"):
        load_backbone(other, state)
