"""Where a step works, and what it may take."""

import os
import shutil
import sys
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Place:
    """folder: of the report, gpu/<card>; small: on a CPU, in small; ends: when, by
    `time.monotonic`, a step is to come to its end by itself."""

    folder: Path
    small: bool
    ends: float

    @cached_property
    def device(self) -> torch.device:
        from scdd.jobs import devices

        return devices.pick_device("cpu" if self.small else "cuda")

    @property
    def left(self) -> float:
        return self.ends - time.monotonic()

    @property
    def runs(self) -> Path:
        """The working folder of all runs of Snakemake: its own results/, work/ and logs/."""
        folder = self.folder / "runs"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def environment(self) -> dict[str, str]:
        """For a command whose jobs call `python`: this one."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        if shutil.which("python", path=path) is None:
            own = self.folder / "bin" / "python"
            own.parent.mkdir(exist_ok=True)
            own.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
            own.chmod(0o755)
            path = f"{own.parent}{os.pathsep}{path}"
        return {**os.environ, "PATH": path}
