"""Tensors that a job fills row by row, and whose rows are saved once."""

from typing import Any

from torch import Tensor

from scdd.jobs.saved import JobState


class Rows:
    """Tensors of `count` rows, on the CPU, filled one row or several at a time.

    `tensors`: by name, each [count, ...]. The state is saved in parts: each part has the rows that
    were filled since the previous part.
    """

    def __init__(self, count: int, saved: JobState) -> None:
        self.count, self.saved = count, saved
        self.tensors: dict[str, Tensor] = {}
        self.filled = 0
        self.parts = self.rows_in_parts = 0  # number of saved parts, and of rows in them

    def add(self, tensors: dict[str, Tensor]) -> None:
        """Append rows: tensors by name, each [number of them, ...]."""
        rows = slice(self.filled, self.filled + len(next(iter(tensors.values()))))
        for name, tensor in tensors.items():
            if name not in self.tensors:  # filled in place, because they may be large
                self.tensors[name] = tensor.new_empty((self.count, *tensor.shape[1:]))
            self.tensors[name][rows] = tensor
        self.filled = rows.stop

    def new_parts(self) -> dict[str, Any]:
        """A part, by name, with the filled rows that are in no part yet; empty if none are."""
        rows = slice(self.rows_in_parts, self.filled)
        if rows.stop == rows.start:
            return {}
        part = {name: tensor[rows].clone() for name, tensor in self.tensors.items()}
        self.parts, self.rows_in_parts = self.parts + 1, self.filled
        return {f"rows_{self.parts - 1}": part}

    def state_dict(self) -> int:
        return self.parts

    def load_state_dict(self, parts: int) -> None:
        for part in range(parts):
            self.add(self.saved.part(f"rows_{part}"))
        self.parts, self.rows_in_parts = parts, self.filled
