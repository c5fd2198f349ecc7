"""The layers of networks, one by one, for any width, size of images and number of channels."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from scdd.artifacts.sizes import FILTERS
from scdd.params.architectures import (
    CONVNETS,
    DENSE_BOTTLENECK,
    DENSENETS,
    EFFICIENTNET_B0,
    MOBILENET_ENDS,
    MOBILENET_V2,
    RESNETS,
    SHUFFLE_BLOCKS,
    SHUFFLENETS,
    STEMS,
    WIDE_RESNETS,
    halves,
    rounded,
)
from scdd.params.network import Network


@dataclass(frozen=True)
class Layer:
    """A convolution, or a linear layer, whose maps have one pixel.

    side: of the maps that it gives; normed: channels of the normalisations that belong to it;
    joined: channels of equal maps that are joined before it, and so are written once more.
    """

    inputs: int
    outputs: int
    kernel: int
    side: int
    groups: int = 1
    bias: bool = False
    normed: int = 0
    joined: int = 0

    @property
    def flops(self) -> int:
        return 2 * self.kernel**2 * self.inputs * self.outputs * self.side**2 // self.groups

    @property
    def values(self) -> int:
        return (self.outputs + self.joined) * self.side**2

    @property
    def weights(self) -> int:
        own = self.kernel**2 * self.inputs * self.outputs // self.groups
        return own + self.bias * self.outputs + 2 * self.normed


@dataclass(frozen=True)
class Body:
    """A network without its last layer, which sees so many `features`."""

    layers: tuple[Layer, ...]
    features: int


def body_of(network: Network, resolution: int) -> Body | None:
    """None: its layers are not known here. The stem must be chosen (not `auto`)."""
    family = FAMILIES.get(network.arch)
    return None if family is None else family(network, resolution)


def _normed(inputs: int, outputs: int, kernel: int, side: int, groups: int = 1) -> Layer:
    """A convolution whose outputs are normalised."""
    return Layer(inputs, outputs, kernel, side, groups, normed=outputs)


def _until_features(layers: Iterable[Layer]) -> Body:
    """Of which the last convolution's maps are averaged."""
    layers = tuple(layers)
    return Body(layers, layers[-1].outputs)


def _then_normed(layers: list[Layer], channels: int) -> Body:
    """Of which all channels are normalised in the end, and their maps are averaged."""
    last = replace(layers[-1], normed=layers[-1].normed + channels)
    return Body((*layers[:-1], last), channels)


def _halved(side: int) -> int:
    """The side of what a stride of 2 leaves."""
    return (side - 1) // 2 + 1


def _resnet(network: Network, resolution: int) -> Body:
    return _until_features(_of_resnet(network, resolution))


def _of_resnet(network: Network, resolution: int) -> Iterator[Layer]:
    """Those of a block's main path come last."""
    bottleneck, depths = RESNETS[network.arch]
    kernel, stride, padding = STEMS[network.stem]
    planes = round(64 * network.width)
    side = (resolution + 2 * padding - kernel) // stride + 1
    yield _normed(3, planes, kernel, side)
    if network.stem == "imagenet":
        side = _halved(side)
    inputs = planes
    for number, depth in enumerate(depths):
        for index in range(depth):
            before = side
            side = _halved(side) if index == 0 and number > 0 else side
            outputs = 4 * planes if bottleneck else planes
            if side != before or inputs != outputs:
                yield _normed(inputs, outputs, 1, side)
            if bottleneck:
                yield _normed(inputs, planes, 1, before)
                yield _normed(planes, planes, 3, side)
                yield _normed(planes, outputs, 1, side)
            else:
                yield _normed(inputs, planes, 3, side)
                yield _normed(planes, planes, 3, side)
            inputs = outputs
        planes *= 2


def _densenet(network: Network, resolution: int) -> Body:
    """Inputs are normalised, not outputs."""
    growth, blocks = DENSENETS[network.arch]
    growth, is_small = max(1, round(growth * network.width)), network.stem == "small"
    channels, between = 2 * growth, DENSE_BOTTLENECK * growth
    side = resolution if is_small else _halved(resolution)
    layers = [_normed(3, channels, 3 if is_small else 7, side)]
    side = side if is_small else _halved(side)
    for number, depth in enumerate(blocks):
        if number > 0:
            layers.append(Layer(channels, channels // 2, 1, side, normed=channels))
            channels, side = channels // 2, side // 2
        for _ in range(depth):
            layers.append(Layer(channels, between, 1, side, normed=channels, joined=channels))
            layers.append(Layer(between, growth, 3, side, normed=between))
            channels += growth
    return _then_normed(layers, channels)


def _shufflenet(network: Network, resolution: int) -> Body:
    return _until_features(_of_shufflenet(network, resolution))


def _of_shufflenet(network: Network, resolution: int) -> Iterator[Layer]:
    inputs, *stages, last = (halves(c * network.width) for c in SHUFFLENETS[network.arch])
    is_small = network.stem == "small"
    side = resolution if is_small else _halved(resolution)
    yield _normed(3, inputs, 3, side)
    side = side if is_small else _halved(side)
    for outputs, blocks in zip(stages, SHUFFLE_BLOCKS, strict=True):
        before, side, half = side, _halved(side), outputs // 2
        yield _normed(inputs, inputs, 3, side, groups=inputs)
        yield _normed(inputs, half, 1, side)
        for index in range(blocks):
            first = index == 0
            yield _normed(inputs if first else half, half, 1, before if first else side)
            yield _normed(half, half, 3, side, groups=half)
            yield _normed(half, half, 1, side)
        inputs = outputs
    yield _normed(inputs, last, 1, side)


def _mobilenet(network: Network, resolution: int) -> Body:
    return _until_features(_of_mobilenet(network, resolution))


def _of_mobilenet(network: Network, resolution: int) -> Iterator[Layer]:
    (first, last), is_small = MOBILENET_ENDS, network.stem == "small"
    inputs, side = rounded(first * network.width), resolution
    side = side if is_small else _halved(side)
    yield _normed(3, inputs, 3, side)
    for number, (expansion, channels, blocks, stride) in enumerate(MOBILENET_V2):
        outputs = rounded(channels * network.width)
        for index in range(blocks):
            before, kept = side, is_small and number == 1
            side = _halved(side) if index == 0 and stride == 2 and not kept else side
            yield from _inverted(inputs, inputs * expansion, outputs, 3, before, side)
            inputs = outputs
    yield _normed(inputs, rounded(last * max(1.0, network.width)), 1, side)


def _inverted(
    inputs: int, between: int, outputs: int, kernel: int, before: int, side: int, squeezed: int = 0
) -> Iterator[Layer]:
    """A block that widens, filters each channel and narrows. squeezed: the channels that its
    squeeze-and-excitation has; 0: it has none."""
    if between != inputs:
        yield _normed(inputs, between, 1, before)
    yield _normed(between, between, kernel, side, groups=between)
    if squeezed:
        yield Layer(between, squeezed, 1, 1, bias=True)
        yield Layer(squeezed, between, 1, 1, bias=True)
    yield _normed(between, outputs, 1, side)


def _efficientnet(network: Network, resolution: int) -> Body:
    return _until_features(_of_efficientnet(network, resolution))


def _of_efficientnet(network: Network, resolution: int) -> Iterator[Layer]:
    side = resolution if network.stem == "small" else _halved(resolution)
    inputs = rounded(EFFICIENTNET_B0[0][3] * network.width)
    yield _normed(3, inputs, 3, side)
    for expansion, kernel, stride, _, channels, blocks in EFFICIENTNET_B0:
        outputs = rounded(channels * network.width)
        for index in range(blocks):
            before = side
            side = _halved(side) if index == 0 and stride == 2 else side
            between, squeezed = rounded(inputs * expansion), max(1, inputs // 4)
            yield from _inverted(inputs, between, outputs, kernel, before, side, squeezed)
            inputs = outputs
    yield _normed(inputs, 4 * inputs, 1, side)


def _wide_resnet(network: Network, resolution: int) -> Body:
    """Inputs are normalised, not outputs."""
    blocks, wider = WIDE_RESNETS[network.arch]
    counts = (16, 16 * wider, 32 * wider, 64 * wider)
    inputs, *stages = (max(1, round(count * network.width)) for count in counts)
    layers, side = [Layer(3, inputs, 3, resolution)], resolution
    for number, outputs in enumerate(stages):
        for index in range(blocks):
            stride = 2 if index == 0 and number > 0 else 1
            side = _halved(side) if stride == 2 else side
            layers.append(Layer(inputs, outputs, 3, side, normed=inputs + outputs))
            layers.append(Layer(outputs, outputs, 3, side))
            if inputs != outputs or stride == 2:
                layers.append(Layer(inputs, outputs, 1, side))
            inputs = outputs
    return _then_normed(layers, inputs)


def _convnet(network: Network, resolution: int) -> Body:
    """All that is left of the maps are features."""
    depth, _ = CONVNETS[network.arch]
    filters = round(FILTERS * network.width)
    layers = [
        Layer(3 if block == 0 else filters, filters, 3, resolution >> block, 1, True, filters)
        for block in range(depth)
    ]
    return Body(tuple(layers), filters * (resolution >> depth) ** 2)


def _alexnet(network: Network, resolution: int) -> Body:
    def pooled(side: int) -> int:
        return (side - 3) // 2 + 1

    first = (resolution + 4 - 11) // 4 + 1
    second, third = pooled(first), pooled(pooled(first))
    sizes = (
        (3, 64, 11, first),
        (64, 192, 5, second),
        (192, 384, 3, third),
        (384, 256, 3, third),
        (256, 256, 3, third),
        (6 * 6 * 256, 4096, 1, 1),  # of maps that are brought to 6x6
        (4096, 4096, 1, 1),
    )
    return _until_features(Layer(*each, bias=True) for each in sizes)


FAMILIES: dict[str, Callable[[Network, int], Body]] = {
    **dict.fromkeys(RESNETS, _resnet),
    **dict.fromkeys(DENSENETS, _densenet),
    **dict.fromkeys(SHUFFLENETS, _shufflenet),
    "mobilenet_v2": _mobilenet,
    "efficientnet_b0": _efficientnet,
    **dict.fromkeys(WIDE_RESNETS, _wide_resnet),
    **dict.fromkeys(CONVNETS, _convnet),
    "alexnet": _alexnet,
}
