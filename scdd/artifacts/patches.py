"""patches.safetensors: the real images of each class that an observer ranks, and a crop of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scdd.artifacts import tensors
from scdd.artifacts.classes import class_hash, require_same_classes
from scdd.artifacts.files import damaged, require_digest

NONE = -1  # in place of an image, where a class has fewer than another
Tensors = dict[str, Tensor]  # of the file, by name


@dataclass(frozen=True)
class Ranking:
    """Training images of a class in their order, the first for slot 0 (CPU).

    images: int64 [n], indices in the training set; scores: float32 [n], what they are ranked by;
    boxes: int64 [n, 4] = (top, left, height, width) in pixels of the image's own size, the crop of
    each; None: the images are taken whole.
    """

    images: Tensor
    scores: Tensor
    boxes: Tensor | None

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Rankings:
    """The ranking of each class; factor: how many rows and columns of crops an image has."""

    classes: list[Ranking]
    factor: int


def empty_rankings(classes: int, most: int, *, boxes: bool) -> Tensors:
    """The tensors of the file before any class is ranked: for `most` images of each class."""
    made: Tensors = {
        "images": torch.full((classes, most), NONE),
        "scores": torch.zeros(classes, most),
    }
    return made | ({"boxes": torch.zeros(classes, most, 4, dtype=torch.int64)} if boxes else {})


def set_ranking(rankings: Mapping[str, Tensor], label: int, ranking: Ranking) -> None:
    """Put the ranking of a class into the tensors of `empty_rankings`."""
    for name, tensor in rankings.items():
        tensor[label, : len(ranking)] = getattr(ranking, name)


def rankings_of(content: Tensors, factor: int) -> Rankings:
    """The rankings that are in these tensors."""
    rankings = []
    for label, images in enumerate(content["images"]):
        there = images != NONE
        own = {name: tensor[label][there].clone() for name, tensor in content.items()}
        rankings.append(Ranking(own["images"], own["scores"], own.get("boxes")))
    return Rankings(rankings, factor)


def save_rankings(
    path: Path,
    rankings: Tensors,
    factor: int,
    classes: Sequence[str],
    digest: str,
    env: Mapping[str, Any],
) -> None:
    """Write the tensors of `empty_rankings`, after `set_ranking` of each class."""
    header = {
        "kind": "patches",
        "factor": factor,
        "classes": list(classes),
        "class_hash": class_hash(classes),
        "digest": digest,
        "env": dict(env),
    }
    tensors.save(path, rankings, header)


def load_rankings(
    path: Path, *, digest: str, labels: Tensor, classes: Sequence[str], classes_of: Path
) -> Rankings:
    """Read the file.

    labels: int64 [n] of the training set that `classes_of` describes. Raises ScddError where the
    file is damaged, or of another artifact, class list or training set.
    """
    content, header = tensors.load(path)
    tensors.require_kind(path, header, "patches")
    require_same_classes(header["classes"], path, classes, classes_of)
    require_digest(path, header["digest"], digest)
    rankings = rankings_of(content, header["factor"])
    if len(rankings.classes) != len(classes):
        raise damaged(path, f"ranks {len(rankings.classes)} classes, not {len(classes)}")
    for label, (name, ranking) in enumerate(zip(classes, rankings.classes, strict=True)):
        known = ranking.images[ranking.images < len(labels)]
        if len(known) < len(ranking) or not (labels[known] == label).all():
            raise damaged(path, f"ranks images that are not training images of class {name!r}")
    return rankings
