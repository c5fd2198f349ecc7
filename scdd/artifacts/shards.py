"""Shards: files with the images of one class in one slot range, `images` uint8 [n, 3, R, R].

Images that were learned have two tensors more: `floats` float32 [n, 3, R, R], the same images as
they were learned, of which `images` are what people look at; and, where labels were learned too,
`labels` float32 [n, K], probabilities of the classes. Where a learning rate for students was
learned, it is `student_lr` in the header.

A job writes the shards of a class block and, last, their checksums.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any

from torch import Tensor

from scdd.artifacts import tensors
from scdd.artifacts.classes import class_hash
from scdd.artifacts.files import sha256, write_text
from scdd.artifacts.slots import Range, checksums_path, shard_path
from scdd.errors import ScddError


def save_shard(
    folder: Path,
    slots: Range,
    classes: Sequence[str],
    index: int,
    images: Tensor,
    *,
    record: Mapping[str, Any],
    floats: Tensor | None = None,
    labels: Tensor | None = None,
) -> None:
    """Write the images uint8 [n, 3, R, R] of class `index` in `slots` to their file below `folder`.

    Fewer images than slots mean that no more exist. `record` (digest, seed, env and what else made
    the images) goes into the header. floats, labels: of learned images.
    """
    parts = {"images": images, "floats": floats, "labels": labels}
    header = {
        "kind": "shard",
        "class": classes[index],
        "index": index,
        "class_hash": class_hash(classes),
        "slots": [slots[0], slots[0] + len(images)],
        "resolution": images.shape[-1],
        **record,
    }
    held = {name: tensor for name, tensor in parts.items() if tensor is not None}
    tensors.save(shard_path(folder, slots, index), held, header)


def save_shards(
    folder: Path,
    slots: Range,
    classes: Sequence[str],
    block: Range,
    images: Iterable[Tensor],
    *,
    record: Mapping[str, Any],
    floats: Iterable[Tensor | None] = repeat(None),
    labels: Iterable[Tensor | None] = repeat(None),
) -> None:
    """Write the shards of a class block, then their hashes in the format of `sha256sum -c`.

    images, floats, labels: those of each class of the `block`, in order, as `save_shard` takes
    them.
    """
    of_classes = zip(images, floats, labels, strict=False)
    for index, (own, as_learned, learned) in zip(range(*block), of_classes, strict=True):
        save_shard(
            folder, slots, classes, index, own, record=record, floats=as_learned, labels=learned
        )
    shards = [shard_path(folder, slots, index) for index in range(*block)]
    lines = [f"{sha256(shard)}  {shard.name}\n" for shard in shards]
    write_text(checksums_path(folder, slots, block), "".join(lines))


def bad_shard(shard: Path, what: str, *dependents: Path) -> ScddError:
    """The error that `what` is wrong with a shard. It names all files to delete, `dependents` among
    them, so that the workflow makes the shard again."""
    lists = shard.parent.glob("shards_*.sha256")
    checksums = [file for file in lists if shard.name in file.read_text()]
    files = " ".join(str(file) for file in (shard, *checksums, *dependents))
    return ScddError(f"{shard} {what}. To remake it: rm -f {files}, then run snakemake again.")


def check_shard(path: Path, header: Mapping[str, Any], name: str, classes: Sequence[str]) -> None:
    """Raises ScddError unless the header is that of a shard of class `name` in this class order."""
    stated = (header.get("kind"), header.get("class"), header.get("class_hash"))
    needed = ("shard", name, class_hash(classes))
    if stated != needed:
        raise bad_shard(path, f"holds {stated}, but {needed} (kind, class, class order) is needed")
