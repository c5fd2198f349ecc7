"""The networks that images are learned with: new weights in place."""

import torch
from torch import Tensor, nn

from scdd.networks.students import ConvNet, build
from scdd.params.network import Network
from scdd.rng import generator


class Fresh:
    """A ConvNet with instance norm on the device that gets new weights in place, so that captured
    steps keep reading it. Weights are drawn as PyTorch draws them, on the CPU and in float32, from
    (seed, number) alone.

    weights: the network's parameters, in their order.
    """

    def __init__(
        self,
        network: Network,
        classes: int,
        resolution: int,
        device: torch.device,
        seed: int,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.seed = seed
        draw = generator(seed, "template")
        template = build(network, classes, resolution, draw)
        assert isinstance(template, ConvNet)
        assert not any(isinstance(part, nn.BatchNorm2d) for part in template.modules())
        self.template = template
        self.network: ConvNet = build(network, classes, resolution, draw).to(device, dtype)  # type: ignore
        self.weights: list[Tensor] = list(self.network.parameters())

    def draw(self, number: int) -> None:
        """Give the network the weights of this number."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(generator(self.seed, "network", number).initial_seed())
            for module in self.template.modules():
                if isinstance(module, nn.Conv2d | nn.Linear | nn.GroupNorm):
                    module.reset_parameters()
        self.network.load_state_dict(self.template.state_dict())
