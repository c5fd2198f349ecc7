"""The batches that a student is trained on: views, and what the loss compares its logits with."""

from collections.abc import Callable, Iterator
from typing import TypeVar

import torch
from torch import Tensor

from scdd.artifacts.dataset import DatasetInfo
from scdd.data.batches import views
from scdd.data.source import Split
from scdd.evaluate.losses import Soft
from scdd.labels.labelling import Labelling
from scdd.labels.replay import Store, replay
from scdd.params.protocol import Student
from scdd.rng import generator
from scdd.views.dsa import draw_dsa, dsa

T = TypeVar("T")
# of (epoch, skip): the epoch's batches but the first `skip`, on the device: views float32
# [b, 3, R, R] and what the criterion compares the student's logits with
Feed = Callable[[int, int], Iterator[tuple[Tensor, T]]]


def soft_feed(
    split: Split,
    store: Store,
    training: Student,
    mix: str,
    info: DatasetInfo,
    device: torch.device,
) -> Feed[Soft]:
    """The store's views with the teacher's logits as targets; `split` is the image set.

    A store of fewer epochs than the student's starts again after its last one. Batches are drawn
    from the student's seed and epoch, or are those that the labels depend on.
    """
    labels = split.labels.to(device)

    def feed(epoch: int, skip: int) -> Iterator[tuple[Tensor, Soft]]:
        stored = replay(store, epoch % store.epochs, device)
        order = batch_order(split, training.seed, epoch, stored.order)[skip * training.batch :]
        for index, inputs in views(split, order, training.batch, stored.draws, mix, info):
            yield inputs, Soft(stored.logits(index), labels[index])

    return feed


def hard_feed(
    split: Split,
    labelling: Labelling,
    training: Student,
    info: DatasetInfo,
    device: torch.device,
    siamese: bool = False,
) -> Feed[Tensor]:
    """Views with class probabilities as targets: the images' learned labels, or 1 for their class.
    siamese: each batch also gets DSA's augmentation."""
    one_hot, labels = torch.eye(len(info.classes), device=device), split.labels.to(device)
    learned = None if split.learned is None else split.learned.to(device)

    def targets(index: Tensor) -> Tensor:
        return one_hot[labels[index]] if learned is None else learned[index]

    def feed(epoch: int, skip: int) -> Iterator[tuple[Tensor, Tensor]]:
        n, size = len(split), split.resolution
        draws = labelling.draw(n, size, epoch).to(device)
        order = batch_order(split, training.seed, epoch, labelling.order(n, epoch))
        left = order[skip * training.batch :]
        batches = views(split, left, training.batch, draws, labelling.transform.mix, info)
        for number, (index, seen) in enumerate(batches, start=skip):
            inputs = seen
            if siamese:
                draw = generator(training.seed, "dsa", epoch, number)
                strategy, chances = draw_dsa(len(seen), draw)
                inputs = dsa(seen, strategy, chances.to(device, non_blocking=True))
            lam, partner = draws.lam[index, None], draws.partner[index].long()
            yield inputs, lam * targets(index) + (1 - lam) * targets(partner)

    return feed


def batch_order(split: Split, seed: int, epoch: int, order: Tensor | None = None) -> Tensor:
    """A permutation int64 [n] of the images, on the pixels' device: `order`, or a drawn one."""
    if order is None:
        order = torch.randperm(len(split), generator=generator(seed, "order", epoch))
    return order if split.pixels is None else order.to(split.pixels.device)
