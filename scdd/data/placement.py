"""Where images are kept: on the device if there is room, otherwise in their files."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from scdd.artifacts.dataset import DatasetInfo
from scdd.artifacts.images import (
    SetInfo,
    labels_of,
    load_set,
    map_set,
    open_set,
    whitening_of,
)
from scdd.artifacts.sizes import FLOAT_BYTES, image_bytes
from scdd.artifacts.whitening import VAL, load_validation, load_whitening
from scdd.data.source import Split
from scdd.errors import ScddError
from scdd.jobs import gpus
from scdd.jobs.progress import say
from scdd.views.pixels import Scale, in_unit

CPU_BYTES = 4 * 2**30  # of images in the CPU's memory, which other jobs share
GPU_DIVISOR = 3  # images take at most a third of a job's GPU memory; training needs the rest
DECODE_BATCH = 256  # images decoded or converted at once


def capacity(device: torch.device) -> int:
    """Bytes of images that may be kept on the device."""
    if device.type != "cuda":
        return CPU_BYTES
    free, whole = torch.cuda.mem_get_info(device)
    return int(min(free, whole * gpus.share())) // GPU_DIVISOR


def has_room(count: int, resolution: int, device: torch.device, each: int = 1) -> bool:
    """Whether `count` images of `resolution` pixels a side may be kept on the device. each: bytes
    of a number."""
    return image_bytes(count, resolution, each) <= capacity(device)


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
    path: Path,
    info: DatasetInfo,
    data: Path,
    digest: str | None,
    device: torch.device,
    *,
    whitened: bool = False,
) -> tuple[SetInfo, Split, DatasetInfo]:
    """The set.json at `path`; its images as its students see them, but for views and `normalise`;
    and the dataset's info with the set's classes and the mean and std to normalise them by.

    The images are on the device if there is room, otherwise in their files, from which batches are
    streamed; in the same order and with the same pixels, but for the rounding of a whitening. They
    are uint8, or float32 with black 0 and white 1, unclipped. Whitened ones are normalised already:
    their mean is 0, their std 1.

    info: of the dataset.json at `data`, whose class order the set must have, be it of some of the
    classes alone. digest: the set's; None accepts any. whitened: whether the caller can use
    whitened images. Raises ScddError as `load_set` does, and for whitened images where they cannot
    be used.
    """
    images = open_set(path)
    if images.whitening is not None and not whitened:
        raise ScddError(
            f"{path}: its students train on whitened images (ZCA), which a teacher has never seen. "
            "Use the set of the same images that names no whitening: its 8-bit images."
        )
    convert, scale = _space(path, images, info, data, device)
    scale = replace(scale, classes=images.classes)
    as_bytes = images.pixels == "uint8" and convert is None
    count, expected = len(images.classes) * images.ipc, (info.classes, data, digest)
    if has_room(count, images.resolution, device, 1 if as_bytes else FLOAT_BYTES):
        loaded = load_set(path, *expected, device)
        pixels = loaded.images
        if convert is not None:
            pixels = torch.cat([convert(part) for part in pixels.split(DECODE_BATCH)])
        split = Split(loaded.labels, pixels, (), images.resolution, learned=loaded.learned)
        return images, split, scale
    say(
        f"{count} images of {images.resolution} pixels are streamed: there is no room for them on "
        f"{device}"
    )
    mapped = map_set(path, *expected)
    streamed = Split(
        labels_of(images),
        None,
        (),
        images.resolution,
        mapped=mapped,
        convert=convert,
        learned=mapped.learned,
    )
    return images, streamed, scale


def whitened_validation(path: Path, images: SetInfo, info: DatasetInfo, data: Path) -> Split:
    """The validation images in the whitened space of the set.json at `path`, read as `images`.

    info: of the dataset.json at `data`. Raises ScddError where a file is missing, damaged, or of
    another dataset or whitening.
    """
    file = whitening_of(path, images)
    assert file is not None
    whitening = load_whitening(file, info, data)
    pixels, labels = load_validation(file.with_name(VAL), whitening, info, data)
    return Split(labels, pixels, (), info.resolution)


def _space(
    path: Path, images: SetInfo, info: DatasetInfo, data: Path, device: torch.device
) -> tuple[Callable[[Tensor], Tensor] | None, DatasetInfo]:
    """What makes pixels of the numbers of a set (None: they are pixels), and the dataset's info
    with the scale of these pixels."""
    file = whitening_of(path, images)
    if file is None:
        if images.pixels == "uint8":
            return None, info
        return partial(in_unit, scale=scale_of(path, images)), info
    whitening = load_whitening(file, info, data).to(device)
    whitened = replace(info, mean=(0.0,) * 3, std=(1.0,) * 3)
    if images.pixels == "zca":
        return None, whitened
    return lambda part: whitening.whiten(part.to(device)), whitened


def scale_of(path: Path, images: SetInfo) -> Scale:
    """Mean and std of the set.json at `path`. Raises ScddError where it does not state them."""
    if images.mean is None or images.std is None:
        raise ScddError(
            f"{path} does not state mean and std. Delete it and run snakemake again: it will be "
            "remade."
        )
    return DatasetInfo("", images.classes, images.resolution, images.mean, images.std, 0, 0, "", "")
