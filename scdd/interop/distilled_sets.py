"""Distilled sets that others made, as pixels by class and slot: image folders, and the tensors of
dataset condensation (docs/exports.md tells which)."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from scdd.artifacts.dataset import DatasetInfo
from scdd.artifacts.slots import Range
from scdd.data.folders import by_class, check_names, image_files, size_differs, tensor_files
from scdd.data.source import decode
from scdd.errors import ScddError
from scdd.interop.unpickle import read_pickled
from scdd.jobs.progress import say
from scdd.views.pixels import denormalise


def make(
    path: Path,
    info: DatasetInfo,
    slots: Range,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
) -> Iterator[Tensor]:
    """For each class in order the images uint8 [n, 3, R, R] of the half-open range `slots`; n is
    smaller than their number only where the set has no more.

    mean, std: that tensors are normalised by; None: the dataset's. Raises ScddError, naming the
    file or folder, where classes, image size or number do not fit.
    """
    if files := tensor_files(path):
        made = _of_tensors(files, info, slots, mean, std)
    else:
        made = _of_folder(path, info, slots)
    for name, (count, images) in zip(info.classes, made, strict=True):
        if not count:
            raise ScddError(f"{path}: class {name!r} has no images.")
        if count <= slots[0]:
            raise ScddError(
                f"{path}: class {name!r} has {count} images: too few for slots from {slots[0]} on. "
                f"Lower ipc to {count}."
            )
        yield images


def _of_folder(path: Path, info: DatasetInfo, slots: Range) -> Iterator[tuple[int, Tensor]]:
    """Of each class how many images it has, and those of the slots."""
    size = info.resolution
    for index, folder in enumerate(by_class(path, info.classes)):
        files = image_files(folder)
        check_names(files, index)
        images = [_whole(file, size) for file in files[slice(*slots)]]
        yield len(files), torch.stack(images) if images else torch.empty(0, 3, size, size).byte()


def _whole(file: Path, size: int) -> Tensor:
    """An image file of that size, uint8 [3, size, size], as it is."""
    image = decode(file, size)
    with Image.open(file) as opened:
        if opened.size != (size, size):
            width, height = opened.size
            raise size_differs(file, width, height, size)
    return image


def _of_tensors(
    files: list[Path],
    info: DatasetInfo,
    slots: Range,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
) -> Iterator[tuple[int, Tensor]]:
    """`_of_folder` for tensors."""
    file = files[0]
    images, labels = _pair(files)
    fits = images.dim() == 4 and images.is_floating_point() and labels.shape[:1] == images.shape[:1]
    if not fits or not len(images):
        raise ScddError(
            f"{file} holds images {_shown(images)} and labels {_shown(labels)}; images must be "
            "float [n, 3, R, R], with a label for each."
        )
    _, channels, height, width = images.shape
    if channels != 3:
        raise ScddError(f"{file} holds images of {channels} channels; they must have 3.")
    if (height, width) != (info.resolution, info.resolution):
        raise size_differs(file, width, height, info.resolution)
    if not bool(torch.isfinite(images).all()):
        raise ScddError(f"{file} holds pixels that are not finite.")
    labels = _classes(file, labels, len(info.classes))
    told = replace(info, mean=mean or info.mean, std=std or info.std)
    pixels = denormalise(images, told)
    lost = ((images.float() * _column(told.std) + _column(told.mean) - 0.5).abs() > 0.5).float()
    say(f"{file.name}: {len(images)} images, {100 * lost.mean():.1f} % of their values clamped")
    for index in range(len(info.classes)):
        own = pixels[labels == index]
        yield len(own), own[slice(*slots)]


def _column(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values)[:, None, None]


def _shown(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
    return type(value).__name__


def _pair(files: list[Path]) -> tuple[Tensor, Tensor]:
    """Images and labels as they were saved; of several experiments in DC's file the last."""
    contents = [read_pickled(file) for file in files]
    if len(files) == 1:
        data = contents[0].get("data") if isinstance(contents[0], dict) else None
        if not isinstance(data, list) or not data or not isinstance(data[-1], list | tuple):
            raise ScddError(
                f"{files[0]} holds no distilled set that is known: neither {{'data': [[images, "
                "labels], ...]}, as DC, DSA and DM save it, nor is its name images_….pt, as MTT's."
            )
        if len(data) > 1:
            say(f"{files[0].name}: {len(data)} experiments; the last is taken")
        contents = list(data[-1][:2])
    if len(contents) != 2 or not all(isinstance(part, Tensor) for part in contents):
        raise ScddError(f"{files[0]}: images and labels must be tensors.")
    images, labels = (part.detach() for part in contents)
    return images, labels


def _classes(file: Path, labels: Tensor, count: int) -> Tensor:
    """Class indices int64 [n] of labels [n], or of learned labels [n, classes] the largest."""
    if labels.dim() == 2:
        if labels.shape[1] != count:
            raise ScddError(
                f"{file} has labels of {labels.shape[1]} classes, but the dataset has {count}."
            )
        say(f"{file.name}: learned labels are left out; an image's class is their largest")
        return labels.argmax(1)
    index = labels.long()
    if labels.dim() != 1 or not torch.equal(index.to(labels.dtype), labels):
        raise ScddError(f"{file} has labels {_shown(labels)}, which are no class indices.")
    found = index.unique().tolist()
    if found != list(range(count)):
        raise ScddError(
            f"{file} has images of {len(found)} classes, {found[0]} to {found[-1]}, but the "
            f"dataset has {count}. Set dataset.classes to theirs."
        )
    return index
