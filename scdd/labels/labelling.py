"""How the views of an epoch are drawn for labels, and in which batches where these matter.

Labels of a view depend on that view alone where its partner may be any image of the set and the
teacher is in eval mode: a student then trains on any batches. Two switches of the released programs
tie labels to batches: mixing within a batch (one lambda and box for all of it), and a teacher that
normalises by a batch's own statistics. The batches are then those of the released order, and the
student must train on them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from scdd.data.batches import batch_sizes, cut_batches
from scdd.labels.order import sampler_orders
from scdd.labels.teachers import equal_parts
from scdd.params.base import pick
from scdd.params.protocol import Relabel
from scdd.params.views import Transform
from scdd.rng import generator
from scdd.views.mixing import (
    Draws,
    cutmix_boxes,
    draw_epoch,
)


@dataclass(frozen=True)
class Labelling:
    """mix_by: 'set' (a partner from the whole set and a lambda of its own for each image) or
    'batch' (partners from the batch, one lambda and box for all of it).

    batch: images a batch, where labels depend on batches; None: they do not. batch_bn: whether the
    teacher has the batches' BN statistics, by `bn_groups` groups of each batch; dropout: whether
    its dropout is live. seed: of the views, the batches' order and dropout.
    """

    transform: Transform
    seed: int
    mix_by: str = "set"
    batch: int | None = None
    batch_bn: bool = False
    bn_groups: int = 1
    dropout: bool = False

    def __post_init__(self) -> None:
        if self.batch is None and (self.mix_by == "batch" or self.batch_bn):
            raise ValueError("labels that depend on batches need a batch size")

    def groups(self, n: int) -> list[int]:
        """How many images each group with BN statistics of its own has, in n images of whole
        batches."""
        assert self.batch is not None
        sizes = batch_sizes(n, self.batch)
        return [part for size in sizes for part in equal_parts(size, self.bn_groups)]

    def order(self, n: int, epoch: int) -> Tensor | None:
        """The images int64 [n] (CPU) in the order whose cuts are the batches of an epoch; None
        where labels depend on no batches."""
        return None if self.batch is None else released_order(n, self.seed, epoch)

    def draw(self, n: int, resolution: int, epoch: int) -> Draws:
        """The draws (CPU) of one epoch, a function of the labelling and the arguments alone."""
        if self.mix_by == "set":
            return draw_epoch(self.transform, n, resolution, self.seed, epoch)
        order = self.order(n, epoch)
        assert order is not None and self.batch is not None
        alone = replace(self.transform, mix="none")
        draws = draw_epoch(alone, n, resolution, self.seed, epoch)
        draw = generator(self.seed, "batches", epoch)
        batches = cut_batches(order, self.batch)
        # torch's Beta takes no generator
        numbers = np.random.default_rng(int(torch.randint(2**62, (), generator=draw)))
        alpha = self.transform.alpha
        shares = torch.from_numpy(numbers.beta(alpha, alpha, len(batches))).float()
        boxes = torch.zeros(len(batches), 4)
        if self.transform.mix == "cutmix":
            boxes = cutmix_boxes(shares, resolution, draw)
            shares = 1 - boxes[:, 2] * boxes[:, 3] / resolution**2
        sizes = torch.tensor([len(batch) for batch in batches])
        others = [batch[torch.randperm(len(batch), generator=draw)] for batch in batches]
        partner, lam, box = draws.partner.clone(), draws.lam.clone(), draws.box.clone()
        partner[order] = torch.cat(others).int()
        lam[order] = shares.repeat_interleave(sizes)
        box[order] = boxes.short().repeat_interleave(sizes, dim=0)
        return replace(draws, partner=partner, lam=lam, box=box)


def origin_of(relabel: Relabel, batch: int | None) -> dict[str, Any]:
    """What a label store's header says about its views and batches. Labels that do not depend on
    batches need only the transform."""
    tied = {"mix_by": relabel.mix_by, "teacher_bn": relabel.teacher_bn, "batch": batch}
    if relabel.bn_groups > 1:
        tied["bn_groups"] = relabel.bn_groups
    if relabel.teacher_dropout:
        tied["teacher_dropout"] = True
    return pick(Transform, relabel).dump() | (tied if relabel.by_batch else {})


def labelling_of(origin: Mapping[str, Any], seed: int) -> Labelling:
    """From a store's header, as `origin_of` has it."""
    return Labelling(
        Transform.of(origin),
        seed,
        origin.get("mix_by", "set"),
        origin.get("batch"),
        origin.get("teacher_bn", "eval") == "batch",
        origin.get("bn_groups", 1),
        origin.get("teacher_dropout", False),
    )


def released_order(n: int, seed: int, epoch: int) -> Tensor:
    """The images int64 [n] (CPU) in the released programs' order of one epoch."""
    return _running(n, seed).at(epoch)


@lru_cache(maxsize=2)
def _running(n: int, seed: int) -> "_Orders":
    return _Orders(n, seed)


class _Orders:
    """The released orders by epoch. To draw one, all before it must be drawn: a later one continues
    from the last, an earlier one starts again."""

    def __init__(self, n: int, seed: int) -> None:
        self.n, self.seed, self.next = n, seed, 0
        self.orders: Iterator[Tensor] = sampler_orders(n, seed)
        self.last = torch.empty(0, dtype=torch.int64)

    def at(self, epoch: int) -> Tensor:
        if epoch < self.next - 1:
            self.next, self.orders = 0, sampler_orders(self.n, self.seed)
        if epoch >= self.next:
            self.last = next(islice(self.orders, epoch - self.next, None))
            self.next = epoch + 1
        return self.last
