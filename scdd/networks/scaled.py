"""Torchvision's networks that have any width here; of width 1 they are as published."""

from collections.abc import Callable

from torch import nn

from scdd.params.architectures import (
    DENSENETS,
    EFFICIENTNET_B0,
    MOBILENET_V2,
    SHUFFLE_BLOCKS,
    SHUFFLENETS,
    halves,
)


def _densenet(name: str, width: float, classes: int) -> nn.Module:
    from torchvision.models import DenseNet

    growth, blocks = DENSENETS[name]
    growth = max(1, round(growth * width))
    return DenseNet(growth, blocks, 2 * growth, num_classes=classes)


def _shufflenet(name: str, width: float, classes: int) -> nn.Module:
    from torchvision.models import ShuffleNetV2

    channels = [halves(count * width) for count in SHUFFLENETS[name]]
    return ShuffleNetV2(list(SHUFFLE_BLOCKS), channels, classes)


def _mobilenet(name: str, width: float, classes: int) -> nn.Module:
    from torchvision.models import MobileNetV2

    return MobileNetV2(classes, width, [list(stage) for stage in MOBILENET_V2])


def _efficientnet(name: str, width: float, classes: int) -> nn.Module:
    from torchvision.models import EfficientNet
    from torchvision.models.efficientnet import MBConvConfig

    stages = [MBConvConfig(*stage, width_mult=width) for stage in EFFICIENTNET_B0]
    return EfficientNet(stages, dropout=0.2, num_classes=classes)


SCALED: dict[str, Callable[[str, float, int], nn.Module]] = {
    **dict.fromkeys(DENSENETS, _densenet),
    **dict.fromkeys(SHUFFLENETS, _shufflenet),
    "mobilenet_v2": _mobilenet,
    "efficientnet_b0": _efficientnet,
}


def build(name: str, width: float, classes: int) -> nn.Module:
    """The network `name` of SCALED; its weights are drawn from torch's own numbers."""
    return SCALED[name](name, width, classes)
