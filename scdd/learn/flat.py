"""A network's parameters as one vector, in the order of `network.parameters()`."""

import torch
from torch import Tensor, nn


class Layout:
    """The names and shapes of a network's parameters. size: how many numbers they are."""

    def __init__(self, network: nn.Module) -> None:
        self.shapes = {name: each.shape for name, each in network.named_parameters()}
        self.sizes = [shape.numel() for shape in self.shapes.values()]
        self.size = sum(self.sizes)

    def split(self, flat: Tensor) -> dict[str, Tensor]:
        """Views of a vector [size] by the parameters' names."""
        parts = zip(self.shapes.items(), flat.split(self.sizes), strict=True)
        return {name: part.view(shape) for (name, shape), part in parts}


def flatten(network: nn.Module) -> Tensor:
    """A copy of the parameters, [size]."""
    return torch.cat([each.detach().flatten() for each in network.parameters()])
