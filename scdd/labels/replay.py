"""One stored epoch as a student sees it: its views, drawn again where they are not stored, its
batches where these are fixed, and the teacher's logits of any of its images."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from scdd.artifacts.labels import Origin, of_epoch, of_logits, of_views
from scdd.artifacts.slots import Range
from scdd.errors import ScddError
from scdd.labels import components
from scdd.labels.forms import decode, rows
from scdd.labels.labelling import labelling_of
from scdd.labels.prediction import seen
from scdd.views.mixing import Draws


class Store(Protocol):
    """Soft labels by epoch: in files (`LabelStore`), or in memory (`Remembered`)."""

    @property
    def origin(self) -> Origin: ...

    @property
    def epochs(self) -> int: ...

    def epoch(self, epoch: int) -> dict[str, Tensor]: ...

    def check_drawn(self, epoch: int, views: Mapping[str, Tensor]) -> None: ...


@dataclass(frozen=True)
class Remembered:
    """Labels in memory. shards: the tensors of each by its range of epochs, one after the other;
    epochs: how many of them students see."""

    origin: Origin
    shards: Mapping[Range, Mapping[str, Tensor]]
    epochs: int

    def epoch(self, epoch: int) -> dict[str, Tensor]:
        """The tensors of one epoch, [n, ...]."""
        span = next(span for span in self.shards if span[0] <= epoch < span[1])
        return of_epoch(self.shards[span], epoch - span[0])

    def check_drawn(self, epoch: int, views: Mapping[str, Tensor]) -> None:
        """The same process draws the same views again: there is nothing to check."""


@dataclass(frozen=True)
class Replay:
    """draws: of all images, on the device; order: int64 [n] (CPU), the images in the order that is
    cut into the batches to train on, None if any batches will do; logits: of images int64 [b], the
    teacher's [b, classes], float16 or float32, on the device. They are decoded when they are asked
    for: a stored epoch may be a tenth as large as its logits."""

    draws: Draws
    order: Tensor | None
    logits: Callable[[Tensor], Tensor]


def replay(store: Store, epoch: int, device: torch.device) -> Replay:
    """An epoch of the store on the device.

    Raises ScddError if it is damaged, or if views that are drawn again differ from those labelled.
    """
    origin, stored = store.origin, store.epoch(epoch)
    labelling = labelling_of(origin.transform, origin.seed)
    logits = of_logits(stored)
    by_components = components.PACKED in logits
    n = components.row_count(logits) if by_components else len(next(iter(logits.values())))
    if origin.views == "drawn":
        if origin.resolution is None:
            raise ScddError(
                f"labels {origin.digest} do not give the image size, which is needed to draw views."
            )
        views = labelling.draw(n, origin.resolution, epoch).stored()
        store.check_drawn(epoch, views)
    else:
        views = of_views(stored)
    draws = Draws(**views).to(device)
    logits = {name: tensor.to(device, non_blocking=True) for name, tensor in logits.items()}
    if by_components:
        decoded = components.decoder(logits, seen(labelling, draws, epoch))
    else:
        decoded = partial(_of_rows, logits, len(origin.classes))
    return Replay(draws, labelling.order(n, epoch), decoded)


def _of_rows(stored: Mapping[str, Tensor], classes: int, index: Tensor) -> Tensor:
    return decode(rows(stored, index), classes)
