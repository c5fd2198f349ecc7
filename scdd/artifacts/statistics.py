"""statistics.safetensors: what the layers of a probed network see of the training images.

    means, variances              float32 [columns]
    class_means, class_variances  float32 [classes, columns]: means over the images of a class of
                                  their own means and variances

The columns are those of all `rows`, one after the other: a row is a layer's statistic, by channel
or by tile. scdd.recover.watching defines them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from scdd.artifacts import tensors
from scdd.artifacts.classes import class_hash, require_same_classes
from scdd.artifacts.files import damaged, require_digest

PARTS = ("means", "variances", "class_means", "class_variances")


@dataclass(frozen=True)
class Row:
    """layer: its name in the network; kind: `bn`, of a BatchNorm's input by channel, or of a
    convolution's by `channel` or by `patch`; width: channels or tiles."""

    layer: str
    kind: str
    width: int


@dataclass(frozen=True)
class Real:
    """Of real images: `dataset`, means and variances [columns]; `classes`, the same by class
    [classes, columns]."""

    rows: tuple[Row, ...]
    dataset: tuple[Tensor, Tensor]
    classes: tuple[Tensor, Tensor]


def save_statistics(
    path: Path, real: Real, classes: Sequence[str], digest: str, env: Mapping[str, Any]
) -> None:
    """Write them; digest: of the artifact."""
    content = dict(zip(PARTS, (*real.dataset, *real.classes), strict=True))
    header = {
        "kind": "statistics",
        "rows": [[row.layer, row.kind, row.width] for row in real.rows],
        "classes": list(classes),
        "class_hash": class_hash(classes),
        "digest": digest,
        "env": dict(env),
    }
    tensors.save(path, content, header)


def load_statistics(path: Path, *, digest: str, classes: Sequence[str], classes_of: Path) -> Real:
    """Raises ScddError where the file is missing, damaged, of another artifact or class order."""
    content, header = tensors.load(path)
    tensors.require_kind(path, header, "statistics")
    require_same_classes(header["classes"], path, classes, classes_of)
    require_digest(path, header["digest"], digest)
    rows = tuple(Row(*row) for row in header["rows"])
    columns = sum(row.width for row in rows)
    if any(part.shape[-1] != columns for part in content.values()):
        raise damaged(path, f"does not have the {columns} columns that its header names")
    means, variances, *by_class = (content[part] for part in PARTS)
    return Real(rows, (means, variances), (by_class[0], by_class[1]))
