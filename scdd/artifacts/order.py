"""order.safetensors: in which order a coreset takes the training images of each class."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scdd.artifacts import tensors
from scdd.artifacts.classes import class_hash, require_same_classes
from scdd.artifacts.files import damaged, require_digest


def save_order(
    path: Path,
    rank: Tensor,
    classes: Sequence[str],
    digest: str,
    env: Mapping[str, Any],
    **reasons: Tensor,
) -> None:
    """Write `rank` int64 [n], the place of each training image in its class, from 0; and the
    `reasons` for it, other tensors [n] by name."""
    header = {
        "kind": "order",
        "classes": list(classes),
        "class_hash": class_hash(classes),
        "digest": digest,
        "env": dict(env),
    }
    tensors.save(path, {"rank": rank, **reasons}, header)


def load_order(
    path: Path, *, digest: str, labels: Tensor, classes: Sequence[str], classes_of: Path
) -> list[Tensor]:
    """For each class the indices of its training images in the stored order, int64 [m].

    labels: int64 [n] of the training set that `classes_of` describes. Raises ScddError where the
    file is damaged, or of another artifact, class list or training set.
    """
    content, header = tensors.load(path)
    tensors.require_kind(path, header, "order")
    require_same_classes(header["classes"], path, classes, classes_of)
    require_digest(path, header["digest"], digest)
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
