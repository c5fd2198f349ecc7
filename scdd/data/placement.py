"""Where images are kept: on the device if there is room, otherwise in their files."""

from pathlib import Path

import torch

from scdd.artifacts.dataset import DatasetInfo
from scdd.artifacts.images import SetInfo, labels_of, load_set, map_set, open_set
from scdd.artifacts.sizes import image_bytes
from scdd.data.source import Split
from scdd.jobs import gpus
from scdd.jobs.progress import say

CPU_BYTES = 4 * 2**30  # of images in the CPU's memory, which other jobs share
GPU_DIVISOR = 3  # images take at most a third of a job's GPU memory; training needs the rest
DECODE_BATCH = 256  # images decoded at once


def capacity(device: torch.device) -> int:
    """Bytes of images that may be kept on the device."""
    if device.type != "cuda":
        return CPU_BYTES
    free, whole = torch.cuda.mem_get_info(device)
    return int(min(free, whole * gpus.share())) // GPU_DIVISOR


def has_room(count: int, resolution: int, device: torch.device) -> bool:
    """Whether `count` images of `resolution` pixels a side may be kept on the device."""
    return image_bytes(count, resolution) <= capacity(device)


def load_if_room(split: Split, device: torch.device) -> Split:
    """The split with its images decoded and on the device, if there is room for them."""
    if split.pixels is not None or not has_room(len(split), split.resolution, device):
        return split.to(device)
    shape = (len(split), 3, split.resolution, split.resolution)
    pixels = torch.empty(shape, dtype=torch.uint8, device=device)
    for index, images in split.batches(torch.arange(len(split)), DECODE_BATCH, device):
        pixels[index[0] : index[-1] + 1] = images
    return Split(split.labels, pixels, (), split.resolution)


def open_images(
    path: Path, info: DatasetInfo, data: Path, digest: str | None, device: torch.device
) -> tuple[SetInfo, Split]:
    """The set.json at `path` and its images: on the device if there is room, otherwise in their
    files, from which batches are streamed. Pixels and order are the same.

    info: of the dataset.json at `data`, whose class order the set must have. digest: the set's;
    None accepts any. Raises ScddError as `load_set` does.
    """
    images = open_set(path)
    count, expected = len(images.classes) * images.ipc, (info.classes, data, digest)
    if has_room(count, images.resolution, device):
        loaded = load_set(path, *expected, device)
        return images, Split(loaded.labels, loaded.images, (), images.resolution)
    say(
        f"{count} images of {images.resolution} pixels are streamed: there is no room for them on "
        f"{device}"
    )
    mapped = map_set(path, *expected)
    return images, Split(labels_of(images), None, (), images.resolution, mapped=mapped)
