"""The dataset's artifact: dataset.json beside train.safetensors and val.safetensors.

A split has `labels` int64 [n] and `images` uint8 [n, 3, R, R] or, where the pixels do not fit in
memory, `files`: the images' paths below the data root, joined by newlines, as bytes. Images from
files have both if the pixels fit, so that they can be cut in other ways.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scdd.artifacts import tensors
from scdd.artifacts.classes import class_hash, require_same_classes
from scdd.artifacts.files import damaged, read_json, write_json
from scdd.errors import ScddError


@dataclass(frozen=True)
class DatasetInfo:
    """dataset.json: classes in order, resolution in pixels, mean and std by channel in [0, 1], the
    numbers of training and validation images, a hash of the content, and the artifact's digest."""

    name: str
    classes: tuple[str, ...]
    resolution: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    train: int
    val: int
    fingerprint: str
    digest: str


def save_split(
    path: Path,
    labels: Tensor,
    content: Tensor | list[str],
    classes: Sequence[str],
    files: list[str] | None = None,
) -> str:
    """Write a split, bound to its class list; returns its content hash.

    labels: int64 [n]; content: pixels uint8 [n, 3, R, R] or file names; files: the file names to
    store beside pixels.
    """
    parts = {"labels": labels}
    if isinstance(content, Tensor):
        parts["images"] = content
    else:
        files = content
    if files is not None:
        text = "\n".join(files).encode()
        parts["files"] = torch.frombuffer(bytearray(text), dtype=torch.uint8)
    tensors.save(path, parts, {"kind": "split", "classes": list(classes)})
    return tensors.content_hash(parts)


def load_split(
    path: Path, classes: Sequence[str], classes_of: object, *, as_files: bool = False
) -> tuple[Tensor, Tensor | list[str]]:
    """Labels int64 [n], and images uint8 [n, 3, R, R] or the list of file names.

    as_files: the file names where there are both. Raises ScddError where the file is damaged or has
    another class list.
    """
    parts = _load(path, classes, classes_of)
    named = "files" in parts and (as_files or "images" not in parts)
    return parts["labels"], _names(parts) if named else parts["images"]


def load_files(path: Path, classes: Sequence[str], classes_of: object) -> tuple[Tensor, list[str]]:
    """Labels int64 [n] and the list of file names. Raises ScddError as `load_split` does, and
    where the file has no names."""
    parts = _load(path, classes, classes_of)
    if "files" not in parts:
        raise ScddError(
            f"{path} has pixels only, but dataset.val_resize needs the original files. Set it to "
            "the resolution, or make the dataset and all that depends on it again: "
            f"rm -f {path}, then run snakemake again."
        )
    return parts["labels"], _names(parts)


def _load(path: Path, classes: Sequence[str], classes_of: object) -> dict[str, Tensor]:
    parts, header = tensors.load(path)
    require_same_classes(header["classes"], path, classes, classes_of)
    return parts


def _names(parts: dict[str, Tensor]) -> list[str]:
    return parts["files"].numpy().tobytes().decode().split("\n")


def save_info(path: Path, info: DatasetInfo, env: dict[str, Any]) -> None:
    """Write dataset.json; `env` says where it was made (`scdd.jobs.runtime.environment`)."""
    write_json(path, {**asdict(info), "class_hash": class_hash(info.classes), "env": env})


def load_info(path: Path) -> DatasetInfo:
    """The dataset.json at `path`. Raises ScddError where it is missing or damaged, or its class
    list does not fit its hash."""
    content = read_json(path)
    try:
        content.pop("env")
        stated = content.pop("class_hash")
        fields: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in content.items()
        }
        info = DatasetInfo(**fields)
    except (KeyError, TypeError, AttributeError) as error:
        raise damaged(path, f"is not a dataset file of scdd ({error})") from None
    if class_hash(info.classes) != stated:
        raise damaged(path, "has a class list that does not fit its hash")
    return info
