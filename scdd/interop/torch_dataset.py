"""A distilled set as a torch Dataset, as `scdd.load` returns it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from scdd.artifacts.images import ImageSet, SetInfo, load_set, open_set, whitening_of
from scdd.artifacts.labels import LabelStore, open_store, stored_epochs
from scdd.data.placement import scale_of
from scdd.errors import ScddError
from scdd.labels.replay import replay
from scdd.views.mixing import mixed
from scdd.views.pixels import Scale, in_unit


class Images(Dataset[tuple[Tensor, int]]):
    """Pairs of image [3, R, R] and class index; `classes` are the names, in order.

    pixels: what the images are: 'uint8'; or, as they were learned, float32: 'normalised', or
    whitened, 'zca'. learned_labels: float32 [n, classes], None if the set has none. student_lr: the
    students' learned learning rate, None if none was learned. whitening: the file of the space that
    students train in, None for the normalised one.
    """

    def __init__(self, content: ImageSet, info: SetInfo, whitening: Path | None) -> None:
        self.classes, self.ipc = content.classes, content.ipc
        self.images, self.labels = content.images, content.labels
        self.pixels, self.student_lr, self.whitening = info.pixels, info.student_lr, whitening
        self.learned_labels = content.learned

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.images[index], int(self.labels[index])


class Views(Dataset[tuple[Tensor, Tensor]]):
    """Pairs of view float32 [3, R, R], normalised, and the teacher's logits [classes] for it.

    They belong to one epoch, the first one unless `set_epoch` chooses another of the `epochs`.
    `order`: int64 [n], where the epoch's labels depend on batches: the images in the order in which
    they were cut into batches; otherwise None. On the CPU the views are bit for bit those that the
    teacher saw.
    """

    def __init__(self, content: ImageSet, store: LabelStore, scale: Scale) -> None:
        self.classes, self.ipc, self.epochs = content.classes, content.ipc, store.epochs
        self.images, self.scale = content.images, scale
        if self.images.is_floating_point():  # normalised, but views are cut of pixels
            self.images = in_unit(self.images, scale)
        self._store: LabelStore | None = store
        self._mix = store.origin.transform["mix"]
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Choose an epoch, before a DataLoader is iterated: its workers get a copy.

        Raises ScddError where the store has no such epoch, or its shard is damaged.
        """
        if self._store is None:
            raise ScddError("call set_epoch in the process that made the dataset, not in a worker.")
        if not 0 <= epoch < self.epochs:
            raise ScddError(f"epoch {epoch} has no labels: choose one of 0 to {self.epochs - 1}.")
        epoch_of = replay(self._store, epoch, torch.device("cpu"))
        self._draws, self.order = epoch_of.draws, epoch_of.order
        self.logits = epoch_of.logits(torch.arange(len(self.images)))

    def __len__(self) -> int:
        return len(self.images)

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
        """A whole batch; torch's DataLoader calls this."""
        index = torch.as_tensor(indices)
        pick = index
        if self._mix != "none":
            pick = torch.cat([index, self._draws.partner[index].long()])
        views = mixed(self.images[pick], pick, self._draws, self._mix, self.scale)
        return list(zip(views, self.logits[index], strict=True))

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.__getitems__([index])[0]

    def __getstate__(self) -> dict[str, Any]:
        """The state that a worker gets, without open files."""
        return {**self.__dict__, "_store": None}


def open_distilled(path: Path, labels: Path | None) -> Images | Views:
    """The set.json at `path`, with the soft labels in the folder `labels` if it is given.

    Raises ScddError where a file is missing or damaged, or the labels are of other images; and for
    labels of a set whose students train in whitened space.
    """
    if path.is_file() and path.suffix != ".json":
        raise ScddError(f"{path} is not a set.json. Name the set.json of a distilled set.")
    info, content = open_set(path), load_set(path)
    if labels is None:
        return Images(content, info, whitening_of(path, info))
    if info.whitening is not None:
        raise ScddError(
            f"{path}: its students train on whitened images (ZCA), of which there are no soft "
            "labels. Name the set of the same images that names no whitening."
        )
    scale, epochs = scale_of(path, info), stored_epochs(labels)
    store = open_store(labels, epochs=epochs, images=content.content, classes=content.classes)
    return Views(content, store, scale)
