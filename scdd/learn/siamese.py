"""DSA as the methods use it that match learned images with real ones: all images of a class, real
and learned, are augmented in the same way (siamese; arXiv 2102.08259, section 3.2)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from scdd.views.dsa import NUMBERS, STRATEGIES, dsa


@dataclass(frozen=True)
class Siamese:
    """What holds for all images of a class: its strategy, and its random numbers, float
    [K, NUMBERS] in [0, 1)."""

    strategies: Sequence[str]
    chances: Tensor

    def like(self, images: Tensor) -> "Siamese":
        """With numbers on the device of these images, and of their dtype."""
        return Siamese(self.strategies, self.chances.to(images, non_blocking=True))

    def augment(self, images: Tensor, classes: slice) -> Tensor:
        """Images float [k, n, 3, R, R] of k of the classes. Classes that have the same strategy are
        augmented together."""
        each = images.shape[1]
        parts: list[Tensor] = list(images)
        strategies, chances = self.strategies[classes], self.chances[classes]
        for strategy in dict.fromkeys(strategies):
            members = [k for k, other in enumerate(strategies) if other == strategy]
            numbers = torch.cat([chances[k].expand(each, -1) for k in members])
            seen = dsa(torch.cat([images[k] for k in members]), strategy, numbers)
            for k, part in zip(members, seen.split(each), strict=True):
                parts[k] = part
        return torch.stack(parts)


def draw_siamese(classes: int, by: str, draw: torch.Generator) -> Siamese:
    """by: 'class', each has its own strategy and numbers; 'step': all have the same."""
    drawn = classes if by == "class" else 1
    picks = torch.randint(len(STRATEGIES), (drawn,), generator=draw).expand(classes)
    chances = torch.rand(drawn, NUMBERS, generator=draw).expand(classes, -1)
    return Siamese([STRATEGIES[pick] for pick in picks.tolist()], chances)
