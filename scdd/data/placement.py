"""Where images live: on the device as long as there is room, otherwise in their files."""

from pathlib import Path

import torch

from scdd.artifacts.dataset import DatasetInfo
from scdd.artifacts.images import SetInfo, labels_of, load_set, map_set, open_set
from scdd.data.source import Split
from scdd.jobs import gpus
from scdd.jobs.progress import say

# bytes of images that are held: at most so many in the CPU's memory, which other jobs share, and
# this part of the GPU memory that a job may have, for training needs the rest
ON_CPU = 4 * 2**30
PART_OF_GPU = 3
TOGETHER = 256  # images in a batch that is decoded to be held


def room(device: torch.device) -> int:
    """Bytes of images that may live on the device."""
    if device.type != "cuda":
        return ON_CPU
    free, whole = torch.cuda.mem_get_info(device)
    return int(min(free, whole * gpus.share())) // PART_OF_GPU


def fit(count: int, resolution: int, device: torch.device) -> bool:
    """Whether so many images may live on the device."""
    return count * 3 * resolution**2 <= room(device)


def hold(split: Split, device: torch.device) -> Split:
    """The split with its images decoded and on the device if there is room for them."""
    if split.pixels is not None or not fit(len(split), split.resolution, device):
        return split.to(device)
    shape = (len(split), 3, split.resolution, split.resolution)
    pixels = torch.empty(shape, dtype=torch.uint8, device=device)
    for index, images in split.batches(torch.arange(len(split)), TOGETHER, device):
        pixels[index[0] : index[-1] + 1] = images
    return Split(split.labels, pixels, (), split.resolution)


def open_images(
    path: Path, info: DatasetInfo, data: Path, digest: str | None, device: torch.device
) -> tuple[SetInfo, Split]:
    """The image set at `path`, on the device if there is room for it, otherwise in its files, from
    which batches stream. The pixels and their order are the same.

    info: of the dataset at `data`, whose class order the set must have; digest: of the set, None
    accepts any. Raises ScddError as `load_set` does.
    """
    made = open_set(path)
    count, expected = len(made.classes) * made.ipc, (info.classes, data, digest)
    if fit(count, made.resolution, device):
        loaded = load_set(path, *expected, device)
        return made, Split(loaded.labels, loaded.images, (), made.resolution)
    say(f"{count} images of {made.resolution} pixels stream: there is no room for them on {device}")
    mapped = map_set(path, *expected)
    return made, Split(labels_of(made), None, (), made.resolution, mapped=mapped)
