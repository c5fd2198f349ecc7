"""How backbones lie in memory."""

import pytest
import torch

from scdd.networks.backbone import in_channels_last
from scdd.networks.students import build
from scdd.params.network import Network
from scdd.rng import generator


@pytest.mark.parametrize(("width", "is_safe"), [(0.125, True), (0.0625, False)])
def test_narrow_convolutions_with_strides_are_not_channels_last(
    width: float, is_safe: bool
) -> None:
    """Of 8 and of 4 channels: the backward pass of the latter's ends a process on some CPUs."""
    network = build(Network("resnet10", width, stem="small"), 3, 16, generator(0))
    in_channels_last(network)
    weight = network.get_parameter("layer1.0.conv1.weight")
    assert weight.is_contiguous(memory_format=torch.channels_last) == is_safe
    for _ in range(20):
        network(torch.randn(3, 3, 16, 16)).sum().backward()
