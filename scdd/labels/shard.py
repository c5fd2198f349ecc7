"""A label shard while it is being made, epoch by epoch and pass by pass."""

from typing import Any

import torch
from torch import Tensor

from scdd.jobs.saved import JobState


class Shard:
    """The tensors of a shard of `epochs` epochs, on the CPU, filled epoch by epoch.

    `tensors`: by name, each [epochs, ...]. The state is saved in parts: each part has the epochs
    that were finished since the previous part.
    """

    def __init__(self, epochs: int, saved: JobState) -> None:
        self.epochs, self.saved = epochs, saved
        self.tensors: dict[str, Tensor] = {}
        self.filled = 0  # epochs labelled so far
        self.parts = self.epochs_in_parts = 0  # number of saved parts, and of epochs in them

    def add(self, tensors: dict[str, Tensor]) -> None:
        """Append one or more epochs: tensors by name, each [number of them, ...]."""
        rows = slice(self.filled, self.filled + len(next(iter(tensors.values()))))
        for name, tensor in tensors.items():
            if name not in self.tensors:  # filled in place, because a shard may be large
                self.tensors[name] = tensor.new_empty((self.epochs, *tensor.shape[1:]))
            self.tensors[name][rows] = tensor
        self.filled = rows.stop

    def new_parts(self) -> dict[str, Any]:
        """A part, by name, with the finished epochs that are in no part yet; empty if none are."""
        rows = slice(self.epochs_in_parts, self.filled)
        if rows.stop == rows.start:
            return {}
        part = {name: tensor[rows].clone() for name, tensor in self.tensors.items()}
        self.parts, self.epochs_in_parts = self.parts + 1, self.filled
        return {f"epochs_{self.parts - 1}": part}

    def state_dict(self) -> int:
        return self.parts

    def load_state_dict(self, parts: int) -> None:
        for part in range(parts):
            self.add(self.saved.part(f"epochs_{part}"))
        self.parts, self.epochs_in_parts = parts, self.filled


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
