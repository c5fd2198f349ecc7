"""One stored epoch as a student sees it: its views, drawn again where they are not stored, its
batches where these are fixed, and the teacher's logits of any of its images."""

from collections.abc import Mapping
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
from scdd.labels.labelling import labelling_of, released_order
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
    cut into the batches to train on, None if any batches will do; stored: the logits as they are in
    the store, on the device."""

    draws: Draws
    order: Tensor | None
    stored: dict[str, Tensor]
    classes: int

    def logits(self, index: Tensor) -> Tensor:
        """The teacher's logits [b, classes] of the images `index`, float16 or float32, on the
        device. Decoded here: a stored epoch may be a tenth as large as its logits."""
        if components.PACKED in self.stored:
            return components.decode(self.stored, self.draws.partner, self.draws.lam, index)
        return decode(rows(self.stored, index), self.classes)


def replay(store: Store, epoch: int, device: torch.device) -> Replay:
    """An epoch of the store on the device.

    Raises ScddError if it is damaged, or if views that are drawn again differ from those labelled.
    """
    origin, stored = store.origin, store.epoch(epoch)
    logits = of_logits(stored)
    by_components = components.PACKED in logits
    n = components.row_count(logits) if by_components else len(next(iter(logits.values())))
    fixed = "batch" in origin.transform
    if origin.views == "drawn":
        if origin.resolution is None:
            raise ScddError(
                f"labels {origin.digest} do not give the image size, which is needed to draw views."
            )
        labelling = labelling_of(origin.transform, origin.seed)
        views = labelling.draw(n, origin.resolution, epoch).stored()
        store.check_drawn(epoch, views)
    else:
        views = of_views(stored)
    send = partial(Tensor.to, device=device, non_blocking=True)
    return Replay(
        Draws(**views).to(device),
        released_order(n, origin.seed, epoch) if fixed else None,
        {name: send(tensor) for name, tensor in logits.items()},
        len(origin.classes),
    )
