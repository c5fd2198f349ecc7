"""Imported distilled sets as pixels by class and slot: image folders, and the tensors of dataset
condensation (docs/exports.md)."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scdd.artifacts.dataset import DatasetInfo
from scdd.artifacts.slots import Range
from scdd.data.decoding import read_rgb
from scdd.data.folders import (
    beside,
    by_class,
    check_names,
    left_out,
    look,
    size_differs,
    tensor_files,
)
from scdd.data.source import as_tensor
from scdd.errors import ScddError, shown
from scdd.interop.ranges import reading_of, require_whitened
from scdd.interop.unpickle import plain, read_pickled
from scdd.jobs.progress import say
from scdd.params.select import Import
from scdd.views.pixels import in_bytes, in_unit, standardise
from scdd.views.zca import Whitening

SUMS = 0.01  # how far the sum of probabilities that were stored as float16 may be from 1


@dataclass(frozen=True)
class OfClass:
    """Images of a class as a shard has them: uint8 [n, 3, R, R]; the same as they were learned,
    normalised by the dataset's mean and std or whitened, float32 [n, 3, R, R]; and their learned
    labels, float32 [n, classes]. None where they are not wanted."""

    images: Tensor
    floats: Tensor | None = None
    labels: Tensor | None = None


def class_images(
    path: Path,
    info: DatasetInfo,
    slots: Range,
    stated: Import,
    whitening: Whitening | None = None,
) -> Iterator[OfClass]:
    """For each class in order its images in the half-open range `slots`; fewer than the range only
    where the set has no more.

    stated: what the configuration says of the set at `path`. whitening: by which tensors that are
    `whitened` were. Raises ScddError, naming the file or folder, where classes, image size, number
    or labels do not fit, or the values are plainly in another range.
    """
    if files := tensor_files(path):
        by_class_index = _of_tensors(files, info, slots, stated, whitening)
    else:
        by_class_index = _of_folder(path, info, slots)
    for name, (count, images) in zip(info.classes, by_class_index, strict=True):
        if not count:
            raise ScddError(f"{path}: class {name!r} has no images.")
        if count <= slots[0]:
            raise ScddError(
                f"{path}: class {name!r} has {count} images: too few for slots from {slots[0]} on. "
                f"Lower ipc to {count}."
            )
        yield images


def _of_folder(path: Path, info: DatasetInfo, slots: Range) -> Iterator[tuple[int, OfClass]]:
    """For each class the number of its images, and those in the slots."""
    size = info.resolution
    folders = by_class(path, info.classes)
    found = [look(folder) for folder in folders]
    loose = beside(path, [folder.name for folder in folders])
    if others := left_out(sum((each.others for each in found), loose)):
        say(f"{shown(path)}: {sum(len(each.images) for each in found)} images{others}")
    for index, files in enumerate(each.images for each in found):
        check_names(files, index)
        images = [_whole(file, size) for file in files[slice(*slots)]]
        none = torch.empty(0, 3, size, size).byte()
        yield len(files), OfClass(torch.stack(images) if images else none)


def _whole(file: Path, size: int) -> Tensor:
    """An image file as uint8 [3, size, size]. Raises ScddError where it has another size."""
    image = read_rgb(file)
    if image.size != (size, size):
        raise size_differs(file, *image.size, size)
    return as_tensor(image)


def _of_tensors(
    files: list[Path],
    info: DatasetInfo,
    slots: Range,
    stated: Import,
    whitening: Whitening | None,
) -> Iterator[tuple[int, OfClass]]:
    """As `_of_folder`, from tensor files."""
    file = files[0]
    images, labels = _pair(files)
    if images.dim() != 4 or labels.shape[:1] != images.shape[:1] or not len(images):
        raise ScddError(
            f"{file} holds images {_shown(images)} and labels {_shown(labels)}; images must be "
            "[n, 3, R, R], floats or bytes, with a label for each."
        )
    _, channels, height, width = images.shape
    if channels != 3:
        raise ScddError(f"{file} holds images of {channels} channels; they must have 3.")
    if (height, width) != (info.resolution, info.resolution):
        raise size_differs(file, width, height, info.resolution)
    if not bool(torch.isfinite(images).all()):
        raise ScddError(f"{file} holds pixels that are not finite (NaN or infinite).")
    classes, learned = _labels(files[-1], labels, len(info.classes), stated.learned_labels)
    if stated.whitened:
        assert whitening is not None
        pixels = whitening.unwhiten(images.float())
        clamped = require_whitened(file, pixels)
    else:
        scale = replace(info, mean=stated.mean or info.mean, std=stated.std or info.std)
        reading, clamped = reading_of(file, images, stated.range, scale, info)
        pixels = in_unit(images.float(), reading)
    floats = None
    if stated.pixels != "uint8":
        floats = images.float() if stated.whitened else standardise(pixels, info)
    kept = " in their 8-bit pictures; students see them as they are" if floats is not None else ""
    say(f"{file.name}: {len(images)} images, {100 * clamped:.1f} % of their values clamped{kept}")
    for index in range(len(info.classes)):
        members = (classes == index).nonzero().flatten()
        own = members[slice(*slots)]
        yield (
            len(members),
            OfClass(
                in_bytes(pixels[own]),
                None if floats is None else floats[own],
                None if learned is None else learned[own],
            ),
        )


def _shown(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
    return type(value).__name__


def _pair(files: list[Path]) -> tuple[Tensor, Tensor]:
    """Images and labels as saved; where DC's file has several experiments, those of the last."""
    contents = [read_pickled(file) for file in files]
    if len(files) == 1:
        data = contents[0].get("data") if isinstance(contents[0], dict) else None
        if not isinstance(data, list) or not data or not isinstance(data[-1], list | tuple):
            raise ScddError(
                f"{files[0]} is not a known form of distilled set: it does not hold {{'data': "
                "[[images, labels], ...]}, as DC, DSA and DM save it, and its name is not "
                "images_….pt, as MTT's is."
            )
        if len(data) > 1:
            say(f"{files[0].name}: {len(data)} experiments; the last one is used")
        contents = list(data[-1][:2])
    if len(contents) != 2 or not all(isinstance(part, Tensor) for part in contents):
        raise ScddError(f"{files[0]}: images and labels must be tensors.")
    images, labels = (
        plain(part.detach(), f"{files[-1] if place else files[0]}: {name}")
        for place, (name, part) in enumerate(zip(("images", "labels"), contents, strict=True))
    )
    return images, labels


def _labels(file: Path, labels: Tensor, count: int, keep: bool) -> tuple[Tensor, Tensor | None]:
    """Class indices int64 [n]; and learned labels float32 [n, classes], if `keep`.

    The file has the one or the other. Of learned labels the largest is the class.
    """
    if not bool(torch.isfinite(labels).all()):
        raise ScddError(f"{file} has labels that are not finite (NaN or infinite).")
    if labels.dim() == 2:
        if labels.shape[1] != count:
            raise ScddError(
                f"{file} has labels of {labels.shape[1]} classes, but the dataset has {count}."
            )
        if keep:
            return _learned(file, labels.float())
        say(
            f"{file.name}: learned labels are not used; the largest gives an image's class. The "
            "import's learned_labels: true keeps them"
        )
        return labels.argmax(1), None
    if keep:
        raise ScddError(f"{file} has class indices, not learned labels. Leave learned_labels out.")
    index = labels.long()
    if labels.dim() != 1 or not torch.equal(index.to(labels.dtype), labels):
        raise ScddError(f"{file} has labels {_shown(labels)}, which are not class indices.")
    present = index.unique().tolist()
    if present != list(range(count)):
        raise ScddError(
            f"{file} has images of {len(present)} classes, {present[0]} to {present[-1]}, but the "
            f"dataset has {count}. Set dataset.classes to the classes of the file."
        )
    return index, None


def _learned(file: Path, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Class indices of learned labels float32 [n, classes], and the labels.

    Where their largest does not give each class as many images, they are taken class by class, the
    order in which MTT and TESLA save them.
    """
    off = float((labels.sum(1) - 1).abs().max())
    if float(labels.min()) < 0 or off > SUMS:
        raise ScddError(
            f"{file} has learned labels that are not probabilities (the least is "
            f"{float(labels.min()):.3g}, sums are off by up to {off:.3g}). Save them after "
            "softmax, or leave learned_labels out: then the largest is the class."
        )
    n, count = labels.shape
    index = labels.argmax(1)
    if n % count == 0 and len(index.bincount(minlength=count).unique()) > 1:
        say(f"{file.name}: learned labels do not tell classes; images are taken class by class")
        index = torch.arange(count).repeat_interleave(n // count)
    return index, labels
