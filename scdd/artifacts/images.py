"""Image sets: a set.json that names shards, and the images that it stands for.

A set names its shards one by one, each with its class, slots and hash, so that it can combine
several recoveries. Of shards with learned images it also says which of their tensors students
train on: the 8-bit images or the floats.
"""

import hashlib
import json
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor

from scdd.artifacts import tensors
from scdd.artifacts.classes import class_hash, places, require_same_classes
from scdd.artifacts.files import damaged, read_json, require_digest, sha256, write_json
from scdd.artifacts.shards import bad_shard, check_shard
from scdd.artifacts.slots import Range, shard_path, slot_ranges
from scdd.errors import ScddError
from scdd.params.data import Pixels


@dataclass(frozen=True)
class ShardEntry:
    """A shard in a set: its class `name` and the half-open range of the set's slots that it fills,
    from its first image on; `path` is relative to the set's folder; `sha256` is the file's. own:
    the shard's own slots, where they are others than those that it fills; None: the same."""

    path: str
    name: str
    slots: Range
    sha256: str
    own: Range | None = None


@dataclass(frozen=True)
class WhiteningEntry:
    """The whitening.safetensors of a set: `path` is relative to the set's folder; `sha256` is the
    file's."""

    path: str
    sha256: str


@dataclass(frozen=True)
class SetInfo:
    """set.json: a set without its pixels. `content` is the hash of class order, all pixels used,
    and learned labels.

    mean, std: by channel in [0, 1], for normalising the images; None where the file has none.
    pixels: what the numbers of its images are. whitening: the space in which its students train and
    are tested; None: the normalised one. 8-bit images of such a set are whitened when they are
    read. student_lr: the students' learned learning rate, None if none was learned. labelled:
    whether its shards have learned labels. among: the dataset's classes, in order, where the set
    has images of some of them alone; None: `classes` are all.
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
    whitening: WhiteningEntry | None = None
    student_lr: float | None = None
    labelled: bool = False
    among: tuple[str, ...] | None = None

    @property
    def all_classes(self) -> tuple[str, ...]:
        """Those of the dataset, in order, by which the shards are numbered."""
        return self.among or self.classes

    @property
    def chosen(self) -> list[int] | None:
        """The indices of its classes among the dataset's; None: it has all."""
        return None if self.among is None else places(self.classes, self.among)


@dataclass(frozen=True)
class ImageSet:
    """Images [N, 3, R, R], uint8 or, as they were learned, float32; and labels int64 [N] (CPU);
    N = classes * ipc.

    Image c * ipc + s is slot s of class c. learned: learned labels float32 [N, classes], on the
    images' device; None if the set has none.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    ipc: int
    method: str
    content: str
    learned: Tensor | None = None


class MappedImages:
    """The images of a set in their files, uint8 or float32 [N, 3, R, R], read when they are used.

    Image i is row `rows[i]` of the memory-mapped shard `shards[i]`. learned: learned labels float32
    [N, classes], in memory; None if the set has none.
    """

    def __init__(
        self, shards: list[Tensor], rows: list[int], learned: Tensor | None = None
    ) -> None:
        self.shards, self.rows, self.learned = shards, rows, learned

    def __len__(self) -> int:
        return len(self.rows)

    def gather(self, index: Tensor, *, pinned: bool = False) -> Tensor:
        """A copy of the images of `index` int64 [b]: [b, 3, R, R] on the CPU. pinned: in
        page-locked memory, from which copies to a GPU do not block."""
        images = [self.shards[i][self.rows[i]] for i in index.tolist()]
        shape, dtype = images[0].shape, images[0].dtype
        batch = torch.empty(len(images), *shape, dtype=dtype, pin_memory=pinned)
        return torch.stack(images, out=batch)


def _tensor(pixels: Pixels) -> str:
    """The tensor of a shard that has a set's pixels."""
    return "images" if pixels == "uint8" else "floats"


def _hash_start(classes: Sequence[str]) -> "hashlib._Hash":
    return hashlib.sha256(json.dumps(list(classes)).encode())


def content_of(classes: Sequence[str], images: Tensor) -> str:
    """What a set.json of the 8-bit images uint8 [classes, ipc, 3, R, R] (CPU) has as `content`."""
    content = _hash_start(classes)
    content.update(images.contiguous().numpy().tobytes())
    return content.hexdigest()


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
    whitening: Path | None = None,
    last: tuple[Path, int] | None = None,
    only: Sequence[str] | None = None,
) -> SetInfo:
    """Write the set.json at `path` of `ipc` images of each class: the first ones of the shards
    below the folder `source`.

    sources: digests of the artifacts that shards may come from. whitening: the file of the space
    that students shall train in; None: the normalised one. last: a second folder, and how many of
    its first images fill the set's last slots; None: all are from `source`. only: those of the
    `classes` that the set has; None: all. Raises ScddError, naming the shard, where it is missing,
    damaged, of another class order or artifact, has too few images, lacks `pixels`, or has other
    learned things than the first.
    """
    used_classes = tuple(classes if only is None else only)
    content = _hash_start(used_classes)
    shards = []
    learned: tuple[float | None, bool] | None = None
    begin = ipc if last is None else ipc - last[1]
    fillings = [(source, 0, begin)] + ([] if last is None else [(last[0], begin, last[1])])
    for index, name in zip(places(used_classes, classes), used_classes, strict=True):
        for folder, at, count, (first, end) in _ranges(fillings):
            shard = shard_path(folder, (first, end), index)
            try:
                parts, header = tensors.load(shard)
            except ScddError:
                raise bad_shard(shard, "is missing, truncated or altered") from None
            check_shard(shard, header, name, classes)
            if (maker := header["digest"]) not in sources:
                raise bad_shard(shard, f"is of artifact {maker}, not of {list(sources)}")
            if _tensor(pixels) not in parts:
                raise ScddError(f"{shard} has 8-bit images alone, so pixels cannot be {pixels}.")
            used, images = min(end, count) - first, parts[_tensor(pixels)]
            if header["slots"][0] != first or images.shape[1:] != (3, resolution, resolution):
                shape = tuple(images.shape)
                raise bad_shard(shard, f"has slots {header['slots']} and images of shape {shape}")
            things = header.get("student_lr"), "labels" in parts
            if learned not in (None, things):
                what = f"{things}, but those before it have {learned}"
                raise bad_shard(shard, f"has (learned learning rate, learned labels) {what}")
            learned = things
            if things[1] and parts["labels"].shape != (len(images), len(classes)):
                raise bad_shard(shard, f"has learned labels {list(parts['labels'].shape)}")
            if len(images) < used:
                asked = f"ipc is {ipc}" if last is None else f"{count} of them are needed"
                raise ScddError(
                    f"{shard}: class {name!r} has {first + len(images)} images, but {asked}. "
                    "Lower ipc."
                )
            content.update(images[:used].numpy().tobytes())
            if "labels" in parts:
                content.update(parts["labels"][:used].numpy().tobytes())
            own = (header["slots"][0], header["slots"][1])
            slots = own if last is None else (at + first, at + first + used)
            where = _relative(shard, path), name, slots, sha256(shard)
            shards.append(ShardEntry(*where, None if slots == own else own))
    space = (
        None if whitening is None else WhiteningEntry(_relative(whitening, path), sha256(whitening))
    )
    info = SetInfo(
        method,
        digest,
        used_classes,
        ipc,
        resolution,
        content.hexdigest(),
        tuple(shards),
        mean,
        std,
        pixels,
        space,
        *(learned or (None, False)),
        among=None if only is None else tuple(classes),
    )
    _write(path, info)
    return info


def _write(path: Path, info: SetInfo) -> None:
    """What most sets do not need is left out."""
    fields = {"kind": "images", **asdict(info), "class_hash": class_hash(info.classes)}
    for part, name in [(fields, "among"), *((entry, "own") for entry in fields["shards"])]:
        if part[name] is None:
            del part[name]
    write_json(path, fields)


def _ranges(
    fillings: Sequence[tuple[Path, int, int]],
) -> Iterator[tuple[Path, int, int, Range]]:
    """Each range of slots of the folders that fill a set: the folder, the set's slot of its first
    image, how many of its images are used, and the range."""
    for folder, at, count in fillings:
        for slots in slot_ranges(count):
            yield folder, at, count, slots


def _relative(file: Path, path: Path) -> str:
    """The path of `file` from the folder of the set.json at `path`."""
    return Path(os.path.relpath(file.resolve(), path.parent.resolve())).as_posix()


def open_set(path: Path) -> SetInfo:
    """The set.json at `path`. Raises ScddError where it is missing or damaged."""
    fields = read_json(path)
    try:
        kind, stated = fields.pop("kind"), fields.pop("class_hash")
        shards = tuple(_entry(entry) for entry in fields["shards"])
        for name in ("classes", "mean", "std", "among"):
            fields[name] = tuple(fields[name]) if fields.get(name) is not None else None
        if fields.get("whitening") is not None:
            fields["whitening"] = WhiteningEntry(**fields["whitening"])
        info = SetInfo(**{**fields, "shards": shards})
    except (KeyError, TypeError, AttributeError) as error:
        raise damaged(path, f"is not an image set of scdd ({error})") from None
    if kind != "images" or class_hash(info.classes) != stated:
        raise damaged(path, "has a class list that does not fit its hash")
    if info.pixels not in get_args(Pixels):
        raise ScddError(
            f"{path}: its pixels are {info.pixels!r}, which this version of scdd does not read."
        )
    if info.pixels != "uint8" and (info.pixels == "zca") != (info.whitening is not None):
        names = "no whitening" if info.whitening is None else "a whitening"
        raise damaged(path, f"has {info.pixels} pixels, but names {names}")
    return info


def _entry(fields: dict[str, Any]) -> ShardEntry:
    for name in {"slots", "own"} & fields.keys():
        fields[name] = tuple(fields[name])
    return ShardEntry(**fields)


def whitening_of(path: Path, info: SetInfo) -> Path | None:
    """The whitening.safetensors of the set.json at `path`, None for a set without.

    Raises ScddError where the file is missing, or is not the one that the set was made with.
    """
    if info.whitening is None:
        return None
    file = path.parent / info.whitening.path
    if not file.exists() or sha256(file) != info.whitening.sha256:
        what = "is altered or remade" if file.exists() else "does not exist"
        raise ScddError(
            f"{file} {what}, but {path} was made with it. To make both again: "
            f"rm -f {file} {path}, then run snakemake again."
        )
    return file


def _shard(path: Path, entry: ShardEntry, info: SetInfo) -> dict[str, Tensor]:
    """A shard's memory-mapped tensors; the whole file is read once to check its hash."""
    shard = path.parent / entry.path
    if not shard.exists() or sha256(shard) != entry.sha256:
        what = "is truncated, altered or remade" if shard.exists() else "does not exist"
        raise bad_shard(shard, f"{what} since its image set was made", path)
    parts, header = tensors.load_mapped(shard)
    check_shard(shard, header, entry.name, info.all_classes)
    own = entry.own or entry.slots
    if tuple(header["slots"]) != own:
        raise bad_shard(shard, f"has slots {header['slots']}, not {list(own)}", path)
    return parts


def _parts(
    path: Path, info: SetInfo, classes: Sequence[str], ipc: int, names: Sequence[str]
) -> Iterator[tuple[int, int, list[Tensor]]]:
    """The first `ipc` images of `classes`, shard by shard: the place of the first image in the
    result, how many there are, and the memory-mapped tensors `names`, which begin with them.

    Reads no other shard. Raises ScddError where shards, or tensors of one, are missing.
    """
    place = {name: index for index, name in enumerate(classes)}
    filled = torch.zeros(len(classes), ipc, dtype=torch.bool)
    for entry in info.shards:
        first, end = entry.slots[0], min(entry.slots[1], ipc)
        if entry.name in place and first < end:
            filled[place[entry.name], first:end] = True
            parts = _shard(path, entry, info)
            if not parts.keys() >= set(names):
                raise damaged(path, f"needs {' and '.join(names)}, which {entry.path} lacks")
            yield (
                place[entry.name] * ipc + first,
                end - first,
                [parts[name] for name in names],
            )
    if not bool(filled.all()):
        missing = int((~filled).sum())
        raise damaged(path, f"has no shard for {missing} of its images")


def _joined(
    path: Path,
    info: SetInfo,
    classes: Sequence[str],
    ipc: int,
    names: Sequence[str] = ("images",),
    device: torch.device | str = "cpu",
) -> list[Tensor]:
    """The tensors `names` of the first `ipc` images of `classes` on the device, each
    [classes * ipc, ...]."""
    whole: list[Tensor] = []
    for start, count, parts in _parts(path, info, classes, ipc, names):
        if not whole:
            shapes = [(len(classes) * ipc, *part.shape[1:]) for part in parts]
            kinds = [part.dtype for part in parts]
            whole = [
                torch.empty(shape, dtype=dtype, device=device)
                for shape, dtype in zip(shapes, kinds, strict=True)
            ]
        for tensor, part in zip(whole, parts, strict=True):
            tensor[start : start + count] = part[:count]
    return whole


def _used(info: SetInfo) -> list[str]:
    """The tensors of a set's shards that students train on: its pixels, then its learned labels,
    if any."""
    return [_tensor(info.pixels), *["labels"] * info.labelled]


def _opened(
    path: Path, classes: Sequence[str] | None, classes_of: object, digest: str | None
) -> SetInfo:
    """The set.json at `path`, checked to have the classes and digest that the caller expects."""
    info = open_set(path)
    require_digest(path, info.digest, digest)
    if classes is not None:
        require_same_classes(info.all_classes, path, classes, classes_of)
    return info


def _of_its_classes(learned: Tensor, info: SetInfo) -> Tensor:
    """The learned labels float32 [n, all classes] of a set, as shards have them, for its classes
    alone: [n, classes], each row with the sum 1 again."""
    if info.chosen is None:
        return learned
    own = learned[:, info.chosen]
    return own / own.sum(1, keepdim=True)


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
    """All images of the set.json at `path`, as its `pixels` say, on the device, read shard by
    shard.

    classes, digest: the dataset's classes, of which the set may have some alone, and the set's
    digest, as the caller expects them; None accepts any. classes_of: what a message calls the
    source of `classes`.

    Raises ScddError, naming the file, where the set or a shard is missing, truncated, altered, or
    of another artifact, class order or slot range.
    """
    info = _opened(path, classes, classes_of, digest)
    images, *learned = _joined(path, info, info.classes, info.ipc, _used(info), device)
    learned = [_of_its_classes(labels, info) for labels in learned]
    return ImageSet(
        images,
        labels_of(info),
        info.classes,
        info.ipc,
        info.method,
        info.content,
        *learned,
    )


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
    learned = torch.zeros(count, len(info.all_classes)) if info.labelled else None
    for start, length, parts in _parts(path, info, info.classes, info.ipc, _used(info)):
        shards[start : start + length] = [parts[0]] * length
        rows[start : start + length] = range(length)
        if learned is not None:
            learned[start : start + length] = parts[1][:length]
    return MappedImages(shards, rows, None if learned is None else _of_its_classes(learned, info))


def class_images(path: Path, info: SetInfo, name: str) -> Tensor:
    """The images uint8 [ipc, 3, R, R] of class `name` in the set.json at `path`, read as `info`:
    the 8-bit images, whatever its `pixels` are.

    Raises ScddError as `load_set` does.
    """
    (images,) = _joined(path, info, [name], info.ipc)
    return images


def load_corner(path: Path, classes: int, ipc: int) -> tuple[tuple[str, ...], Tensor]:
    """Names of the first `classes` classes of a set, and their first `ipc` 8-bit images, uint8
    [classes, ipc, 3, R, R]; fewer where there are fewer. Raises ScddError as `load_set` does.
    """
    info = open_set(path)
    names = info.classes[:classes]
    ipc = min(ipc, info.ipc)
    (images,) = _joined(path, info, names, ipc)
    return names, images.reshape(len(names), ipc, *images.shape[1:])
