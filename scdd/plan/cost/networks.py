"""What an image's forward pass through a network is, for every backbone and student, without torch.

tests/plan/test_cost_networks.py compares it with what torch counts.
"""

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from scdd.params.network import Network
from scdd.plan.cost.layers import body_of


@dataclass(frozen=True)
class Size:
    """flops: multiplications and additions of an image's forward pass in convolutions and linear
    layers; values: numbers that these layers give, and that are joined before them; layers: how
    many they are; weights: parameters of the network; features: numbers that its last layer sees.
    """

    flops: float
    values: float
    layers: float
    weights: float
    features: int


def size_of(network: Network, resolution: int, classes: int | None) -> Size | None:
    """None: not known, as for timm's networks. The network's stem must be chosen (not `auto`).
    classes: None for a backbone without its last layer."""
    body = without_classifier(network, resolution)
    if body is None or classes is None:
        return body
    return together(body, linear(body.features, classes))


def backbone_size(network: Network, resolution: int, classes: int | None) -> Size:
    """`size_of` a network that may be a backbone: all of these are known."""
    size = size_of(network, resolution, classes)
    assert size is not None, network
    return size


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


@cache
def without_classifier(network: Network, resolution: int) -> Size | None:
    """Layer by layer, or as it is listed."""
    body = body_of(network, resolution)
    if body is None:
        return _listed(network, resolution)
    return Size(
        sum(layer.flops for layer in body.layers),
        sum(layer.values for layer in body.layers),
        len(body.layers),
        sum(layer.weights for layer in body.layers),
        body.features,
    )


@cache
def _counted() -> dict[tuple[str, str], dict[str, float]]:
    """What torch counts in torchvision's networks without their last layer, at two sizes of
    images."""
    with Path(__file__).with_name("students.csv").open(newline="") as file:
        return {
            (row.pop("arch"), row.pop("stem")): {key: float(value) for key, value in row.items()}
            for row in csv.DictReader(file)
        }


def _listed(network: Network, resolution: int) -> Size | None:
    """Between and beyond the two sizes, all but layers, weights and features grows with the
    pixels."""
    row = _counted().get((network.arch, network.stem))
    if row is None:
        return None
    small, large = row["small"] ** 2, row["large"] ** 2
    share = (resolution**2 - small) / (large - small)

    def at(name: str) -> float:
        first, last = row[f"{name}_small"], row[f"{name}_large"]
        return max(0.0, first + share * (last - first))

    return Size(at("flops"), at("values"), row["layers"], row["weights"], int(row["features"]))
