"""ResNets with torchvision's key layout, a small-image stem and a width factor.

Written out rather than imported: torchvision's import costs a job more than a second.
"""

import difflib
import math
from typing import TypeVar

import torch
from torch import Tensor, nn

from scdd.errors import ScddError
from scdd.params.network import RESNETS as LAYOUTS
from scdd.params.network import STEMS, Network

N = TypeVar("N", bound=nn.Module)


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


class ResNet(nn.Module):
    """Images float [n, 3, H, W], normalised, to logits [n, classes]; state dict as torchvision's.

    `features` gives what `fc` sees, [n, fc.in_features]. stem: 'imagenet' is 7x7 stride 2 and
    max-pool, 'small' is 3x3 stride 1 without; 'small-pad2' pads it by 2, as solo-learn does on
    CIFAR. `width` multiplies all channel counts.
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

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.features(x))


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


def in_eval_mode(network: N, device: torch.device) -> N:
    """The network, moved in place, for passes in which no convolution is trained. On a GPU it is
    channels_last, which tensor cores need; on the CPU that would change the rounding."""
    network.to(device)
    if device.type == "cuda":
        network.to(memory_format=torch.channels_last)
    return network.eval()


def features_of(network: ResNet, images: Tensor, precision: str) -> Tensor:
    """float32 [n, fc.in_features] of normalised float32 [n, 3, H, W]; precision: 'float32', or
    'bf16' (autocast)."""
    with torch.autocast(images.device.type, torch.bfloat16, enabled=precision == "bf16"):
        seen = network.features(images)
    return seen.float()


def backbone_state(network: ResNet) -> dict[str, Tensor]:
    """The state dict without `fc`; tensors share memory with the network."""
    return {key: t for key, t in network.state_dict().items() if not key.startswith("fc.")}


def load_backbone(network: ResNet, state: dict[str, Tensor]) -> None:
    """Load all but `fc`, which `state` may have. Raises ScddError if keys or shapes do not fit
    the network."""
    own = backbone_state(network)
    state = {key: tensor for key, tensor in state.items() if not key.startswith("fc.")}
    wrong = sorted(own.keys() ^ state.keys()) or [
        key for key in own if own[key].shape != state[key].shape
    ]
    if wrong:
        raise ScddError(
            f"the backbone does not fit the architecture: {wrong[0]} and {len(wrong) - 1} more "
            "tensors are missing, unexpected or of another shape."
        )
    network.load_state_dict(state, strict=False)
