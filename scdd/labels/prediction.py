"""What a view's logits are expected to be, by what a student knows of the view.

That is its image and its partner, how much of them it shows, and, where the teacher normalises by
groups of views, the others of its group. For image i of class a and the partner j of class b,
expected is

    w (W[a] + m[i]) + v (W[b] + m[j]) + (the mean over the group of w G[a] + v G[b])

w is lambda times the fourth root of the pixels of the crop, because a teacher is surer the more it
sees; v is the same of the partner, with 1 - lambda. W and G have a row for each class, m has one
for each image. They are least-squares fits to the logits of a shard, each view's less their mean.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from scdd.labels.labelling import Labelling
from scdd.views.mixing import Draws

Rows = Callable[[Tensor], Tensor]  # of images int64 [b], float32 [b, C]
HUGE = torch.finfo(torch.float16).max
SLACK = 1e-6  # of the fits' diagonals: without it a class that is never seen would have no row
TINY = torch.finfo(torch.float32).tiny
ROUNDS = 12  # of conjugate gradients; with ten epochs or more each leaves half of the error or less


@dataclass(frozen=True)
class Groups:
    """The groups of an epoch's views. order: int64 [n], the images group by group; sizes: int64
    [g]; of: int64 [n], each image's group."""

    order: Tensor
    sizes: Tensor
    of: Tensor

    def means(self, rows: Tensor) -> Tensor:
        """The means float32 [g, C] by group of `rows` [n, C], one for each view."""
        # unsafe: the sizes are not checked, for which the device would be waited for
        return torch.segment_reduce(rows[self.order], "mean", lengths=self.sizes, unsafe=True)


@dataclass(frozen=True)
class Seen:
    """What the views of an epoch show, all [n]: w and v (float32), and the partners (int64), a
    permutation of the images. groups: None where a label depends on its own view alone."""

    own: Tensor
    other: Tensor
    partner: Tensor
    groups: Groups | None = None

    def mixed(self, rows: Tensor) -> Tensor:
        """w times an image's row and v times its partner's, of all views; rows: [n, C]."""
        return self.own[:, None] * rows + self.other[:, None] * rows[self.partner]


def seen(labelling: Labelling, draws: Draws, epoch: int) -> Seen:
    """What the views of an epoch show, on the draws' device."""
    lam, partner, n = draws.lam, draws.partner.long(), len(draws.lam)
    root = (draws.crop[:, 2].float() * draws.crop[:, 3]) ** 0.25
    own, other = lam * root, (1 - lam) * root[partner]
    if not labelling.batch_bn:
        return Seen(own, other, partner)
    order, sizes = labelling.order(n, epoch), torch.tensor(labelling.groups(n))
    assert order is not None
    of = torch.empty_like(order)
    of[order] = torch.arange(len(sizes)).repeat_interleave(sizes)
    device = lam.device
    return Seen(own, other, partner, Groups(order.to(device), sizes.to(device), of.to(device)))


def class_of(image: Tensor, n: int, classes: int) -> Tensor:
    """The classes of images of a set of n, which has its images class by class."""
    return image * classes // n


def expecting(table: Tensor, images: Rows | None, view: Seen) -> Rows:
    """What the views of an epoch are expected to be, less m if `images` is None.

    table: float16 [C or 2C, C], as `by_classes` gives it for views like these; images: gives m.
    """
    n, classes = len(view.own), table.shape[1]

    def of_image(index: Tensor) -> Tensor:
        row = table[class_of(index, n, classes)].float()
        return row if images is None else row + images(index)

    def of_pair(index: Tensor) -> Tensor:
        own, other = view.own[index, None], view.other[index, None]
        return own * of_image(index) + other * of_image(view.partner[index])

    groups = view.groups
    if groups is None:
        return of_pair
    every = torch.arange(n, device=table.device)
    of_groups = table[classes:][class_of(every, n, classes)].float()
    by_group = groups.means(view.mixed(of_groups))
    return lambda index: of_pair(index) + by_group[groups.of[index]]


def by_classes(rows: Tensor, views: Sequence[Seen]) -> Tensor:
    """W, and below it G where there are groups, float16 [C or 2C, C]: the fit to rows [E, n, C]."""
    n, classes = rows.shape[1:]
    of = class_of(torch.arange(n, device=rows.device), n, classes)
    one_hot = torch.eye(classes, device=rows.device)[of]

    def weights(view: Seen) -> Tensor:
        shown = view.mixed(one_hot)
        if view.groups is None:
            return shown
        return torch.cat([shown, view.groups.means(shown)[view.groups.of]], 1)

    return least_squares((weights(view), row) for row, view in zip(rows, views, strict=True))


def least_squares(pairs: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
    """The table float16 [F, C] whose products with weights [n, F] have the least squared error from
    rows [n, C], over all pairs of these."""
    total: Tensor | None = None
    for weights, rows in pairs:
        product = (weights.T @ torch.cat([weights, rows], 1)).double().cpu()
        total = product if total is None else total + product
    assert total is not None
    gram, cross = total.tensor_split([len(total)], 1)
    slack = SLACK * gram.diagonal().mean().clamp(min=TINY)
    table: Tensor = torch.linalg.solve(gram + slack * torch.eye(len(gram)), cross)
    return table.clamp(-HUGE, HUGE).half().to(rows.device)


def by_images(rows: Tensor, views: Sequence[Seen]) -> Tensor:
    """m float32 [n, C]: the fit to rows [E, n, C], by conjugate gradients."""
    shown = [view.partner.argsort() for view in views]  # in which view an image is the partner

    def gathered(row: Tensor, view: Seen, shown: Tensor) -> Tensor:
        """The transpose of `mixed`."""
        return view.own[:, None] * row + (view.other[:, None] * row)[shown]

    def normal(means: Tensor) -> Tensor:
        return sum(map(gathered, (view.mixed(means) for view in views), views, shown), zero)

    means = zero = torch.zeros_like(rows[0])
    left = step = sum(map(gathered, rows, views, shown), zero)
    size = left.square().sum()
    for _ in range(ROUNDS):
        turned = normal(step)
        length = size / (step * turned).sum().clamp(min=TINY)
        means, left = means + length * step, left - length * turned
        before, size = size, left.square().sum()
        step = left + size / before.clamp(min=TINY) * step
    return means
