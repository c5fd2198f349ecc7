"""Synthetic images: shards by class and slot range, and the set.json that makes a set of them.

A shard is `images` uint8 [n, 3, R, R], the slots [a, a + n) of one class. A set names its shards
one by one, each with its class, slots and hash, so that it can draw on several recoveries.
"""

import hashlib
import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scdd.artifacts import tensors
from scdd.artifacts.classes import class_hash, require_same_classes
from scdd.artifacts.files import damaged, read_json, sha256, write_json, write_text
from scdd.artifacts.slots import Range, checksums_path, shard_path, slot_ranges
from scdd.errors import ScddError


@dataclass(frozen=True)
class ShardEntry:
    """One shard of a set. `path` is relative to the set's folder; `sha256` is the file's."""

    path: str
    name: str
    slots: Range
    sha256: str


@dataclass(frozen=True)
class SetInfo:
    """A set without its pixels. `content` is the hash over class order and all pixels used.

    mean, std: by channel in [0, 1], that networks want its images normalised by; None in files
    written before they were kept.
    """

    method: str
    digest: str
    classes: tuple[str, ...]
    ipc: int
    resolution: int
    content: str
    shards: tuple[ShardEntry, ...]
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


@dataclass(frozen=True)
class ImageSet:
    """Images uint8 [N, 3, R, R] and labels int64 [N] (CPU), N = classes * ipc.

    Class-major: slot s of class c is image c * ipc + s.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    ipc: int
    method: str
    content: str


class MappedImages:
    """The images of a set, left in their files: uint8 [N, 3, R, R], read as they are used.

    Image i is row `rows[i]` of the shard `shards[i]`, which is memory-mapped.
    """

    def __init__(self, shards: list[Tensor], rows: list[int]) -> None:
        self.shards, self.rows = shards, rows

    def __len__(self) -> int:
        return len(self.rows)

    def gather(self, index: Tensor, *, pinned: bool = False) -> Tensor:
        """A copy of the images of `index`, int64 [b]: uint8 [b, 3, R, R] on the CPU. pinned: in
        memory from which a GPU can take them while it works."""
        images = [self.shards[i][self.rows[i]] for i in index.tolist()]
        made = torch.empty(len(images), *images[0].shape, dtype=torch.uint8, pin_memory=pinned)
        return torch.stack(images, out=made)


def save_shard(
    folder: Path,
    slots: Range,
    classes: Sequence[str],
    index: int,
    images: Tensor,
    *,
    record: Mapping[str, Any],
) -> None:
    """Write the images uint8 [n, 3, R, R] of class `index` to its place below `folder`.

    Fewer images than slots say that no more exist. `record` (digest, seed, env and what else made
    the images) goes into the header.
    """
    header = {
        "kind": "shard",
        "class": classes[index],
        "index": index,
        "class_hash": class_hash(classes),
        "slots": [slots[0], slots[0] + len(images)],
        "resolution": images.shape[-1],
        **record,
    }
    tensors.save(shard_path(folder, slots, index), {"images": images}, header)


def save_shards(
    folder: Path,
    slots: Range,
    classes: Sequence[str],
    block: Range,
    images: Iterable[Tensor],
    *,
    record: Mapping[str, Any],
) -> None:
    """Write all shards of a job, then its last file: their hashes, as `sha256sum -c` reads them.

    images: of each class of the `block`, in order, as `save_shard` takes them.
    """
    for index, of_class in zip(range(*block), images, strict=True):
        save_shard(folder, slots, classes, index, of_class, record=record)
    shards = [shard_path(folder, slots, index) for index in range(*block)]
    lines = [f"{sha256(shard)}  {shard.name}\n" for shard in shards]
    write_text(checksums_path(folder, slots, block), "".join(lines))


def _wrong(shard: Path, what: str, *made_of_it: Path) -> ScddError:
    """Names the shard, and all that must go for the workflow to see that it is to be remade."""
    lists = shard.parent.glob("shards_*.sha256")
    checksums = [file for file in lists if shard.name in file.read_text()]
    files = " ".join(str(file) for file in (shard, *checksums, *made_of_it))
    return ScddError(f"{shard} {what}. To remake it: rm -f {files}, then run snakemake again.")


def _check(path: Path, header: Mapping[str, Any], name: str, classes: Sequence[str]) -> None:
    """Raises ScddError unless the header is that of a shard of class `name` in this order."""
    found = (header.get("kind"), header.get("class"), header.get("class_hash"))
    wanted = ("shard", name, class_hash(classes))
    if found != wanted:
        raise _wrong(path, f"holds {found}, but {wanted} (kind, class, class order) is needed")


def _hash_start(classes: Sequence[str]) -> "hashlib._Hash":
    return hashlib.sha256(json.dumps(list(classes)).encode())


def make_set(
    path: Path,
    source: Path,
    classes: Sequence[str],
    *,
    ipc: int,
    resolution: int,
    method: str,
    digest: str,
    made_by: Collection[str],
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
) -> SetInfo:
    """Write the set.json at `path` of the first `ipc` slots of all classes below `source`.

    made_by: digests, of which every shard must have one. Raises ScddError, naming the shard, where
    one is missing, damaged, of another class order or artifact, or has too few images.
    """
    content = _hash_start(classes)
    shards = []
    for index, name in enumerate(classes):
        for first, end in slot_ranges(ipc):
            shard = shard_path(source, (first, end), index)
            try:
                held, header = tensors.load(shard)
            except ScddError:
                raise _wrong(shard, "is missing, truncated or altered") from None
            _check(shard, header, name, classes)
            if header["digest"] not in made_by:
                raise _wrong(shard, f"is of artifact {header['digest']}, not of {list(made_by)}")
            used, images = min(end, ipc) - first, held["images"]
            if header["slots"][0] != first or images.shape[1:] != (3, resolution, resolution):
                shape = tuple(images.shape)
                raise _wrong(shard, f"has slots {header['slots']} and images of shape {shape}")
            if len(images) < used:
                raise ScddError(
                    f"{shard}: class {name!r} has {first + len(images)} images, but ipc is {ipc}. "
                    "Lower ipc."
                )
            content.update(images[:used].numpy().tobytes())
            relative = Path(os.path.relpath(shard.resolve(), path.parent.resolve())).as_posix()
            slots = (header["slots"][0], header["slots"][1])
            shards.append(ShardEntry(relative, name, slots, sha256(shard)))
    info = SetInfo(
        method,
        digest,
        tuple(classes),
        ipc,
        resolution,
        content.hexdigest(),
        tuple(shards),
        mean,
        std,
    )
    write_json(path, {"kind": "images", **asdict(info), "class_hash": class_hash(classes)})
    return info


def open_set(path: Path) -> SetInfo:
    """The set without its pixels. Raises ScddError where set.json is missing or damaged."""
    fields = read_json(path)
    try:
        kind, stated = fields.pop("kind"), fields.pop("class_hash")
        shards = tuple(
            ShardEntry(**{**entry, "slots": tuple(entry["slots"])}) for entry in fields["shards"]
        )
        for name in ("classes", "mean", "std"):
            fields[name] = tuple(fields[name]) if fields.get(name) is not None else None
        info = SetInfo(**{**fields, "shards": shards})
    except (KeyError, TypeError, AttributeError) as error:
        raise damaged(path, f"is no image set of scdd ({error})") from None
    if kind != "images" or class_hash(info.classes) != stated:
        raise damaged(path, "has a class list that does not fit its hash")
    return info


def _shard(path: Path, entry: ShardEntry, info: SetInfo) -> Tensor:
    """A shard's images, memory-mapped, after a look at the whole file."""
    shard = path.parent / entry.path
    if not shard.exists() or sha256(shard) != entry.sha256:
        what = "is truncated, altered or remade" if shard.exists() else "does not exist"
        raise _wrong(shard, f"{what} since its image set was made", path)
    held, header = tensors.load_mapped(shard)
    _check(shard, header, entry.name, info.classes)
    if tuple(header["slots"]) != entry.slots:
        raise _wrong(shard, f"has slots {header['slots']}, not {list(entry.slots)}", path)
    return held["images"]


def _parts(
    path: Path, info: SetInfo, classes: Sequence[str], ipc: int
) -> Iterator[tuple[int, int, Tensor]]:
    """The first `ipc` images of `classes`, shard by shard: where they begin in the class-major
    order, how many they are, and a memory-mapped tensor that begins with them.

    Reads no other shard. Raises ScddError where an image is named by none.
    """
    place = {name: index for index, name in enumerate(classes)}
    filled = torch.zeros(len(classes), ipc, dtype=torch.bool)
    for entry in info.shards:
        first, end = entry.slots[0], min(entry.slots[1], ipc)
        if entry.name in place and first < end:
            filled[place[entry.name], first:end] = True
            yield place[entry.name] * ipc + first, end - first, _shard(path, entry, info)
    if not bool(filled.all()):
        missing = int((~filled).sum())
        raise damaged(path, f"names no shard for {missing} of its images")


def _pixels(
    path: Path, info: SetInfo, classes: Sequence[str], ipc: int, device: torch.device | str = "cpu"
) -> Tensor:
    """The first `ipc` images of `classes` on the device, uint8 [classes * ipc, 3, R, R]."""
    shape = (len(classes) * ipc, 3, info.resolution, info.resolution)
    images = torch.empty(shape, dtype=torch.uint8, device=device)
    for start, count, part in _parts(path, info, classes, ipc):
        images[start : start + count] = part[:count]
    return images


def _opened(
    path: Path, classes: Sequence[str] | None, classes_of: object, digest: str | None
) -> SetInfo:
    """The set, after a look at whether it is the one that the caller expects."""
    info = open_set(path)
    if digest is not None and info.digest != digest:
        raise damaged(path, f"is of artifact {info.digest}, not of {digest}")
    if classes is not None:
        require_same_classes(info.classes, path, classes, classes_of)
    return info


def labels_of(info: SetInfo) -> Tensor:
    """int64 [N]: the place of each image's class in the class order."""
    return torch.arange(len(info.classes)).repeat_interleave(info.ipc)


def load_set(
    path: Path,
    classes: Sequence[str] | None = None,
    classes_of: object = "the dataset",
    digest: str | None = None,
    device: torch.device | str = "cpu",
) -> ImageSet:
    """All images of the set.json at `path`, on the device, read shard by shard; `classes` and
    `digest` are what the caller expects.

    Raises ScddError, naming the file, where the set or a shard is missing, truncated, altered, or
    of another artifact, class order or slot range.
    """
    info = _opened(path, classes, classes_of, digest)
    images = _pixels(path, info, info.classes, info.ipc, device)
    return ImageSet(images, labels_of(info), info.classes, info.ipc, info.method, info.content)


def map_set(
    path: Path,
    classes: Sequence[str] | None = None,
    classes_of: object = "the dataset",
    digest: str | None = None,
) -> MappedImages:
    """The images that `load_set` loads, in the same order, left in their files.

    All files are read once, to compare their hashes. Raises as `load_set` does.
    """
    info = _opened(path, classes, classes_of, digest)
    count = len(info.classes) * info.ipc
    shards: list[Tensor] = [torch.empty(0)] * count
    rows = [0] * count
    for start, length, part in _parts(path, info, info.classes, info.ipc):
        shards[start : start + length] = [part] * length
        rows[start : start + length] = range(length)
    return MappedImages(shards, rows)


def class_images(path: Path, info: SetInfo, name: str) -> Tensor:
    """The images uint8 [ipc, 3, R, R] of one class of the set at `path`, whose content is `info`.

    Raises as `load_set` does.
    """
    return _pixels(path, info, [name], info.ipc)


def load_corner(path: Path, classes: int, ipc: int) -> tuple[tuple[str, ...], Tensor]:
    """Names of the first `classes` classes and their first `ipc` images, for a look at a set.

    Images uint8 [classes, ipc, 3, R, R], fewer where there are fewer. Raises as `load_set` does.
    """
    info = open_set(path)
    names = info.classes[:classes]
    ipc = min(ipc, info.ipc)
    images = _pixels(path, info, names, ipc)
    return names, images.reshape(len(names), ipc, *images.shape[1:])
