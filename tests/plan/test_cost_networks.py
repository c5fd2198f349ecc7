"""The arithmetic of networks, which the plan counts without torch, against torch's own count."""

import re
from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from scdd.networks import students
from scdd.networks.build import build as build_backbone
from scdd.networks.resnet import build
from scdd.params.architectures import CONVNETS, RESNETS, STEMS
from scdd.params.network import Network
from scdd.params.squeeze import DINO, MoCoV2, MoCoV3, SwAV
from scdd.params.views import SmallCrops
from scdd.plan.cost import squeezes
from scdd.plan.cost.networks import size_of
from scdd.plan.students import STUDENTS
from scdd.rng import generator
from scdd.squeeze import views
from scdd.squeeze.engine import Now
from scdd.squeeze.methods import module

CLASSES = 7


def counted(network: torch.nn.Module, resolution: int) -> int:
    """FLOPs of an image's forward pass. With gradients, or attention would not be counted."""
    network.eval()
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, resolution, resolution))
    return counter.get_total_flops()


def weights(network: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


@pytest.mark.parametrize("stem", STEMS)
@pytest.mark.parametrize("arch", RESNETS)
@pytest.mark.parametrize("resolution", [24, 33])  # odd sides are rounded as convolutions do
def test_a_resnet_is_what_torch_counts(arch: str, stem: str, resolution: int) -> None:
    architecture = Network(arch, 0.125, stem)
    network, size = build(architecture, CLASSES), size_of(architecture, resolution, CLASSES)
    assert size is not None
    assert size.flops == counted(network, resolution)
    assert (size.weights, size.features) == (weights(network), network.fc.in_features)


def test_a_resnet_writes_the_values_of_its_layers() -> None:
    """Of ResNet-10 with 8 channels on 16 pixels: the stem and two blocks' layers at 16, 8, 4, 2."""
    body = 8 * 256 * 3 + 16 * 64 * 3 + 32 * 16 * 3 + 64 * 4 * 3
    size = size_of(Network("resnet10", 0.125, "small"), 16, CLASSES)
    assert size is not None
    assert (size.values, size.layers) == (body + CLASSES, 13)


def written(network: torch.nn.Module, resolution: int) -> tuple[list[int], list[int]]:
    """How many numbers each convolution and linear layer gives of an image, in order; and those
    that a DenseNet joins before a layer of its blocks."""
    found: list[int] = []
    for part in network.modules():
        if isinstance(part, torch.nn.Conv2d | torch.nn.Linear):
            part.register_forward_hook(lambda _part, _seen, out: found.append(out.numel()))
    joined: list[int] = []
    for name, part in network.named_modules():
        if re.search(r"denselayer\d+\.norm1$", name):
            part.register_forward_pre_hook(lambda _part, seen: joined.append(seen[0].numel()))
    network.eval()(torch.zeros(1, 3, resolution, resolution))
    return found, joined


@pytest.mark.parametrize(
    ("arch", "width", "stem", "resolution"),
    [
        *((arch, 0.25, "imagenet", 32) for arch in CONVNETS),
        ("alexnet", 1.0, "imagenet", 79),
        ("densenet21", 0.25, "small", 33),
        ("densenet121", 0.125, "small", 32),
        ("densenet121", 1.0, "imagenet", 65),
        ("densenet161", 0.25, "imagenet", 61),
        ("efficientnet_b0", 0.5, "small", 30),
        ("efficientnet_b0", 1.0, "imagenet", 65),
        ("mobilenet_v2", 0.25, "small", 33),
        ("mobilenet_v2", 0.7, "imagenet", 47),
        ("mobilenet_v2", 1.4, "imagenet", 32),
        ("shufflenet_v2_x0_5", 0.3, "small", 31),
        ("shufflenet_v2_x1_0", 1.0, "imagenet", 65),
        ("wrn-16-2", 1.0, "imagenet", 30),
        ("wrn-16-2", 0.3, "imagenet", 33),
    ],
)
def test_a_network_is_what_torch_counts(
    arch: str, width: float, stem: str, resolution: int
) -> None:
    architecture = Network(arch, width, stem)
    network = build_backbone(architecture, CLASSES, resolution, generator("test"))
    size = size_of(architecture, resolution, CLASSES)
    assert size is not None
    assert (size.flops, size.weights) == (counted(network, resolution), weights(network))
    assert size.features == network.fc.in_features
    layers, joined = written(network, resolution)
    assert (size.values, size.layers) == (sum(layers) + sum(joined), len(layers))


@pytest.mark.parametrize(
    ("arch", "stem", "resolution"),
    [
        ("convnext_tiny", "small", 32),
        ("efficientnet_b1", "small", 48),
        ("googlenet", "imagenet", 64),
        ("mnasnet0_5", "imagenet", 96),
        ("mobilenet_v3_small", "imagenet", 64),
        ("regnet_x_400mf", "small", 32),
        ("resnext50_32x4d", "small", 16),
        ("squeezenet1_1", "imagenet", 96),
        ("swin_t", "small", 64),
        ("vgg11", "imagenet", 64),
        ("vit_b_32", "imagenet", 96),
        ("wide_resnet50_2", "small", 16),
    ],
)
def test_a_listed_student_is_about_what_torch_counts(arch: str, stem: str, resolution: int) -> None:
    """It is listed for 1,000 classes and two sizes, and is between them by the pixels."""
    architecture = Network(arch, stem=stem)
    network = students.build(architecture, 1000, resolution, generator("test"))
    size = size_of(architecture, resolution, 1000)
    assert size is not None
    assert size.flops == pytest.approx(counted(network, resolution), rel=0.1)
    assert size.weights == pytest.approx(weights(network), rel=0.01)


def test_every_student_of_the_plan_is_known() -> None:
    for arch, family in STUDENTS.items():
        stems = ["imagenet"] + (["small"] if family.least_small is not None else [])
        for stem in stems:
            assert size_of(Network(arch, stem=stem), 224, 10) is not None, (arch, stem)
    assert size_of(Network("timm:resnet18", stem="imagenet"), 224, 10) is None


@pytest.mark.parametrize(
    "params",
    [
        MoCoV2(batch=8, bn_groups=2, queue=16),
        MoCoV2(batch=8, bn_groups=1, queue=16, symmetric=False),
        MoCoV3(batch=8, hidden=32, dim=16),
        SwAV(batch=8, hidden=32, dim=16, prototypes=20, small=SmallCrops(count=3, size=8)),
        DINO(batch=8, hidden=32, bottleneck=16, outputs=64, small=SmallCrops(count=2)),
    ],
    ids=lambda params: params.method,
)
def test_a_step_of_a_squeeze_is_about_what_torch_counts(params: squeezes.Training) -> None:
    """But for the first layer, whose inputs have no gradient, and what methods compute without
    layers, codes of clusters say."""
    _require_counted(params, Network("resnet10", 0.5, "small"))


def test_a_step_is_about_what_torch_counts_of_another_network_too() -> None:
    small = SmallCrops(count=2, size=8)
    params = SwAV(batch=8, hidden=32, dim=16, prototypes=20, small=small)
    _require_counted(params, Network("densenet21", 0.25, "small"))


def _require_counted(params: squeezes.Training, architecture: Network) -> None:
    resolution, draw = 16, generator("test")
    network = build_backbone(architecture, CLASSES, resolution, draw)
    method = module(params.method).make(params, network, draw)
    sides = [crop.size for crop in views.crops_of(params, method.views, resolution)]
    seen = [torch.randn(params.batch, 3, side, side, generator=draw) for side in sides]
    with FlopCounterMode(display=False) as counter:
        method.loss(seen, torch.zeros(params.batch, dtype=torch.int64), Now(0, 1, 20)).backward()
    work = squeezes.squeeze_work(
        replace(params, epochs=1, warmup_epochs=0, knn_every=0),
        architecture,
        resolution,
        CLASSES,
        params.batch,
    )
    assert work.flops == pytest.approx(counter.get_total_flops(), rel=0.05)
