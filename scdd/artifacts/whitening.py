"""The artifact of a ZCA whitening: whitening.safetensors beside val.safetensors.

whitening.safetensors has `mean` [D], `transform` and `inverse` [D, D], float32 (scdd.views.zca).
Its header names the dataset that it was fitted on, and has the hash of mean and transform: the
space that images learned with it live in. val.safetensors has the dataset's validation images in
that space, `images` float32 [n, 3, R, R], and their `labels` int64 [n]: students of such images are
tested on them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from scdd.artifacts import tensors
from scdd.artifacts.classes import require_same_classes
from scdd.artifacts.dataset import DatasetInfo
from scdd.artifacts.files import damaged, require_digest
from scdd.errors import ScddError
from scdd.views.zca import Whitening

VAL = "val.safetensors"


def space_hash(whitening: Whitening) -> str:
    """The hash of mean and transform: two whitenings that share it give the same pixels."""
    return tensors.content_hash({"mean": whitening.mean, "transform": whitening.transform})


def save_whitening(
    path: Path,
    whitening: Whitening,
    dataset: DatasetInfo,
    digest: str,
    env: Mapping[str, Any],
) -> None:
    """Write a whitening that was fitted on the training images of `dataset`."""
    parts = {
        "mean": whitening.mean,
        "transform": whitening.transform,
        "inverse": whitening.inverse,
    }
    header = {**_header("whitening", whitening, dataset), "digest": digest, "env": dict(env)}
    tensors.save(path, parts, header)


def load_whitening(
    path: Path, dataset: DatasetInfo, data: object, digest: str | None = None
) -> Whitening:
    """The whitening at `path`, which must have been fitted on `dataset`, that of the file `data`.

    digest: of the artifact; None accepts any. Raises ScddError where the file is missing, damaged,
    of another artifact, dataset or class order.
    """
    parts, header = tensors.load(path)
    _require(path, header, "whitening", dataset, data)
    require_digest(path, header["digest"], digest)
    return Whitening(**parts)


def save_validation(
    path: Path, images: Tensor, labels: Tensor, whitening: Whitening, dataset: DatasetInfo
) -> None:
    """Write the whitened validation images float32 [n, 3, R, R] of `dataset`, and their labels
    int64 [n]."""
    header = _header("whitened", whitening, dataset)
    tensors.save(path, {"images": images, "labels": labels}, header)


def load_validation(
    path: Path, whitening: Whitening, dataset: DatasetInfo, data: object
) -> tuple[Tensor, Tensor]:
    """Whitened validation images float32 [n, 3, R, R], and labels int64 [n].

    Raises ScddError where the file is missing, damaged, in the space of another whitening, or of
    another dataset than that of the file `data`.
    """
    parts, header = tensors.load(path)
    _require(path, header, "whitened", dataset, data)
    if header["space"] != space_hash(whitening):
        raise damaged(path, "is in the space of another whitening")
    return parts["images"], parts["labels"]


def _header(kind: str, whitening: Whitening, dataset: DatasetInfo) -> dict[str, Any]:
    return {
        "kind": kind,
        "classes": list(dataset.classes),
        "fingerprint": dataset.fingerprint,
        "resolution": dataset.resolution,
        "space": space_hash(whitening),
    }


def _require(
    path: Path, header: Mapping[str, Any], kind: str, dataset: DatasetInfo, data: object
) -> None:
    tensors.require_kind(path, header, kind)
    require_same_classes(header["classes"], path, dataset.classes, data)
    stated = (header["fingerprint"], header["resolution"])
    if stated != (dataset.fingerprint, dataset.resolution):
        raise ScddError(
            f"{path} was made of another dataset (fingerprint {stated[0]}, {stated[1]} pixels) "
            f"than {data} ({dataset.fingerprint}, {dataset.resolution} pixels). Make both again: "
            f"rm -f {path}, then run snakemake again."
        )
