"""A dataset in memory: from a folder, by its name, or from tensors and torch Datasets."""

from collections.abc import Sequence, Sized
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from scdd.artifacts.dataset import DatasetInfo
from scdd.artifacts.tensors import content_hash
from scdd.data import sets
from scdd.data.decoding import rgb
from scdd.data.holdout import hold_out
from scdd.data.reading import pixels, read, require_images
from scdd.data.source import Split, split_of, square
from scdd.errors import ScddError
from scdd.jobs.devices import pick_device
from scdd.params.data import SPLITS
from scdd.params.data import Data as Params
from scdd.params.experiment import Experiment
from scdd.plan import datasets
from scdd.plan.config import parse
from scdd.plan.draft import Draft
from scdd.plan.plan import Plan

# tensors (images [n, 3, H, W], labels [n]), or a torch Dataset of pairs of image and class index
Pairs = tuple[Any, Any] | Dataset[Any]
# keys of `dataset` that are about files
OF_FILES = ("name", "root", "download", "val", "val_resize")


@dataclass(frozen=True)
class Data:
    """A dataset whose images are in memory, or large ones in their files.

    train, val: as backbones and probes see them; originals: the training images in their own
    sizes; tested: the validation images as students are tested on them. device: where all calls
    compute. draft: what the plan knows of the dataset.
    """

    info: DatasetInfo
    train: Split
    val: Split
    originals: Split
    tested: Split
    device: torch.device
    draft: Draft

    @property
    def classes(self) -> tuple[str, ...]:
        return self.info.classes


def experiment(**sections: Any) -> Experiment:
    """A checked configuration with these sections. Raises ScddError as the workflow does."""
    needed = {"experiment": "notebook", "methods": ["scdd"], "ipc": [1]}
    return parse(Experiment, {**needed, **sections}, "")


def drafted(data: Data, **sections: Any) -> Draft:
    """A draft for the data and these sections of a configuration, in the data's plan."""
    config = replace(experiment(**sections), dataset=data.draft.config.dataset)
    return replace(data.draft, config=config, probes={}, notes=[])


def open_data(
    train: str | Path | Pairs, val: Pairs | None = None, *, device: str = "auto", **keys: Any
) -> Data:
    """The images to distil, and those to test on.

    train: a folder with `train/<class>/*` and `val/<class>/*`; the name of a dataset (digits,
    cifar10, ...); or a pair of tensors, images uint8 [n, 3, R, R] or floats in [0, 1], and labels
    [n]; or a torch Dataset of pairs of image (of Pillow, or such a tensor) and class index. val: of
    tensors and torch Datasets the validation images, if there is no `holdout`. device: auto, cpu or
    cuda. keys: those of the configuration's `dataset`; of tensors, `classes` are their names, in
    order.

    Raises ScddError, naming what is wrong, for keys, files, shapes and labels that cannot be used.
    """
    where = pick_device(experiment(machine={"device": device}).machine.device)
    if isinstance(train, str | Path):
        if val is not None:
            raise ScddError("val: a folder has validation images of its own. Leave it out.")
        return _of_files(train, where, keys)
    return _of_pairs(train, val, where, keys)


def _of_files(source: str | Path, device: torch.device, keys: dict[str, Any]) -> Data:
    named = isinstance(source, str) and source in sets.names()
    place = {"name": source} if named else {"name": "imagefolder", "root": str(source)}
    config = experiment(dataset={**place, **keys})
    draft, root = datasets.draft(Plan(), config, check_files=True), Path(config.dataset.root)
    params = Params.of(draft.data.params)
    classes, parts = read(params, root, config.dataset.download)
    splits = {}
    for part in parts:
        splits[part.split] = split_of(part.labels, part.content, root, params.resolution)
        if part.split == "train" and part.files is not None:
            splits["originals"] = split_of(part.labels, part.files, root, params.resolution)
        if part.split == "val" and (short := draft.tested_on["val_resize"]) is not None:
            files = part.files or []
            splits["tested"] = split_of(part.labels, files, root, params.resolution, short)
    return _data(draft, classes, splits, device)


def _of_pairs(train: Pairs, val: Pairs | None, device: torch.device, keys: dict[str, Any]) -> Data:
    for key in OF_FILES:
        if key in keys:
            raise ScddError(f"dataset.{key}: there are no files. Leave it out.")
    config = experiment(dataset={"name": "imagefolder", **keys})
    dataset = config.dataset
    if (val is None) == (not dataset.holdout):
        raise ScddError(
            "val: give validation images, or holdout, the share of the training images that takes "
            "their place, and not both."
        )
    given = {"train": train} if val is None else {"train": train, "val": val}
    contents = {name: _tensors(pairs, name, dataset.resolution) for name, pairs in given.items()}
    classes = _names(train, dataset.classes, max(int(y.max()) for _, y in contents.values()) + 1)
    if val is None:
        images, labels = contents["train"]
        parts = hold_out(labels.tolist(), dict(enumerate(classes)), dataset.holdout)
        contents = {
            name: (images[part], labels[part]) for name, part in zip(SPLITS, parts, strict=True)
        }
    of_labels = {name: (labels.tolist(), None) for name, (_, labels) in contents.items()}
    require_images(sets.Loaded(classes, of_labels), classes)
    size = contents["train"][0].shape[-1]
    if (other := contents["val"][0].shape[-1]) != size:
        raise ScddError(
            f"val: images of {other} pixels a side, but those of train have {size}. Set resolution."
        )
    counts = contents["train"][1].bincount(minlength=len(classes)).tolist()
    parts_hashed = {f"{name}{i}": t for name, pair in contents.items() for i, t in enumerate(pair)}
    draft = datasets.draft_of_tensors(config, classes, size, counts, content_hash(parts_hashed))
    splits = {name: Split(labels, images, (), size) for name, (images, labels) in contents.items()}
    return _data(draft, classes, splits, device)


def _data(
    draft: Draft, classes: tuple[str, ...], splits: dict[str, Split], device: torch.device
) -> Data:
    params, train, val = Params.of(draft.data.params), splits["train"], splits["val"]
    info = DatasetInfo(
        params.name,
        classes,
        params.resolution,
        params.mean,
        params.std,
        len(train),
        len(val),
        "",
        draft.data.digest,
    )
    originals, tested = splits.get("originals", train), splits.get("tested", val)
    return Data(info, train, val, originals, tested, device, draft)


def _names(train: Pairs, wanted: Any, count: int) -> tuple[str, ...]:
    """The class names: those given, the torch Dataset's, or the indices."""
    if isinstance(wanted, int):
        raise ScddError("dataset.classes: a list of names is needed, in the order of the labels.")
    names = wanted or getattr(train, "classes", None) or [str(index) for index in range(count)]
    if len(names) < max(count, 2):
        raise ScddError(f"dataset.classes: {len(names)} names, but labels reach {count - 1}.")
    return tuple(str(name) for name in names)


def _tensors(pairs: Pairs, what: str, resolution: int | None) -> tuple[Tensor, Tensor]:
    """Pixels uint8 [n, 3, R, R] and labels int64 [n] (CPU)."""
    if isinstance(pairs, Dataset):
        items = [pairs[index] for index in range(len(cast(Sized, pairs)))]
        images = _stacked([image for image, _ in items], what, resolution)
        labels = torch.tensor([int(label) for _, label in items])
    else:
        images, labels = (torch.as_tensor(part).cpu() for part in pairs)
    square_ones = images.ndim == 4 and images.shape[2] == images.shape[3]
    if not (square_ones and images.shape[1] in (1, 3) and len(images)):
        raise ScddError(f"{what}: images [n, 3, R, R] are needed, not {list(images.shape)}.")
    if labels.shape != images.shape[:1] or labels.is_floating_point() or int(labels.min()) < 0:
        raise ScddError(
            f"{what}: labels are needed that are class indices from 0, [{len(images)}], not "
            f"{labels.dtype} {list(labels.shape)}."
        )
    images = _levels(images, what).expand(-1, 3, -1, -1)
    if resolution is not None and images.shape[-1] != resolution:
        array = np.ascontiguousarray(images.permute(0, 2, 3, 1).numpy())
        images = pixels(array, Path(), resolution, what)
    return images.contiguous(), labels.long()


def _levels(images: Tensor, what: str) -> Tensor:
    """Images of bytes, or of floats in [0, 1], as bytes."""
    if images.dtype == torch.uint8:
        return images
    if not images.is_floating_point() or images.min() < 0 or images.max() > 1:
        raise ScddError(
            f"{what}: images of uint8, or of floats in [0, 1], are needed, not {images.dtype} from "
            f"{images.min():.3g} to {images.max():.3g}. Leave normalising out; set mean and std."
        )
    return (images * 255).round().to(torch.uint8)


def _stacked(images: Sequence[Any], what: str, resolution: int | None) -> Tensor:
    """Images of Pillow, or tensors [3, R, R], in one tensor."""
    if all(isinstance(image, Image.Image) for image in images):
        sizes = {image.size for image in images}
        if resolution is None and (len(sizes) > 1 or len(set(next(iter(sizes)))) > 1):
            raise ScddError(f"{what}: the images are not squares of one size. Set resolution.")
        size = resolution or images[0].width
        return torch.stack([square(rgb(image), size) for image in images])
    try:
        return torch.stack([torch.as_tensor(image) for image in images])
    except (TypeError, RuntimeError, ValueError) as error:
        raise ScddError(
            f"{what}: items of images of Pillow, or of tensors of one shape, are needed ({error})."
        ) from None
