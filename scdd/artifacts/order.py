"""order.safetensors: in which order a coreset takes the training images of each class."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scdd.artifacts import tensors
from scdd.artifacts.classes import class_hash, require_same_classes
from scdd.artifacts.files import damaged
from scdd.errors import ScddError


def save_order(
    path: Path,
    rank: Tensor,
    classes: Sequence[str],
    digest: str,
    env: Mapping[str, Any],
    **why: Tensor,
) -> None:
    """Write `rank` int64 [n], the place of each training image in its class, from 0, and what it
    comes from, by name: other numbers of each image."""
    header = {
        "kind": "order",
        "classes": list(classes),
        "class_hash": class_hash(classes),
        "digest": digest,
        "env": dict(env),
    }
    tensors.save(path, {"rank": rank, **why}, header)


def load_order(
    path: Path, *, digest: str, labels: Tensor, classes: Sequence[str], classes_of: Path
) -> list[Tensor]:
    """For each class its training images in the order, int64 [images of the class].

    labels: int64 [n] of the training set that `classes_of` describes. Raises ScddError where the
    file is damaged, or that of another artifact, class list or training set.
    """
    content, header = tensors.load(path)
    if header.get("kind") != "order":
        raise ScddError(f"{path} is a {header.get('kind')!r} file, but an 'order' is needed.")
    require_same_classes(header["classes"], path, classes, classes_of)
    if header["digest"] != digest:
        raise ScddError(
            f"{path} is of artifact {header['digest']}, but this configuration was made for "
            f"artifact {digest}. Delete the file and run snakemake again: it will be remade."
        )
    rank = content["rank"]
    if len(rank) != len(labels):
        raise damaged(path, f"orders {len(rank)} images, but {classes_of} has {len(labels)}")
    orders = []
    for label, name in enumerate(classes):
        members = (labels == label).nonzero().flatten()
        places, order = rank[members].sort()
        if not places.equal(torch.arange(len(members))):
            raise damaged(path, f"does not order the training images of class {name!r}")
        orders.append(members[order])
    return orders
