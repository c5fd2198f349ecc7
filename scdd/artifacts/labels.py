"""The soft-label store: a folder of shards, each a range of epochs, read one epoch at a time.

A shard is one safetensors file. For its E epochs and N images it holds what an epoch's views drew,
`crop` int16 [E, N, 4], `flip` bool [E, N], `partner` int32 [E, N], `lam` float32 [E, N], `box`
int16 [E, N, 4] and what else a transform draws, and the teacher's logits before softmax in one of
the forms of `scdd.labels.forms`: the tensors [E, N, ...] whose names begin with `logits`. Views
that can be drawn again (origin's views: drawn) are left out; a hash of each epoch's tells whether
they were. What an image and epoch take, `scdd.artifacts.sizes.label_bytes` says.

A store can be tens of GB, so it has a hash for each epoch, checked when the epoch is read, in
place of one for the file.
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
from scdd.artifacts.tensors import content_hash, read_header, write
from scdd.errors import ScddError


@dataclass(frozen=True)
class Origin:
    """What a store's labels were made of: the same in all its shards.

    digest: the store's own; images: the image set's content hash; teacher: the checkpoint's
    digest, of several joined by '+'; transform: view, mix and alpha, and where labels depend on
    batches also `mix_by`, `teacher_bn` and `batch`, their size; form: how logits are stored;
    resolution: pixels a side, None in old stores; views: 'stored' or 'drawn'; precision: of the
    teacher's passes, 'float32' or 'bf16', None in old stores and in those of others' labels.
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
    """Where an epoch lies, the hash of its tensors, and that of views which are drawn again."""

    path: Path
    row: int
    sealed: str
    drawn: str | None


def shard_file(epochs: Range) -> str:
    return f"epochs_{range_name(epochs)}.safetensors"


def _seal(header: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(header, sort_keys=True).encode()).hexdigest()


def of_logits(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Of a shard's or an epoch's tensors those of the logits."""
    return {name: tensor for name, tensor in tensors.items() if name.startswith("logits")}


def of_views(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Of a shard's or an epoch's tensors those of the views; none where these are drawn again."""
    return {name: tensor for name, tensor in tensors.items() if not name.startswith("logits")}


def _row_hash(tensors: Mapping[str, Tensor], row: int) -> str:
    return content_hash({name: tensor[row] for name, tensor in tensors.items()})


def save_shard(
    path: Path,
    tensors: Mapping[str, Tensor],
    origin: Origin,
    epochs: Range,
    env: Mapping[str, Any],
) -> None:
    """Write atomically the labels of the half-open range `epochs`; equal input, equal bytes.

    tensors: views and logits, by name. Of views that are drawn again only the hashes are kept.
    Raises ScddError where the disk is full.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    rows = range(epochs[1] - epochs[0])
    held, drawn = tensors, {}
    if origin.views == "drawn":
        held, drawn = of_logits(tensors), of_views(tensors)
    header: dict[str, Any] = {
        "kind": "labels",
        **asdict(origin),
        "classes": list(origin.classes),
        "class_hash": class_hash(origin.classes),
        "epochs": list(epochs),
        "epoch_sha256": [_row_hash(held, row) for row in rows],
        "env": dict(env),
    }
    if drawn:
        header["drawn_sha256"] = [_row_hash(drawn, row) for row in rows]
    header["header_sha256"] = _seal(header)
    write(path, held, header)


def read_shard_header(path: Path) -> dict[str, Any]:
    """Raises ScddError, naming the shard, where it is missing, truncated, altered or foreign."""
    header = read_header(path)
    if header.get("kind") != "labels":
        raise ScddError(f"{path} is a {header.get('kind')!r} file, but a 'labels' is needed.")
    sealed = header.pop("header_sha256", None)
    if _seal(header) != sealed:
        raise damaged(path, "was altered after it was written (its header's hash differs)")
    if path.name != shard_file(tuple(header["epochs"])):
        raise damaged(path, f"holds epochs {header['epochs']}, which its name does not say")
    return header


class LabelStore:
    """Epochs 0 to `epochs` - 1 of a store, memory-mapped; made by `open_store`."""

    def __init__(self, folder: Path, origin: Origin, rows: Mapping[int, _Row]) -> None:
        self.folder, self.origin = folder, origin
        self.epochs = len(rows)
        self._rows = rows
        self._open: tuple[Path, Any] | None = None

    def epoch(self, epoch: int) -> dict[str, Tensor]:
        """The stored tensors of one epoch, [N, ...] on the CPU in their own memory, checked.

        `scdd.labels.replay` makes views and logits of them. Raises ScddError, naming the shard,
        where its bytes are not those that were written.
        """
        at = self._rows[epoch]
        if self._open is None or self._open[0] != at.path:
            self._open = (at.path, safe_open(at.path, framework="pt"))
        file = self._open[1]
        try:
            held = {name: file.get_slice(name)[at.row].clone() for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, IndexError) as error:
            raise damaged(at.path, f"has no whole epoch {epoch} ({error})") from None
        if content_hash(held) != at.sealed:
            what = f"was altered after it was written (epoch {epoch}'s hash differs)"
            raise damaged(at.path, what)
        return held

    def check_drawn(self, epoch: int, views: Mapping[str, Tensor]) -> None:
        """Raises ScddError, naming the shard, where `views`, drawn again, are not those that the
        teacher saw."""
        at, found = self._rows[epoch], content_hash(views)
        if found != at.drawn:
            raise ScddError(
                f"{at.path}: the views of epoch {epoch} were drawn anew and differ from those that "
                f"were labelled ({found[:16]}, not {str(at.drawn)[:16]}). Other versions of torch "
                "and numpy may draw other numbers: delete the file and run snakemake again, and "
                "keep views: stored where stores outlive an installation."
            )


def _same_origin(one: Origin, other: Origin) -> bool:
    """Whether two shards are of one store; an old one does not tell all."""
    pairs = [(getattr(one, f.name), getattr(other, f.name)) for f in fields(Origin)]
    return all(a == b or None in (a, b) for a, b in pairs)


def stored_epochs(folder: Path) -> int:
    """How many epochs the store in `folder` reaches to. Raises ScddError where there are none."""
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

    The other arguments are what the caller expects, None accepts any; digest: the store's own,
    which stands for its teacher, transform and form; batch: images a step of the student that will
    be trained. Raises ScddError where a shard is damaged, shards are of different origin, the store
    was made for something else, with another class order or for other batches, or it has too few
    epochs.
    """
    origin = None
    rows: dict[int, _Row] = {}
    for path in sorted(folder.glob("epochs_*.safetensors")):
        header = read_shard_header(path)
        told = {f.name: header[f.name] for f in fields(Origin) if f.name in header}
        found = Origin(**{**told, "classes": tuple(told["classes"])})
        origin = origin or found
        if not _same_origin(found, origin):
            raise ScddError(
                f"{path} ({found.digest}, images {found.images}) does not belong to the other "
                f"shards beside it ({origin.digest}, images {origin.images}). Delete it."
            )
        start, stop = header["epochs"]
        drawn = header.get("drawn_sha256", [None] * (stop - start))
        for row, seals in enumerate(zip(header["epoch_sha256"], drawn, strict=True)):
            rows[start + row] = _Row(path, row, *seals)
    missing = next((epoch for epoch in range(epochs) if epoch not in rows), None)
    if origin is None or missing is not None:
        raise ScddError(
            f"{folder} has no soft labels for epoch {missing}, but {epochs} epochs are asked. "
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
            f"have {resolution}: their crops would be others. Run snakemake to make labels."
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
