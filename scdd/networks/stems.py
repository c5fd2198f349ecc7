"""Torchvision's networks for small images: their first layers keep the resolution. docs/students.md
says whose choices these are."""

from collections.abc import Callable
from typing import Any

from torch import nn

from scdd.errors import ScddError


def _unstride(*parts: nn.Module) -> None:
    """Let the convolutions in these parts keep the size of their input."""
    for part in parts:
        for module in part.modules():
            if isinstance(module, nn.Conv2d):
                module.stride = (1, 1)


def _another(old: nn.Conv2d, kernel: int, stride: int) -> nn.Conv2d:
    """A convolution with the same channels but another kernel, drawn as torch does by default."""
    channels, bias = (old.in_channels, old.out_channels), old.bias is not None
    return nn.Conv2d(*channels, kernel, stride, padding=(kernel - 1) // 2, bias=bias)


def _resnet(network: Any) -> None:
    network.conv1 = _another(network.conv1, 3, 1)
    nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out")
    network.maxpool = nn.Identity()


def _densenet(network: Any) -> None:
    network.features.conv0 = _another(network.features.conv0, 3, 1)
    nn.init.kaiming_normal_(network.features.conv0.weight)
    network.features.pool0 = nn.Identity()


def _mobilenet_v2(network: Any) -> None:
    _unstride(network.features[0], network.features[2])


def _efficientnet(network: Any) -> None:
    _unstride(network.features[0])


def _shufflenet(network: Any) -> None:
    _unstride(network.conv1)
    network.maxpool = nn.Identity()


def _regnet(network: Any) -> None:
    _unstride(network.stem, network.trunk_output.block1, network.trunk_output.block2)


def _swin(network: Any) -> None:
    network.features[0][0] = _another(network.features[0][0], 2, 2)


def _convnext(network: Any) -> None:
    network.features[0][0] = _another(network.features[0][0], 2, 2)
    nn.init.trunc_normal_(network.features[0][0].weight, std=0.02)
    nn.init.zeros_(network.features[0][0].bias)


SMALL_STEMS: dict[str, Callable[[nn.Module], None]] = {  # by how a family's names begin
    "convnext_": _convnext,
    "densenet": _densenet,
    "efficientnet_": _efficientnet,
    "mobilenet_v2": _mobilenet_v2,
    "regnet_": _regnet,
    "resnext": _resnet,
    "shufflenet_": _shufflenet,
    "swin_": _swin,
    "wide_resnet": _resnet,
}


def change_stem(network: nn.Module, name: str, stem: str) -> None:
    """Raises ScddError if the network has no such stem."""
    families = [family for family in SMALL_STEMS if stem == "small" and name.startswith(family)]
    if not families:
        raise ScddError(f"student {name} has no stem {stem!r}. Leave `stem` out.")
    SMALL_STEMS[families[0]](network)
