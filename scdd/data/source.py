"""Reading a dataset's artifact: batches on the device, from memory or from files."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from scdd.artifacts.dataset import DatasetInfo, load_files, load_info, load_split
from scdd.artifacts.images import MappedImages
from scdd.data.decoding import read_rgb
from scdd.views.geometry import fit_boxes

T = TypeVar("T")
DECODERS = 8  # threads that decode image files
AHEAD = 4  # batches read ahead of their use


def as_tensor(image: Image.Image) -> Tensor:
    """An image in mode RGB as uint8 [3, H, W]."""
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).contiguous()


def decode(path: Path, size: int, short: int | None = None) -> Tensor:
    """An image file as `square` makes it. Raises ScddError, naming the file, where `read_rgb`
    refuses it."""
    return square(read_rgb(path), size, short)


def square(image: Image.Image, size: int, short: int | None = None) -> Tensor:
    """An image in mode RGB as uint8 [3, size, size]: its centre square, resized.

    short: resize the shorter side to `short` pixels, then cut out the centre, as torchvision's
    Resize(short) and CenterCrop(size) do.
    """
    width, height = image.size
    if short is not None:
        least = min(width, height)
        width, height = int(short * width / least), int(short * height / least)
        image = image.resize((width, height), Image.Resampling.BILINEAR)
        left, top = round((width - size) / 2), round((height - size) / 2)
        return as_tensor(image.crop((left, top, left + size, top + size)))
    short = min(width, height)
    left, top = (width - short) // 2, (height - short) // 2
    box = (left, top, left + short, top + short)
    if short != size:
        return as_tensor(image.resize((size, size), Image.Resampling.BILINEAR, box=box))
    return as_tensor(image.crop(box))


def decode_crops(path: Path, sizes: Sequence[int], chances: Tensor) -> list[Tensor]:
    """Random resized crops of an image file: uint8 [3, size, size] for each of the `sizes`.

    chances: float32 [crops, ...], as `draw_chances` makes them. Raises ScddError, naming the file,
    where `read_rgb` refuses it.
    """
    image = read_rgb(path)
    boxes = fit_boxes(chances, image.height, image.width).tolist()
    views = []
    for (top, left, height, width), size in zip(boxes, sizes, strict=True):
        # cropped first: resizing a box would also read pixels beside it
        view = image.crop((left, top, left + width, top + height))
        views.append(as_tensor(view.resize((size, size), Image.Resampling.BILINEAR)))
    return views


@dataclass(frozen=True)
class Split:
    """Images with labels int64 [n] (CPU): one split of a dataset, or an image set.

    The images are `pixels` [n, 3, R, R]; or `mapped`, an image set in its files; or `files`, photos
    to decode. They are uint8; those of a learned set may be float32 (`scdd.data.placement`).

    short: the size to which a photo's shorter side is resized before its centre is cut out; None:
    the resolution. convert: what makes pixels of the numbers of a mapped set; None: they are
    pixels. learned: learned labels float32 [n, classes]; None: an image has its class alone.
    """

    labels: Tensor
    pixels: Tensor | None
    files: tuple[Path, ...]
    resolution: int
    short: int | None = None
    mapped: MappedImages | None = None
    convert: Callable[[Tensor], Tensor] | None = None
    learned: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> "Split":
        """The split with its pixels, if it has any, on the device."""
        return self if self.pixels is None else replace(self, pixels=self.pixels.to(device))

    def only(self, classes: Sequence[int]) -> "Split":
        """The images of these classes, which are numbered anew in this order. Not of a set in its
        files."""
        place = torch.full((max(int(self.labels.max()), *classes) + 1,), -1)
        place[list(classes)] = torch.arange(len(classes))
        labels = place[self.labels]
        kept = (labels >= 0).nonzero()[:, 0]
        pixels = None if self.pixels is None else self.pixels[kept.to(self.pixels.device)]
        files = tuple(self.files[index] for index in kept.tolist()) if self.files else ()
        return replace(self, labels=labels[kept], pixels=pixels, files=files)

    def images(self, index: Tensor) -> Tensor:
        """The images of `index` int64 [b]: [b, 3, R, R] on the device of the pixels, or where
        `convert` puts them, else on the CPU."""
        if self.pixels is not None:
            return self.pixels[index.to(self.pixels.device, non_blocking=True)]
        if self.mapped is not None:
            return self._converted(self.mapped.gather(index))
        return torch.stack([self._decode(i) for i in index.tolist()])

    def _converted(self, images: Tensor) -> Tensor:
        return images if self.convert is None else self.convert(images)

    def _decode(self, index: int) -> Tensor:
        return decode(self.files[index], self.resolution, self.short)

    def batches(
        self, order: Tensor, size: int, device: torch.device
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Pairs of index int64 [b] (CPU) and images [b, 3, R, R] (device), in `order`."""
        if self.pixels is not None:
            for index in order.split(size):
                yield index, self.images(index).to(device)
            return
        if self.mapped is not None:
            for index, images in _ahead(self.mapped, order.split(size), device):
                yield index, self._converted(images)
            return

        def decode_at(place: int) -> list[Tensor]:
            return [self._decode(int(order[place]))]

        decoded = self._stacked(len(order), size, decode_at)
        for index, (images,) in zip(order.split(size), decoded, strict=True):
            yield index, images.to(device, non_blocking=True)

    def crops(
        self, order: Tensor, size: int, sizes: Sequence[int], chances: Tensor, device: torch.device
    ) -> Iterator[list[Tensor]]:
        """Batches of random resized crops of image files, in `order`: for each s of `sizes` uint8
        [b, 3, s, s] (device).

        chances: float32 [len(order), len(sizes), ...], as `draw_chances` makes them.
        """

        def cut(place: int) -> list[Tensor]:
            return decode_crops(self.files[order[place]], sizes, chances[place])

        for views in self._stacked(len(order), size, cut):
            yield [view.to(device, non_blocking=True) for view in views]

    def whole(self, order: Tensor, size: int) -> Iterator[Sequence[Tensor]]:
        """Batches of images in their own sizes, uint8 [3, H, W] each, in `order`: those of files as
        they are decoded (CPU), pixels where they are."""
        if self.files:
            yield from _read_ahead(
                len(order), size, lambda place: as_tensor(read_rgb(self.files[order[place]]))
            )
            return
        for index in order.split(size):
            yield list(self.images(index))

    def _stacked(
        self, count: int, size: int, read: Callable[[int], list[Tensor]]
    ) -> Iterator[list[Tensor]]:
        """Stacked batches of what `read` makes of places 0 to `count`, read ahead by threads."""
        for batch in _read_ahead(count, size, read):
            yield [torch.stack(views) for views in zip(*batch, strict=True)]


def _read_ahead(count: int, size: int, read: Callable[[int], T]) -> Iterator[list[T]]:
    """Batches of what `read` makes of places 0 to `count`, read ahead by threads."""
    with ThreadPoolExecutor(DECODERS) as pool:
        waiting: deque[Iterator[T]] = deque()
        for start in range(0, count, size):
            waiting.append(pool.map(read, range(start, min(start + size, count))))
            if len(waiting) > AHEAD:
                yield list(waiting.popleft())
        for batch in waiting:
            yield list(batch)


def _ahead(
    images: MappedImages, parts: Sequence[Tensor], device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """Index int64 [b] and images [b, 3, R, R] (device) of each part.

    Threads gather the next parts while earlier ones are used; copies to a GPU do not block.
    """

    def gather(part: Tensor) -> Tensor:
        return images.gather(part, pinned=device.type == "cuda")

    with ThreadPoolExecutor(AHEAD) as pool:
        waiting: deque[Future[Tensor]] = deque()
        for place, part in enumerate(parts):
            for later in parts[place + len(waiting) : place + AHEAD + 1]:
                waiting.append(pool.submit(gather, later))
            yield part, waiting.popleft().result().to(device, non_blocking=True)


def split_of(
    labels: Tensor,
    content: Tensor | list[str],
    root: Path,
    resolution: int,
    short: int | None = None,
) -> Split:
    """A split of pixels, or of the files below `root` that are named. short: see `Split`."""
    if isinstance(content, Tensor):
        return Split(labels, content, (), resolution)
    return Split(labels, None, tuple(root / file for file in content), resolution, short)


@dataclass(frozen=True)
class Dataset:
    """A dataset's opened artifact. `root` is the folder of its image files."""

    info: DatasetInfo
    folder: Path
    root: Path

    @cached_property
    def train(self) -> Split:
        return self._split("train")

    @cached_property
    def val(self) -> Split:
        return self._split("val")

    @cached_property
    def originals(self) -> Split:
        """The training images of `train` in their own sizes (see `Split.whole`): photos from their
        files, others as pixels."""
        return self._split("train", as_files=True)

    def validation(self, short: int | None) -> Split:
        """`val`; with `short`, decoded from the image files (see Split).

        Raises ScddError where the artifact has no file names.
        """
        if short is None:
            return self.val
        path = self.folder / "val.safetensors"
        labels, files = load_files(path, self.info.classes, self.folder / "dataset.json")
        return split_of(labels, files, self.root, self.info.resolution, short)

    def _split(self, name: str, *, as_files: bool = False) -> Split:
        path, described_in = self.folder / f"{name}.safetensors", self.folder / "dataset.json"
        labels, content = load_split(path, self.info.classes, described_in, as_files=as_files)
        return split_of(labels, content, self.root, self.info.resolution)


def open_dataset(info: Path, root: Path) -> Dataset:
    """Open the artifact of the dataset.json `info`; splits are read when they are used."""
    return Dataset(load_info(info), info.parent, root)
