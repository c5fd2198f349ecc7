"""The logits of an epoch while it is being labelled, pass by pass."""

import torch
from torch import Tensor


class Passes:
    """The logits of the passes of the current epoch, each [b, C], on the device."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.passes: list[Tensor] = []

    def add(self, logits: Tensor) -> None:
        """Append those of one pass."""
        self.passes.append(logits)

    def joined(self, order: Tensor) -> Tensor:
        """Those of the whole epoch, [n, C], in the order of the image set; after this the next
        epoch begins.

        order: int64 [n], the images in the order of the passes.
        """
        passes, self.passes = self.passes, []
        return torch.cat(passes)[order.argsort().to(self.device)]

    def state_dict(self) -> list[Tensor]:
        return self.passes

    def load_state_dict(self, passes: list[Tensor]) -> None:
        self.passes = [logits.to(self.device) for logits in passes]
