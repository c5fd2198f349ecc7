"""The soft-label store: a folder of shards, each a range of epochs, read one epoch at a time.

A shard is one safetensors file. For its E epochs, N images and C classes it holds `crop` int16
[E, N, 4], `flip` bool [E, N], `partner` int32 [E, N], `lam` float32 [E, N], `box` int16 [E, N, 4]
and `logits` float16 [E, N, C], the teacher's before softmax: 25 + 2C bytes an image and epoch.
A store can be tens of GB, so it has a hash for each epoch, checked when the epoch is read, in
place of one for the file.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from scdd.artifacts.classes import class_hash, require_same_classes
from scdd.artifacts.files import damaged, replacing
from scdd.artifacts.slots import Range, range_name
from scdd.artifacts.tensors import KEY, content_hash, read_header
from scdd.errors import ScddError

NAMES = ("crop", "flip", "partner", "lam", "box", "logits")


@dataclass(frozen=True)
class Origin:
    """What a store's labels were made of: the same in all its shards.

    digest: the store's own; images: the image set's content hash; teacher: the checkpoint's
    digest; transform: view, mix and alpha; form: how logits are stored.
    """

    digest: str
    images: str
    classes: tuple[str, ...]
    teacher: str
    transform: dict[str, Any]
    form: str
    seed: int


def shard_file(epochs: Range) -> str:
    return f"epochs_{range_name(epochs)}.safetensors"


def _seal(header: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(header, sort_keys=True).encode()).hexdigest()


def save_shard(
    path: Path,
    tensors: Mapping[str, Tensor],
    origin: Origin,
    epochs: Range,
    env: Mapping[str, Any],
) -> None:
    """Write atomically the labels of the half-open range `epochs`; equal input, equal bytes."""
    held = {name: tensors[name].detach().cpu().contiguous() for name in NAMES}
    rows = range(epochs[1] - epochs[0])
    header = {
        "kind": "labels",
        **asdict(origin),
        "classes": list(origin.classes),
        "class_hash": class_hash(origin.classes),
        "epochs": list(epochs),
        "epoch_sha256": [content_hash({name: held[name][e] for name in NAMES}) for e in rows],
        "env": dict(env),
    }
    header["header_sha256"] = _seal(header)
    with replacing(path) as temporary:
        save_file(held, temporary, metadata={KEY: json.dumps(header, sort_keys=True)})


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

    def __init__(self, origin: Origin, shards: Mapping[int, tuple[Path, int, str]]) -> None:
        self.origin = origin
        self.epochs = len(shards)
        self._shards = shards  # by epoch: the shard, the row in it, the row's hash
        self._open: tuple[Path, Any] | None = None

    def epoch(self, epoch: int) -> dict[str, Tensor]:
        """The tensors of one epoch, [N, ...] on the CPU in their own memory, checked.

        Raises ScddError, naming the shard, where its bytes are not those that were written.
        """
        path, row, sealed = self._shards[epoch]
        if self._open is None or self._open[0] != path:
            self._open = (path, safe_open(path, framework="pt"))
        try:
            held = {name: self._open[1].get_slice(name)[row].clone() for name in NAMES}
        except (SafetensorError, IndexError) as error:
            raise damaged(path, f"has no whole epoch {epoch} ({error})") from None
        if content_hash(held) != sealed:
            raise damaged(path, f"was altered after it was written (epoch {epoch}'s hash differs)")
        return held


def open_store(
    folder: Path,
    *,
    epochs: int,
    images: str,
    classes: tuple[str, ...],
    digest: str | None = None,
    teacher: str | None = None,
    transform: Mapping[str, Any] | None = None,
) -> LabelStore:
    """The first `epochs` epochs of the store in `folder`. Reads headers only.

    The other arguments are what the caller expects, None accepts any. Raises ScddError where a
    shard is damaged, shards are of different origin, the store was made for something else or
    with another class order, or it has too few epochs.
    """
    origin = None
    shards: dict[int, tuple[Path, int, str]] = {}
    for path in sorted(folder.glob("epochs_*.safetensors")):
        header = read_shard_header(path)
        fields = {name: header[name] for name in Origin.__dataclass_fields__}
        found = Origin(**{**fields, "classes": tuple(fields["classes"])})
        origin = origin or found
        if found != origin:
            raise ScddError(
                f"{path} ({found.digest}, images {found.images}) does not belong to the other "
                f"shards beside it ({origin.digest}, images {origin.images}). Delete it."
            )
        start, stop = header["epochs"]
        for row, sealed in enumerate(header["epoch_sha256"][: stop - start]):
            shards[start + row] = (path, row, sealed)
    missing = next((epoch for epoch in range(epochs) if epoch not in shards), None)
    if origin is None or missing is not None:
        raise ScddError(
            f"{folder} has no soft labels for epoch {missing}, but {epochs} epochs are asked. "
            "Run snakemake to make them, or train for fewer epochs."
        )
    for what, expected in (
        ("images", images),
        ("digest", digest),
        ("teacher", teacher),
        ("transform", transform),
    ):
        made = getattr(origin, what)
        if expected is not None and made != expected:
            raise ScddError(
                f"{folder} holds labels for {what} {made}, but {what} {expected} is in use. "
                "Labels fit one image set, teacher and transform: run snakemake to make them."
            )
    require_same_classes(origin.classes, folder, classes, "the image set")
    return LabelStore(origin, {epoch: shards[epoch] for epoch in range(epochs)})
