"""The logits of an epoch while it is being labelled, pass by pass."""

import torch
from torch import Tensor


class Passes:
    """The tensors of the passes of the current epoch, on the device."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.passes: list[dict[str, Tensor]] = []

    def add(self, tensors: dict[str, Tensor]) -> None:
        """Append the tensors of one pass, by name, each [b, ...]."""
        self.passes.append(tensors)

    def joined(self, order: Tensor) -> dict[str, Tensor]:
        """The tensors of the whole epoch, each [n, ...], on the CPU, in the order of the image set;
        after this the next epoch begins.

        order: int64 [n], the images in the order of the passes.
        """
        back = order.argsort()
        passes, self.passes = self.passes, []
        return {name: torch.cat([each[name] for each in passes]).cpu()[back] for name in passes[0]}

    def state_dict(self) -> list[dict[str, Tensor]]:
        return self.passes

    def load_state_dict(self, passes: list[dict[str, Tensor]]) -> None:
        self.passes = [
            {name: tensor.to(self.device) for name, tensor in each.items()} for each in passes
        ]
