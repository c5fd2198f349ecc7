"""Wide ResNets for small images (arXiv 1605.07146), as G-VBSM has them (its key layout too)."""

import math

from torch import Tensor, nn

from scdd.networks.backbone import Backbone
from scdd.params.architectures import WIDE_RESNETS
from scdd.params.network import Network


class Block(nn.Module):
    """Norm, ReLU and 3x3 convolution, twice, beside the input. Where the shape changes, a 1x1
    convolution of the first ReLU's output is beside it instead."""

    convShortcut: nn.Conv2d | None  # the authors' key

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.convShortcut = None
        if inputs != outputs or stride > 1:
            self.convShortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        seen = self.bn1(x).relu_()
        shortcut = x if self.convShortcut is None else self.convShortcut(seen)
        return shortcut + self.conv2(self.bn2(self.conv1(seen)).relu_())


class Stage(nn.Module):
    def __init__(self, inputs: int, outputs: int, blocks: int, stride: int) -> None:
        super().__init__()
        later = [Block(outputs, outputs, 1) for _ in range(blocks - 1)]
        self.layer = nn.Sequential(Block(inputs, outputs, stride), *later)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


class WideResNet(Backbone):
    """blocks: of each of the three stages; wider: factor on the 16, 32 and 64 channels of the
    stages; width: one on all channels."""

    def __init__(self, blocks: int, wider: int, width: float, classes: int) -> None:
        super().__init__()
        first, *stages = (
            max(1, round(c * width)) for c in (16, 16 * wider, 32 * wider, 64 * wider)
        )
        self.conv1 = nn.Conv2d(3, first, 3, padding=1, bias=False)
        self.block1 = Stage(first, stages[0], blocks, 1)
        self.block2 = Stage(stages[0], stages[1], blocks, 2)
        self.block3 = Stage(stages[1], stages[2], blocks, 2)
        self.bn1 = nn.BatchNorm2d(stages[2])
        self.fc = nn.Linear(stages[2], classes)

    def features(self, x: Tensor) -> Tensor:
        """Float [n, fc.in_features]: the mean over all positions."""
        x = self.block3(self.block2(self.block1(self.conv1(x))))
        return self.bn1(x).relu_().mean((2, 3))


def build(architecture: Network, classes: int) -> WideResNet:
    """Weights are drawn as in the authors' code, from torch's own numbers."""
    network = WideResNet(*WIDE_RESNETS[architecture.arch], architecture.width, classes)
    for part in network.modules():
        if isinstance(part, nn.Conv2d):
            fan = part.kernel_size[0] * part.kernel_size[1] * part.out_channels
            nn.init.normal_(part.weight, std=math.sqrt(2 / fan))
    nn.init.zeros_(network.fc.bias)
    return network
