"""ResNets with torchvision's key layout, a small-image stem and a width factor.

Written out rather than imported: torchvision's import costs a job more than a second.
"""

import difflib
import math

import torch
from torch import Tensor, nn

from scdd.errors import ScddError
from scdd.networks.backbone import Backbone
from scdd.params.architectures import RESNETS as LAYOUTS
from scdd.params.architectures import STEMS
from scdd.params.network import Network


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)


class Basic(nn.Module):
    """Two 3x3 convolutions (He et al. 2016, figure 5 left)."""

    expansion = 1

    def __init__(self, inputs: int, planes: int, stride: int, downsample: nn.Module | None) -> None:
        super().__init__()
        self.conv1 = conv(inputs, planes, 3, stride)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = conv(planes, planes, 3)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.bn1(self.conv1(x)).relu_()
        return (self.bn2(self.conv2(x)) + shortcut).relu_()


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 (He et al. 2016, figure 5 right), the stride in the 3x3 as torchvision's."""

    expansion = 4

    def __init__(self, inputs: int, planes: int, stride: int, downsample: nn.Module | None) -> None:
        super().__init__()
        self.conv1 = conv(inputs, planes, 1)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = conv(planes, planes, 3, stride)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = conv(planes, planes * self.expansion, 1)
        self.bn3 = nn.BatchNorm2d(planes * self.expansion)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.bn1(self.conv1(x)).relu_()
        x = self.bn2(self.conv2(x)).relu_()
        return (self.bn3(self.conv3(x)) + shortcut).relu_()


Block = type[Basic] | type[Bottleneck]
RESNETS: dict[str, tuple[Block, tuple[int, int, int, int]]] = {
    name: (Bottleneck if is_bottleneck else Basic, depths)
    for name, (is_bottleneck, depths) in LAYOUTS.items()
}


class ResNet(Backbone):
    """Its state dict is torchvision's.

    stem: 'imagenet' is 7x7 stride 2 and max-pool, 'small' is 3x3 stride 1 without; 'small-pad2'
    pads it by 2, as solo-learn does on CIFAR. `width` multiplies all channel counts.
    """

    layer1: nn.Sequential
    layer2: nn.Sequential
    layer3: nn.Sequential
    layer4: nn.Sequential

    def __init__(
        self, block: Block, depths: tuple[int, ...], width: float, stem: str, classes: int
    ) -> None:
        super().__init__()
        planes = round(64 * width)
        self.conv1 = nn.Conv2d(3, planes, *STEMS[stem], bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        pooled = stem == "imagenet"
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1) if pooled else nn.Identity()
        inputs = planes
        for number, depth in enumerate(depths, start=1):
            blocks: list[nn.Module] = []
            for index in range(depth):
                stride = 2 if index == 0 and number > 1 else 1
                outputs = planes * block.expansion
                downsample = None
                if stride != 1 or inputs != outputs:
                    shortcut = conv(inputs, outputs, 1, stride)
                    downsample = nn.Sequential(shortcut, nn.BatchNorm2d(outputs))
                blocks.append(block(inputs, planes, stride, downsample))
                inputs = outputs
            setattr(self, f"layer{number}", nn.Sequential(*blocks))
            planes *= 2
        self.fc = nn.Linear(inputs, classes)

    def features(self, x: Tensor) -> Tensor:
        """Float [n, fc.in_features]: the mean over all positions of the last block's output."""
        x = self.maxpool(self.bn1(self.conv1(x)).relu_())
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return x.mean((2, 3))


def initialise(module: nn.Module, draw: torch.Generator | None) -> None:
    """Draw all weights as torchvision's ResNets do: He-normal (fan out) convolutions,
    BatchNorm 1 and 0, torch's default for linear layers (uniform within 1/sqrt(fan in))."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", generator=draw)
        elif isinstance(part, nn.Linear):
            bound = 1 / math.sqrt(part.in_features)
            nn.init.uniform_(part.weight, -bound, bound, generator=draw)
            if part.bias is not None:
                nn.init.uniform_(part.bias, -bound, bound, generator=draw)
        elif isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            part.reset_parameters()


def build(architecture: Network, classes: int, draw: torch.Generator | None = None) -> ResNet:
    """A network in training mode on the CPU, its weights drawn from `draw`.

    Raises ScddError, with the nearest names, where architecture or stem are unknown.
    """
    if architecture.arch not in RESNETS:
        near = difflib.get_close_matches(architecture.arch, RESNETS, n=3, cutoff=0.3)
        raise ScddError(
            f"arch {architecture.arch!r} is unknown; the nearest names are "
            f"{', '.join(near or RESNETS)}."
        )
    if architecture.stem not in STEMS:
        raise ScddError(f"stem {architecture.stem!r} is unknown; it is one of {', '.join(STEMS)}.")
    block, depths = RESNETS[architecture.arch]
    network = ResNet(block, depths, architecture.width, architecture.stem, classes)
    initialise(network, draw)
    return network
