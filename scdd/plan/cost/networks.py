"""What an image's forward pass through a network is, for every backbone and student, without torch.

tests/plan/test_cost_networks.py compares it with what torch counts.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from scdd.artifacts.sizes import FILTERS, convnet_flops, convnet_parameters
from scdd.params.network import RESNETS, STEMS, Network


@dataclass(frozen=True)
class Size:
    """flops: multiplications and additions of an image's forward pass in convolutions and linear
    layers; values: numbers that these layers give; layers: how many they are; weights: parameters
    of the network; features: numbers that its last layer sees.
    """

    flops: float
    values: float
    layers: float
    weights: float
    features: int


@dataclass(frozen=True)
class _Conv:
    inputs: int
    outputs: int
    kernel: int
    side: int  # of the maps that it gives

    @property
    def flops(self) -> int:
        return 2 * self.kernel**2 * self.inputs * self.outputs * self.side**2


def size_of(network: Network, resolution: int, classes: int) -> Size | None:
    """None: not known, as for timm's networks. The network's stem must be chosen (not `auto`)."""
    if network.arch in RESNETS:
        return resnet(network, resolution, classes)
    if network.arch.startswith("convnet") and "_" not in network.arch:
        return convnet(network, resolution, classes)
    return _listed(network, resolution)


def linear(inputs: int, outputs: int, bias: bool = True) -> Size:
    """A linear layer."""
    return Size(2 * inputs * outputs, outputs, 1, outputs * (inputs + bias), inputs)


def together(*sizes: Size) -> Size:
    """Networks one after the other; features: the last one's."""
    return Size(
        sum(size.flops for size in sizes),
        sum(size.values for size in sizes),
        sum(size.layers for size in sizes),
        sum(size.weights for size in sizes),
        sizes[-1].features,
    )


def resnet(network: Network, resolution: int, classes: int | None) -> Size:
    """classes: None for a backbone without its last layer."""
    convolutions = list(_convolutions(network, resolution))
    features = convolutions[-1].outputs
    body = Size(
        sum(conv.flops for conv in convolutions),
        sum(conv.outputs * conv.side**2 for conv in convolutions),
        len(convolutions),
        # each convolution has a BatchNorm
        sum(conv.outputs * (conv.kernel**2 * conv.inputs + 2) for conv in convolutions),
        features,
    )
    return body if classes is None else together(body, linear(features, classes))


def convnet(network: Network, resolution: int, classes: int) -> Size:
    """A ConvNet of the classic papers."""
    depth = int(network.arch.removeprefix("convnet").removesuffix("-bn"))
    filters = round(FILTERS * network.width)
    maps = [(resolution >> block) ** 2 for block in range(depth)]
    return Size(
        convnet_flops(depth, filters, resolution, classes),
        filters * sum(maps) + classes,
        depth + 1,
        convnet_parameters(depth, filters, resolution, classes),
        filters * (resolution >> depth) ** 2,
    )


def _convolutions(network: Network, resolution: int) -> Iterator[_Conv]:
    """Of a ResNet; those of a block's main path come last."""
    bottleneck, depths = RESNETS[network.arch]
    kernel, stride, padding = STEMS[network.stem]
    planes = round(64 * network.width)
    side = (resolution + 2 * padding - kernel) // stride + 1
    yield _Conv(3, planes, kernel, side)
    if network.stem == "imagenet":
        side = _halved(side)
    inputs = planes
    for number, depth in enumerate(depths):
        for index in range(depth):
            before = side
            side = _halved(side) if index == 0 and number > 0 else side
            outputs = 4 * planes if bottleneck else planes
            if side != before or inputs != outputs:
                yield _Conv(inputs, outputs, 1, side)
            if bottleneck:
                yield _Conv(inputs, planes, 1, before)
                yield _Conv(planes, planes, 3, side)
                yield _Conv(planes, outputs, 1, side)
            else:
                yield _Conv(inputs, planes, 3, side)
                yield _Conv(planes, planes, 3, side)
            inputs = outputs
        planes *= 2


def _halved(side: int) -> int:
    """The side of what a stride of 2 leaves."""
    return (side - 1) // 2 + 1


@cache
def _counted() -> dict[tuple[str, str], dict[str, float]]:
    """What torch counts in torchvision's networks for 1,000 classes, at two sizes of images."""
    with Path(__file__).with_name("students.csv").open(newline="") as file:
        return {
            (row.pop("arch"), row.pop("stem")): {key: float(value) for key, value in row.items()}
            for row in csv.DictReader(file)
        }


def _listed(network: Network, resolution: int) -> Size | None:
    """Between and beyond the two sizes, all but the layers grows with the pixels."""
    row = _counted().get((network.arch, network.stem))
    if row is None:
        return None
    small, large = row["small"] ** 2, row["large"] ** 2
    share = (resolution**2 - small) / (large - small)

    def at(name: str) -> float:
        first, last = row[f"{name}_small"], row[f"{name}_large"]
        return max(0.0, first + share * (last - first))

    return Size(at("flops"), at("values"), row["layers"], row["weights"], 0)
