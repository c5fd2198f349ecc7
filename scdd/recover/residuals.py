"""The starts that are mixed into images again, where they are chosen anew (after RETA, arXiv
2602.24144, which also weighs how complex a patch is)."""

from collections.abc import Callable

import torch
from torch import Tensor


@torch.no_grad()
def nearest(features: Callable[[Tensor], Tensor], images: Tensor, pool: Tensor) -> Tensor:
    """For each image that of its class's pool whose features are nearest to its own.

    features: of images [b, 3, S, S], b at most n, [b, d]. images: float32 [n, 3, S, S], class by
    class, as many of each; pool: float32 [classes, p, 3, S, S]. Returns [n, 3, S, S].
    """
    classes, each = pool.shape[:2]
    own = features(images).unflatten(0, (classes, -1))
    parts = pool.flatten(0, 1).split(len(images))
    theirs = torch.cat([features(part) for part in parts]).unflatten(0, (classes, each))
    places = (own[:, :, None] - theirs[:, None]).square().sum(3).argmin(2)
    return torch.stack([row[place] for row, place in zip(pool, places, strict=True)]).flatten(0, 1)
