"""Frames: a few images at several iterations of a recovery, or of a run that learns them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from scdd.artifacts import tensors
from scdd.artifacts.files import damaged


@dataclass(frozen=True)
class Frames:
    """images: uint8 [frames, classes, 3, R, R]; frame f shows them after `iterations[f]`."""

    images: Tensor
    iterations: Sequence[int]
    classes: Sequence[str]


def moments(iterations: int) -> list[int]:
    """The iterations after which frames are kept: 0, 10, 30, 100, 300, ... and the last."""
    powers = (10**exponent for exponent in range(1, len(str(iterations))))
    marks = [0, *(factor * power for power in powers for factor in (1, 3))]
    return [mark for mark in marks if mark < iterations] + [iterations]


def save_frames(path: Path, frames: Frames, *, slot: int, record: Mapping[str, Any]) -> None:
    """Write the frames of one slot. `record` (digest, seed, env and what else made the images) goes
    into the header."""
    header = {
        "kind": "frames",
        "iterations": list(frames.iterations),
        "classes": list(frames.classes),
        "slot": slot,
        **record,
    }
    tensors.save(path, {"images": frames.images}, header)


def load_frames(path: Path) -> Frames:
    """Raises ScddError, naming the file, where it is missing, damaged or has no frames."""
    parts, header = tensors.load(path)
    if header.get("kind") != "frames":
        raise damaged(path, f"holds {header.get('kind')!r}, not frames of a recovery")
    return Frames(parts["images"], header["iterations"], header["classes"])
