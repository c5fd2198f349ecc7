"""TensorBoard's event files of a job."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scdd.errors import ScddError


def require_tensorboard() -> None:
    """Raises ScddError where the package that writes event files is not installed."""
    if importlib.util.find_spec("tensorboard") is None:
        raise ScddError(
            "machine.tensorboard: the package tensorboard is not installed here. Install it: pip "
            "install tensorboard."
        )


class Events:
    """Points by name and step, in a folder that is begun with the first of them.

    Points of an earlier attempt from that step on are not shown: a run that is resumed has none
    twice.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.writer: Any = None

    def add(self, step: int, values: Mapping[str, float]) -> None:
        if self.writer is None:
            from torch.utils.tensorboard import SummaryWriter  # takes seconds

            self.writer = SummaryWriter(str(self.folder), purge_step=step)
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what is not written yet."""
        if self.writer is not None:
            self.writer.close()
