"""Image sets: a set.json that names shards, and the images that it stands for.

A set names its shards one by one, each with its class, slots and hash, so that it can combine
several recoveries.
"""

import hashlib
import json
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_args

import torch
from torch import Tensor

from scdd.artifacts import tensors
from scdd.artifacts.classes import class_hash, require_same_classes
from scdd.artifacts.files import damaged, read_json, require_digest, sha256, write_json
from scdd.artifacts.shards import bad_shard, check_shard
from scdd.artifacts.slots import Range, shard_path, slot_ranges
from scdd.errors import ScddError
from scdd.params.data import Pixels


@dataclass(frozen=True)
class ShardEntry:
    """A shard in a set: its class `name` and half-open range of slots; `path` is relative to the
    set's folder; `sha256` is the file's."""

    path: str
    name: str
    slots: Range
    sha256: str


@dataclass(frozen=True)
class SetInfo:
    """set.json: a set without its pixels. `content` is the hash of class order and all pixels used.

    mean, std: by channel in [0, 1], for normalising the images; None where the file has none.
    pixels: what the numbers of its images are.
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
    pixels: Pixels = "uint8"


@dataclass(frozen=True)
class ImageSet:
    """Images uint8 [N, 3, R, R] and labels int64 [N] (CPU), N = classes * ipc.

    Image c * ipc + s is slot s of class c.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    ipc: int
    method: str
    content: str


class MappedImages:
    """The images of a set in their files, uint8 [N, 3, R, R], read when they are used.

    Image i is row `rows[i]` of the memory-mapped shard `shards[i]`.
    """

    def __init__(self, shards: list[Tensor], rows: list[int]) -> None:
        self.shards, self.rows = shards, rows

    def __len__(self) -> int:
        return len(self.rows)

    def gather(self, index: Tensor, *, pinned: bool = False) -> Tensor:
        """A copy of the images of `index` int64 [b]: uint8 [b, 3, R, R] on the CPU. pinned: in
        page-locked memory, from which copies to a GPU do not block."""
        images = [self.shards[i][self.rows[i]] for i in index.tolist()]
        batch = torch.empty(len(images), *images[0].shape, dtype=torch.uint8, pin_memory=pinned)
        return torch.stack(images, out=batch)


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
    sources: Collection[str],
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    pixels: Pixels = "uint8",
) -> SetInfo:
    """Write the set.json at `path` of the first `ipc` slots of all classes, from the shards below
    the folder `source`.

    sources: digests of the artifacts that shards may come from. Raises ScddError, naming the shard,
    where it is missing, damaged, of another class order or artifact, or has too few images.
    """
    content = _hash_start(classes)
    shards = []
    for index, name in enumerate(classes):
        for first, end in slot_ranges(ipc):
            shard = shard_path(source, (first, end), index)
            try:
                parts, header = tensors.load(shard)
            except ScddError:
                raise bad_shard(shard, "is missing, truncated or altered") from None
            check_shard(shard, header, name, classes)
            if (maker := header["digest"]) not in sources:
                raise bad_shard(shard, f"is of artifact {maker}, not of {list(sources)}")
            used, images = min(end, ipc) - first, parts["images"]
            if header["slots"][0] != first or images.shape[1:] != (3, resolution, resolution):
                shape = tuple(images.shape)
                raise bad_shard(shard, f"has slots {header['slots']} and images of shape {shape}")
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
        pixels,
    )
    write_json(path, {"kind": "images", **asdict(info), "class_hash": class_hash(classes)})
    return info


def open_set(path: Path) -> SetInfo:
    """The set.json at `path`. Raises ScddError where it is missing or damaged."""
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
        raise damaged(path, f"is not an image set of scdd ({error})") from None
    if kind != "images" or class_hash(info.classes) != stated:
        raise damaged(path, "has a class list that does not fit its hash")
    if info.pixels not in get_args(Pixels):
        raise ScddError(
            f"{path}: its pixels are {info.pixels!r}, which this version of scdd does not read."
        )
    return info


def _shard(path: Path, entry: ShardEntry, info: SetInfo) -> Tensor:
    """A shard's memory-mapped images; the whole file is read once to check its hash."""
    shard = path.parent / entry.path
    if not shard.exists() or sha256(shard) != entry.sha256:
        what = "is truncated, altered or remade" if shard.exists() else "does not exist"
        raise bad_shard(shard, f"{what} since its image set was made", path)
    parts, header = tensors.load_mapped(shard)
    check_shard(shard, header, entry.name, info.classes)
    if tuple(header["slots"]) != entry.slots:
        raise bad_shard(shard, f"has slots {header['slots']}, not {list(entry.slots)}", path)
    return parts["images"]


def _parts(
    path: Path, info: SetInfo, classes: Sequence[str], ipc: int
) -> Iterator[tuple[int, int, Tensor]]:
    """The first `ipc` images of `classes`, shard by shard: the place of the first image in the
    result, how many there are, and a memory-mapped tensor that begins with them.

    Reads no other shard. Raises ScddError where shards are missing for some images.
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
        raise damaged(path, f"has no shard for {missing} of its images")


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
    """The set.json at `path`, checked to have the classes and digest that the caller expects."""
    info = open_set(path)
    require_digest(path, info.digest, digest)
    if classes is not None:
        require_same_classes(info.classes, path, classes, classes_of)
    return info


def labels_of(info: SetInfo) -> Tensor:
    """int64 [N]: the class index of each image."""
    return torch.arange(len(info.classes)).repeat_interleave(info.ipc)


def load_set(
    path: Path,
    classes: Sequence[str] | None = None,
    classes_of: object = "the dataset",
    digest: str | None = None,
    device: torch.device | str = "cpu",
) -> ImageSet:
    """All images of the set.json at `path`, on the device, read shard by shard.

    classes, digest: what the caller expects; None accepts any. classes_of: what a message calls the
    source of `classes`.

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
    """The images that `load_set` loads, in the same order, but left in their files.

    All files are read once to check their hashes. Raises ScddError as `load_set` does.
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
    """The images uint8 [ipc, 3, R, R] of class `name` in the set.json at `path`, read as `info`.

    Raises ScddError as `load_set` does.
    """
    return _pixels(path, info, [name], info.ipc)


def load_corner(path: Path, classes: int, ipc: int) -> tuple[tuple[str, ...], Tensor]:
    """Names of the first `classes` classes of a set, and their first `ipc` images, uint8
    [classes, ipc, 3, R, R]; fewer where there are fewer. Raises ScddError as `load_set` does.
    """
    info = open_set(path)
    names = info.classes[:classes]
    ipc = min(ipc, info.ipc)
    images = _pixels(path, info, names, ipc)
    return names, images.reshape(len(names), ipc, *images.shape[1:])
