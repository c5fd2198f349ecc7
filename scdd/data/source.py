"""Reading a dataset's artifact: uint8 batches on the device, from memory or from files."""

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
from scdd.errors import ScddError
from scdd.views.geometry import fit_boxes

T = TypeVar("T")
DECODERS = 8  # threads that decode image files
AHEAD = 4  # batches read ahead of their use


def _read(path: Path, see: Callable[[Image.Image], T]) -> T:
    try:
        with Image.open(path) as opened:
            return see(opened)
    except Exception as error:  # Pillow's decoders raise whatever they like
        raise ScddError(f"{path} is no readable image ({error}). Mend or remove it.") from None


def check_header(path: Path) -> None:
    """Raises ScddError, naming the file, where it is no image as far as its first bytes tell."""
    _read(path, lambda image: image.size)


def _tensor(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).contiguous()


def decode(path: Path, size: int, short: int | None = None) -> Tensor:
    """One image file as uint8 [3, size, size]: shorter side to `size`, then the centre.

    short: the shorter side goes to so many pixels, of which the centre is cut out, as torchvision's
    Resize(short) and CenterCrop(size) do it. Raises ScddError, naming the file, where it is
    unreadable.
    """
    image = _read(path, lambda opened: opened.convert("RGB"))
    width, height = image.size
    if short is not None:
        least = min(width, height)
        width, height = int(short * width / least), int(short * height / least)
        image = image.resize((width, height), Image.Resampling.BILINEAR)
        left, top = round((width - size) / 2), round((height - size) / 2)
        return _tensor(image.crop((left, top, left + size, top + size)))
    short = min(width, height)
    left, top = (width - short) // 2, (height - short) // 2
    box = (left, top, left + short, top + short)
    if short != size:
        return _tensor(image.resize((size, size), Image.Resampling.BILINEAR, box=box))
    return _tensor(image.crop(box))


def decode_crops(path: Path, sizes: Sequence[int], chances: Tensor) -> list[Tensor]:
    """Random resized crops of one image file, uint8 [3, size, size] for each of the sizes.

    chances: of each crop, float32 [crops, ...], as `draw_chances` makes them. Raises ScddError,
    naming the file, where it is unreadable.
    """
    image = _read(path, lambda opened: opened.convert("RGB"))
    boxes = fit_boxes(chances, image.height, image.width).tolist()
    views = []
    for (top, left, height, width), size in zip(boxes, sizes, strict=True):
        # cropped first: a resize of a box would look at pixels beside it
        view = image.crop((left, top, left + width, top + height))
        views.append(_tensor(view.resize((size, size), Image.Resampling.BILINEAR)))
    return views


@dataclass(frozen=True)
class Split:
    """Images with labels int64 [n] (CPU): one split of a dataset, or an image set.

    The images are `pixels`; or `mapped`, an image set in its files; or `files`, photos to decode.
    short: to which the shorter side of a photo is resized before its centre is cut out; None: to
    the resolution, so that nothing is cut off a square.
    """

    labels: Tensor
    pixels: Tensor | None
    files: tuple[Path, ...]
    resolution: int
    short: int | None = None
    mapped: MappedImages | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> "Split":
        """The split with its pixels, if it has any, on the device."""
        return self if self.pixels is None else replace(self, pixels=self.pixels.to(device))

    def images(self, index: Tensor) -> Tensor:
        """uint8 [len(index), 3, R, R], where the pixels are: on their device or the CPU."""
        if self.pixels is not None:
            return self.pixels[index.to(self.pixels.device, non_blocking=True)]
        if self.mapped is not None:
            return self.mapped.gather(index)
        return torch.stack([self._decode(i) for i in index.tolist()])

    def _decode(self, index: int) -> Tensor:
        return decode(self.files[index], self.resolution, self.short)

    def batches(
        self, order: Tensor, size: int, device: torch.device
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Pairs of index int64 [b] (CPU) and images uint8 [b, 3, R, R] (device), in `order`."""
        if self.pixels is not None:
            for index in order.split(size):
                yield index, self.images(index).to(device)
            return
        if self.mapped is not None:
            yield from _ahead(self.mapped, order.split(size), device)
            return

        def one(place: int) -> list[Tensor]:
            return [self._decode(int(order[place]))]

        for index, (images,) in zip(
            order.split(size), self._stacked(len(order), size, one), strict=True
        ):
            yield index, images.to(device, non_blocking=True)

    def crops(
        self, order: Tensor, size: int, sizes: Sequence[int], chances: Tensor, device: torch.device
    ) -> Iterator[list[Tensor]]:
        """Random resized crops of whole image files, in `order`: of each of the `sizes` uint8
        [b, 3, s, s] (device).

        chances: float32 [len(order), len(sizes), ...], as `draw_chances` makes them.
        """

        def cut(place: int) -> list[Tensor]:
            return decode_crops(self.files[order[place]], sizes, chances[place])

        for views in self._stacked(len(order), size, cut):
            yield [view.to(device, non_blocking=True) for view in views]

    def _stacked(
        self, count: int, size: int, read: Callable[[int], list[Tensor]]
    ) -> Iterator[list[Tensor]]:
        """Stacked batches of what `read` makes of places 0 to `count`, read ahead by threads."""
        with ThreadPoolExecutor(DECODERS) as pool:
            waiting: deque[Iterator[list[Tensor]]] = deque()
            for start in range(0, count, size):
                waiting.append(pool.map(read, range(start, min(start + size, count))))
                if len(waiting) > AHEAD:
                    yield [torch.stack(views) for views in zip(*waiting.popleft(), strict=True)]
            for made in waiting:
                yield [torch.stack(views) for views in zip(*made, strict=True)]


def _ahead(
    images: MappedImages, parts: Sequence[Tensor], device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """Index and images of each part, gathered by threads while those before are used; on its way to
    a GPU nothing waits for a copy."""

    def gather(part: Tensor) -> Tensor:
        return images.gather(part, pinned=device.type == "cuda")

    with ThreadPoolExecutor(AHEAD) as pool:
        waiting: deque[Future[Tensor]] = deque()
        for place, part in enumerate(parts):
            for later in parts[place + len(waiting) : place + AHEAD + 1]:
                waiting.append(pool.submit(gather, later))
            yield part, waiting.popleft().result().to(device, non_blocking=True)


@dataclass(frozen=True)
class Dataset:
    """A dataset's artifact, opened. `root` is where files of an image folder live now."""

    info: DatasetInfo
    folder: Path
    root: Path

    @cached_property
    def train(self) -> Split:
        return self._split("train")

    @cached_property
    def val(self) -> Split:
        return self._split("val")

    def validation(self, short: int | None) -> Split:
        """`val`; with `short`, the images decoded from their files, as Split has it.

        Raises ScddError where the artifact does not tell the files.
        """
        if short is None:
            return self.val
        path = self.folder / "val.safetensors"
        labels, files = load_files(path, self.info.classes, self.folder / "dataset.json")
        paths = tuple(self.root / file for file in files)
        return Split(labels, None, paths, self.info.resolution, short)

    def _split(self, name: str) -> Split:
        labels, content = load_split(
            self.folder / f"{name}.safetensors", self.info.classes, self.folder / "dataset.json"
        )
        if isinstance(content, Tensor):
            return Split(labels, content, (), self.info.resolution)
        files = tuple(self.root / file for file in content)
        return Split(labels, None, files, self.info.resolution)


def open_dataset(info: Path, root: Path) -> Dataset:
    """Open the artifact of which `info` is the dataset.json; splits are read when used."""
    return Dataset(load_info(info), info.parent, root)
