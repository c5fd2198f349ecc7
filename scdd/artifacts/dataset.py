"""The dataset's artifact: dataset.json beside train.safetensors and val.safetensors.

A split is `labels` int64 [n] and either `images` uint8 [n, 3, R, R] or, where the pixels do not
fit in memory, `files`: the images' paths below the data root, joined by newlines, as bytes.
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

SPLITS = ("train", "val")


@dataclass(frozen=True)
class DatasetInfo:
    """Classes in order, resolution in pixels, mean and std by channel in [0, 1]."""

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
    path: Path, labels: Tensor, content: Tensor | list[str], classes: Sequence[str]
) -> str:
    """Write one split, bound to its class list; returns its content hash."""
    if isinstance(content, Tensor):
        held = {"labels": labels, "images": content}
    else:
        names = torch.frombuffer(bytearray("\n".join(content).encode()), dtype=torch.uint8)
        held = {"labels": labels, "files": names}
    tensors.save(path, held, {"kind": "split", "classes": list(classes)})
    return tensors.content_hash(held)


def load_split(
    path: Path, classes: Sequence[str], classes_of: object
) -> tuple[Tensor, Tensor | list[str]]:
    """Labels int64 [n], and images uint8 [n, 3, R, R] or the list of file names.

    Raises ScddError where the file is damaged or has another class list.
    """
    held, header = tensors.load(path)
    require_same_classes(header["classes"], path, classes, classes_of)
    if "images" in held:
        return held["labels"], held["images"]
    return held["labels"], held["files"].numpy().tobytes().decode().split("\n")


def save_info(path: Path, info: DatasetInfo, env: dict[str, Any]) -> None:
    write_json(path, {**asdict(info), "class_hash": class_hash(info.classes), "env": env})


def load_info(path: Path) -> DatasetInfo:
    """Raises ScddError where the file is damaged or its class list does not fit its hash."""
    content = read_json(path)
    try:
        content.pop("env")
        stated = content.pop("class_hash")
        fields: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in content.items()
        }
        info = DatasetInfo(**fields)
    except (KeyError, TypeError, AttributeError) as error:
        raise damaged(path, f"is no dataset file of scdd ({error})") from None
    if class_hash(info.classes) != stated:
        raise damaged(path, "has a class list that does not fit its hash")
    return info
