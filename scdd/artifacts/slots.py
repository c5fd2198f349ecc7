"""Where the images of a class are stored: fixed slot ranges, class blocks and file names.

Slot ranges are cut at the same points in every configuration, so that a larger IPC only adds files.
Pure Python: the plan uses it too.
"""

from itertools import pairwise
from pathlib import Path

POINTS = (0, 1, 10, 20, 30, 40, 50, 100, 150, 200)
STEP = 100  # beyond the last point

Range = tuple[int, int]


def slot_ranges(ipc: int) -> list[Range]:
    """The half-open slot ranges that hold `ipc` images per class; the last may extend beyond."""
    points = list(POINTS)
    while points[-1] < ipc:
        points.append(points[-1] + STEP)
    return [(a, b) for a, b in pairwise(points) if a < ipc]


def most_slots(count: int) -> int:
    """The largest IPC whose slot ranges all end within `count` images per class; 0: none."""
    return max((b for _, b in slot_ranges(count) if b <= count), default=0)


def blocks(count: int, size: int) -> list[Range]:
    """Half-open blocks of `size` items, the last one shorter: classes, or epochs of a store."""
    return [(start, min(start + size, count)) for start in range(0, count, size)]


def slots_together(span: Range, most: int) -> int:
    """How many slots of a range are in a batch: at most `most`, and in all batches as many."""
    count = span[1] - span[0]
    return max(size for size in range(1, min(most, count) + 1) if count % size == 0)


def range_name(span: Range) -> str:
    """`(10, 20)` as `0010-0019`."""
    return f"{span[0]:04d}-{span[1] - 1:04d}"


def shard_path(folder: Path, slots: Range, index: int) -> Path:
    """The shard of class `index` with the images of `slots`."""
    return folder / f"slots_{range_name(slots)}" / f"class_{index:04d}.safetensors"


def losses_path(folder: Path, slots: Range, block: Range) -> Path:
    """The loss history of one recovery job: a class block and a slot range."""
    return folder / f"slots_{range_name(slots)}" / f"losses_{range_name(block)}.csv"


def frames_path(folder: Path, slots: Range, block: Range) -> Path:
    """The frames of one recovery job: its images at several iterations."""
    return folder / f"slots_{range_name(slots)}" / f"frames_{range_name(block)}.safetensors"


def checksums_path(folder: Path, slots: Range, block: Range) -> Path:
    """The checksums of one job's shards: the single file by which the workflow tracks them."""
    return folder / f"slots_{range_name(slots)}" / f"shards_{range_name(block)}.sha256"


def snapshot_folder(folder: Path, iteration: int | None) -> Path:
    """Below it are the shards of learned images after so many iterations; None: of the finished."""
    return folder if iteration is None else folder / f"at_{iteration:06d}"
