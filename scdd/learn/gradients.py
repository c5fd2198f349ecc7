"""Gradients of a network's weights, and how far two of them are apart."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import grad, vmap

from scdd.learn.features import Weights, logits

EPSILON = 1e-6  # of the lengths' product, as in DC's code


def mean_gradient(weights: Weights, images: Tensor, labels: Tensor, most: int) -> list[Tensor]:
    """The gradient of the mean cross-entropy of images float [n, 3, R, R] and labels int64 [n] with
    respect to each weight, detached. most: how many images a pass is to have."""
    total: list[Tensor] = []
    for part, targets in zip(images.split(most), labels.split(most), strict=True):
        loss = F.cross_entropy(logits(weights, part), targets, reduction="sum") / len(images)
        gradient = torch.autograd.grad(loss, weights)
        if total:
            torch._foreach_add_(total, gradient)
        else:
            total = list(gradient)
    return total


def class_gradients(weights: Weights, images: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
    """For each of k classes the gradient of its images' mean cross-entropy with respect to each
    weight, [k, *its shape], as a function of the images.

    images: float [k, n, 3, R, R]; labels: int64 [k].
    """

    def loss(own: Weights, seen: Tensor, label: Tensor) -> Tensor:
        return F.cross_entropy(logits(own, seen), label.expand(len(seen)))

    own = tuple(weight.detach() for weight in weights)
    return vmap(grad(loss), in_dims=(None, 0, 0))(own, images, labels)


def rows(learned: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
    """1 - cosine of each row, summed: of all that leads to one output of a layer. Biases, and scale
    and shift of norms, count nothing."""
    total = real[0].new_zeros(())
    for a, b in zip(learned, real, strict=True):
        if a.ndim > 2:
            total = total + (1 - _cosine(a.flatten(2), b.flatten(2))).sum()
    return total


def squares(learned: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
    """The sum of the squares of all differences."""
    return torch.stack([(a - b).square().sum() for a, b in zip(learned, real, strict=True)]).sum()


def angle(learned: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
    """1 - cosine of all numbers of a class as one vector, summed over the classes."""
    return (
        1 - _cosine(*(torch.cat([x.flatten(1) for x in side], 1) for side in (learned, real)))
    ).sum()


def _cosine(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1) + EPSILON)


# by name: how far the gradients of classes, for each weight [k, ...], are apart in all
DISTANCES: dict[str, Callable[[Sequence[Tensor], Sequence[Tensor]], Tensor]] = {
    "rows": rows,
    "mse": squares,
    "cosine": angle,
}
