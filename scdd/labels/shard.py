"""A shard of labels while it is made, epoch by epoch and pass by pass."""

from typing import Any

import torch
from torch import Tensor

from scdd.jobs.saved import JobState


class Shard:
    """The tensors (CPU) of so many epochs, as far as they are labelled.

    `tensors`: by name [epochs, ...]. Its state is saved in parts: each has the epochs that were
    finished since the part before.
    """

    def __init__(self, epochs: int, saved: JobState) -> None:
        self.epochs, self.saved = epochs, saved
        self.tensors: dict[str, Tensor] = {}
        self.filled = 0  # epochs
        self.parts = self.in_parts = 0  # saved parts, and the epochs in them

    def add(self, tensors: dict[str, Tensor]) -> None:
        """The next epochs: by name [n, ...]."""
        rows = slice(self.filled, self.filled + len(next(iter(tensors.values()))))
        for name, tensor in tensors.items():
            if name not in self.tensors:  # filled in place: a shard can take much of the memory
                self.tensors[name] = tensor.new_empty((self.epochs, *tensor.shape[1:]))
            self.tensors[name][rows] = tensor
        self.filled = rows.stop

    def new_parts(self) -> dict[str, Any]:
        """The finished epochs that no part has yet, as one part by its name; or nothing."""
        rows = slice(self.in_parts, self.filled)
        if rows.stop == rows.start:
            return {}
        part = {name: tensor[rows].clone() for name, tensor in self.tensors.items()}
        self.parts, self.in_parts = self.parts + 1, self.filled
        return {f"epochs_{self.parts - 1}": part}

    def state_dict(self) -> int:
        return self.parts

    def load_state_dict(self, parts: int) -> None:
        for part in range(parts):
            self.add(self.saved.part(f"epochs_{part}"))
        self.parts, self.in_parts = parts, self.filled


class Passes:
    """The tensors of an epoch's passes so far, on the device."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.passes: list[dict[str, Tensor]] = []

    def add(self, tensors: dict[str, Tensor]) -> None:
        """Of the next pass: by name [b, ...]."""
        self.passes.append(tensors)

    def joined(self, order: Tensor) -> dict[str, Tensor]:
        """All of an epoch, [n, ...] (CPU), in the order of the image set; `order`, int64 [n], is
        that of the passes. The next epoch begins."""
        back = order.argsort()
        passes, self.passes = self.passes, []
        return {name: torch.cat([each[name] for each in passes]).cpu()[back] for name in passes[0]}

    def state_dict(self) -> list[dict[str, Tensor]]:
        return self.passes

    def load_state_dict(self, passes: list[dict[str, Tensor]]) -> None:
        self.passes = [
            {name: tensor.to(self.device) for name, tensor in each.items()} for each in passes
        ]
