"""The networks that images are learned with: new weights in place."""

import torch
from torch import nn

from scdd.networks.students import ConvNet, build
from scdd.params.network import Network
from scdd.rng import generator


class Fresh:
    """A network on the device that gets new weights in place, so that captured steps keep reading
    it. Weights are drawn as PyTorch draws them, on the CPU, from (seed, purpose, number) alone."""

    def __init__(
        self, network: Network, classes: int, resolution: int, device: torch.device, seed: int
    ) -> None:
        self.seed = seed
        draw = generator(seed, "template")
        template = build(network, classes, resolution, draw)
        assert isinstance(template, ConvNet)
        self.template = template
        self.network: ConvNet = build(network, classes, resolution, draw).to(device)  # type: ignore

    def draw(self, purpose: str, number: int) -> None:
        """Give the network the weights of this number."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(generator(self.seed, purpose, number).initial_seed())
            for module in self.template.modules():
                if isinstance(module, nn.Conv2d | nn.Linear | nn.GroupNorm):
                    module.reset_parameters()
        self.network.load_state_dict(self.template.state_dict())
