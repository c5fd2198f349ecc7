"""Where experts' parameters are stored: ranges of epochs and of experts, and file names.

Ranges of epochs are cut at the same points in every configuration, so that a method that follows
experts for longer only adds files. Pure Python: the plan uses it too.
"""

from itertools import pairwise
from pathlib import Path

from scdd.artifacts.slots import Range, blocks, range_name

POINTS = (0, 5, 10, 25, 45)
STEP = 15  # beyond the last point
BYTES = {"float32": 4, "bf16": 2}  # of a number


def epoch_ranges(epochs: int) -> list[Range]:
    """The half-open ranges of epochs, counted from 0, that hold the first `epochs`; the last may
    extend beyond. The file of a range has the parameters after each of its epochs, the first file
    also those before training."""
    points = list(POINTS)
    while points[-1] < epochs:
        points.append(points[-1] + STEP)
    return [(a, b) for a, b in pairwise(points) if a < epochs]


def path(folder: Path, experts: Range, epochs: Range) -> Path:
    """The file of some experts in a range of epochs."""
    name = f"experts_{range_name(experts)}_epochs_{range_name(epochs)}.safetensors"
    return folder / name


def paths(folder: Path, count: int, per_file: int, epochs: int) -> list[Path]:
    """The files with all experts' parameters after each of their first `epochs` epochs."""
    return [
        path(folder, experts, span)
        for experts in blocks(count, per_file)
        for span in epoch_ranges(epochs)
    ]


def size(numbers: int, count: int, epochs: int, storage: str) -> int:
    """Bytes of the tensors in these files, for networks of so many parameters."""
    ranges = epoch_ranges(epochs)
    stored = BYTES[storage] * (ranges[-1][1] + 1)
    last = 0 if storage == "float32" else 4 * len(ranges)  # training goes on from these
    return count * numbers * (stored + last)
