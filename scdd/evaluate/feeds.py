"""The batches that a student is trained on: views, and what the loss compares its logits with."""

from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from typing import TypeVar

import torch
from torch import Tensor

from scdd.artifacts.dataset import DatasetInfo
from scdd.data.batches import batch_count, cut_batches, views
from scdd.data.source import Split
from scdd.evaluate.losses import Soft
from scdd.labels.labelling import Labelling
from scdd.labels.replay import Replay, Store, replay
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


def pooled_feed(
    split: Split,
    store: Store,
    training: Student,
    mix: str,
    info: DatasetInfo,
    device: torch.device,
) -> Feed[Soft]:
    """As `soft_feed`, but batches are drawn at random from those of all the store's epochs.

    label_reuse batches: with replacement (LPLD, arXiv 2410.15919, its code's `batch_to_epoch`);
    shuffled: each one once before any is drawn again, across the student's epochs.

    An epoch has as many batches as the images make; one that is shorter than others is never drawn.
    The whole store stays on the device: it is made to be small.
    """
    labels, size = split.labels.to(device), training.batch
    full, count = max(1, len(split) // size), batch_count(len(split), size)
    pool = store.epochs * full

    @cache
    def labelled(epoch: int) -> tuple[Replay, list[Tensor]]:
        stored = replay(store, epoch, device)
        order = batch_order(split, training.seed, epoch, stored.order)
        return stored, cut_batches(order, size)

    @lru_cache(2)  # an epoch may see the end of one and the start of the next
    def shuffled(turn: int) -> list[int]:
        draw = generator(training.seed, "label batches", turn)
        return torch.randperm(pool, generator=draw).tolist()

    def drawn(epoch: int) -> list[int]:
        if training.label_reuse == "batches":
            draw = generator(training.seed, "label batches", epoch)
            return torch.randint(pool, (count,), generator=draw).tolist()
        steps = range(epoch * count, (epoch + 1) * count)
        return [shuffled(step // pool)[step % pool] for step in steps]

    def feed(epoch: int, skip: int) -> Iterator[tuple[Tensor, Soft]]:
        for pick in drawn(epoch)[skip:]:
            stored, batches = labelled(pick // full)
            order = batches[pick % full]
            for index, inputs in views(split, order, len(order), stored.draws, mix, info):
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
