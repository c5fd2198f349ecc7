"""The soft-label store: a folder of shards, each for a range of epochs, read one epoch at a time.

A shard is a safetensors file. For its E epochs and N images it holds the draws of the views, `crop`
int16 [E, N, 4], `flip` bool [E, N], `partner` int32 [E, N], `lam` float32 [E, N], `box` int16
[E, N, 4] and what else a transform draws, and the teacher's logits before softmax in one of the
forms of `scdd.labels.forms` or `.components`: the tensors [E, ...] whose names begin with `logits`,
and, without epochs, those that begin with `logits_shared`. Views that can be drawn again
(Origin.views: 'drawn') are left out; a hash for each epoch tells whether they were drawn right.
`scdd.artifacts.sizes.label_bytes` gives the bytes of an image in an epoch.

A store can be tens of GB, so each epoch has a hash, checked when the epoch is read, instead of one
hash for the file.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from scdd.artifacts.classes import class_hash, require_same_classes
from scdd.artifacts.files import damaged
from scdd.artifacts.slots import Range, range_name
from scdd.artifacts.tensors import content_hash, read_header, require_kind, write
from scdd.errors import ScddError

SHARED = "logits_shared"  # so begin the names of tensors that all epochs of a shard share


@dataclass(frozen=True)
class Origin:
    """What a store's labels were made from: the same in all its shards.

    digest: the store's own; images: the image set's content hash; teacher: the checkpoint's digest,
    several joined by '+'; transform: view, mix and alpha, and where labels depend on batches also
    `mix_by`, `teacher_bn` and `batch`, their size; form: how logits are stored; resolution: pixels
    a side, None if not stated; views: 'stored' or 'drawn'; precision: of the teacher's passes,
    'float32' or 'bf16', None if not stated, as for imported labels.
    """

    digest: str
    images: str
    classes: tuple[str, ...]
    teacher: str
    transform: dict[str, Any]
    form: str
    seed: int
    resolution: int | None = None
    views: str = "stored"
    precision: str | None = None


@dataclass(frozen=True)
class _Row:
    """Where an epoch is stored, the hash of its tensors, and the hash of views that are drawn again
    (None where views are stored)."""

    path: Path
    row: int
    sealed: str
    drawn: str | None


def shard_file(epochs: Range) -> str:
    """The file name of the shard of the half-open range `epochs`."""
    return f"epochs_{range_name(epochs)}.safetensors"


def _seal(header: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(header, sort_keys=True).encode()).hexdigest()


def of_logits(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of the logits among those of a shard or an epoch."""
    return {name: tensor for name, tensor in tensors.items() if name.startswith("logits")}


def of_views(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of the views among those of a shard or an epoch; none if they are drawn again."""
    return {name: tensor for name, tensor in tensors.items() if not name.startswith("logits")}


def of_epoch(tensors: Mapping[str, Tensor], row: int) -> dict[str, Tensor]:
    """What one epoch has of the tensors [E, ...] of a shard, and the shared ones."""
    return {name: t if name.startswith(SHARED) else t[row] for name, t in tensors.items()}


def _row_hash(tensors: Mapping[str, Tensor], row: int) -> str:
    return content_hash(of_epoch(tensors, row))


def save_shard(
    path: Path,
    tensors: Mapping[str, Tensor],
    origin: Origin,
    epochs: Range,
    env: Mapping[str, Any],
) -> None:
    """Write atomically the labels of the half-open range `epochs`; equal input gives equal bytes.

    tensors: views and logits [E, N, ...], by name. Of views that are drawn again only the hashes
    are stored. Raises ScddError where the disk is full.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    rows = range(epochs[1] - epochs[0])
    stored, drawn = tensors, {}
    if origin.views == "drawn":
        stored, drawn = of_logits(tensors), of_views(tensors)
    header: dict[str, Any] = {
        "kind": "labels",
        **asdict(origin),
        "classes": list(origin.classes),
        "class_hash": class_hash(origin.classes),
        "epochs": list(epochs),
        "epoch_sha256": [_row_hash(stored, row) for row in rows],
        "env": dict(env),
    }
    if drawn:
        header["drawn_sha256"] = [_row_hash(drawn, row) for row in rows]
    header["header_sha256"] = _seal(header)
    write(path, stored, header)


def read_shard_header(path: Path) -> dict[str, Any]:
    """A shard's header. Raises ScddError, naming the shard, where it is missing, truncated, altered
    or not a shard of labels."""
    header = read_header(path)
    require_kind(path, header, "labels")
    sealed = header.pop("header_sha256", None)
    if _seal(header) != sealed:
        raise damaged(path, "was altered after it was written (its header's hash differs)")
    if path.name != shard_file(tuple(header["epochs"])):
        raise damaged(path, f"holds epochs {header['epochs']}, not those of its name")
    return header


class LabelStore:
    """Epochs 0 to `epochs` - 1 of a store, memory-mapped; made by `open_store`."""

    def __init__(self, folder: Path, origin: Origin, rows: Mapping[int, _Row]) -> None:
        self.folder, self.origin = folder, origin
        self.epochs = len(rows)
        self._rows = rows
        self._open: tuple[Path, Any] | None = None

    def epoch(self, epoch: int) -> dict[str, Tensor]:
        """The stored tensors of one epoch, [N, ...] on the CPU in memory of their own, checked.

        `scdd.labels.replay` makes views and logits from them. Raises ScddError, naming the shard,
        where its bytes are not those that were written.
        """
        row = self._rows[epoch]
        if self._open is None or self._open[0] != row.path:
            self._open = (row.path, safe_open(row.path, framework="pt"))
        file = self._open[1]
        try:
            tensors = {name: _read(file, name, row.row) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, IndexError) as error:
            raise damaged(row.path, f"does not have epoch {epoch} complete ({error})") from None
        if content_hash(tensors) != row.sealed:
            what = f"was altered after it was written (epoch {epoch}'s hash differs)"
            raise damaged(row.path, what)
        return tensors

    def check_drawn(self, epoch: int, views: Mapping[str, Tensor]) -> None:
        """Raises ScddError, naming the shard, where `views`, drawn again, are not those that the
        teacher saw."""
        row, drawn = self._rows[epoch], content_hash(views)
        if drawn != row.drawn:
            raise ScddError(
                f"{row.path}: the views of epoch {epoch} were drawn again and differ from those "
                f"that were labelled ({drawn[:16]}, not {str(row.drawn)[:16]}). Other versions of "
                "torch and numpy may draw other numbers. Delete the file and run snakemake again; "
                "set views: stored where label stores outlive an installation."
            )


def _read(file: Any, name: str, row: int) -> Tensor:
    """A tensor as `of_epoch` has it, in memory of its own."""
    tensor: Tensor = (
        file.get_tensor(name) if name.startswith(SHARED) else file.get_slice(name)[row].clone()
    )
    return tensor


def stored_epochs(folder: Path) -> int:
    """The number of epochs in the store in `folder`. Raises ScddError where there are none."""
    ends = [read_shard_header(shard)["epochs"][1] for shard in folder.glob("epochs_*.safetensors")]
    if not ends:
        raise ScddError(f"{folder} holds no soft labels. Name the folder of epochs_*.safetensors.")
    return int(max(ends))


def open_store(
    folder: Path,
    *,
    epochs: int,
    images: str,
    classes: tuple[str, ...],
    digest: str | None = None,
    resolution: int | None = None,
    batch: int | None = None,
) -> LabelStore:
    """The first `epochs` epochs of the store in `folder`. Reads headers only.

    The other arguments are what the caller expects; None accepts any. images: the image set's
    content hash; digest: the store's own, which stands for its teacher, transform and form; batch:
    images in a step of the student to be trained. Raises ScddError where a shard is damaged, shards
    have different origins, the store was made for other images, classes or batches, or it has too
    few epochs.
    """
    origin = None
    rows: dict[int, _Row] = {}
    for path in sorted(folder.glob("epochs_*.safetensors")):
        header = read_shard_header(path)
        stated = {f.name: header[f.name] for f in fields(Origin) if f.name in header}
        own = Origin(**{**stated, "classes": tuple(stated["classes"])})
        origin = origin or own
        if own != origin:
            raise ScddError(
                f"{path} ({own.digest}, images {own.images}) does not belong to the other shards "
                f"beside it ({origin.digest}, images {origin.images}). Delete it."
            )
        start, stop = header["epochs"]
        drawn = header.get("drawn_sha256", [None] * (stop - start))
        for row, seals in enumerate(zip(header["epoch_sha256"], drawn, strict=True)):
            rows[start + row] = _Row(path, row, *seals)
    missing = next((epoch for epoch in range(epochs) if epoch not in rows), None)
    if origin is None or missing is not None:
        raise ScddError(
            f"{folder} has no soft labels for epoch {missing}, but {epochs} epochs are needed. "
            "Run snakemake to make them, or train for fewer epochs."
        )
    if origin.images != images:
        raise ScddError(
            f"{folder} holds labels for images {origin.images}, but images {images} is in use. "
            "Labels fit one image set: run snakemake to make them."
        )
    if digest is not None and origin.digest != digest:
        raise ScddError(
            f"{folder} holds labels {origin.digest}, of teacher {origin.teacher} and transform "
            f"{origin.transform}, but labels {digest} are in use, of another teacher, transform or "
            "form. Run snakemake to make them."
        )
    if None not in (resolution, origin.resolution) and resolution != origin.resolution:
        raise ScddError(
            f"{folder} holds labels for images of {origin.resolution} pixels a side, but these "
            f"have {resolution}. Run snakemake to make labels for them."
        )
    fixed = origin.transform.get("batch")
    if None not in (batch, fixed) and batch != fixed:
        raise ScddError(
            f"{folder} holds labels that depend on batches of {fixed} images, but the student's "
            f"have {batch}. Train with batch {fixed}, or label with mix_by: set and teacher_bn: "
            "eval."
        )
    require_same_classes(origin.classes, folder, classes, "the image set")
    return LabelStore(folder, origin, {epoch: rows[epoch] for epoch in range(epochs)})
