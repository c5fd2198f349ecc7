"""k-center (Sener and Savarese, arXiv 1708.00489, algorithm 1): each image is the one farthest from
all that are taken. The first one is nearest to the class mean; the paper starts from images that
are labelled already.
"""

import torch
from torch import Tensor

TAKEN = -1.0  # below all distances: not even copies of an image take it twice


def order(features: Tensor) -> Tensor:
    """As the package says. It does not wait for the device."""
    x = features.double()
    x = x - x.mean(0)
    size = x.square().sum(1)
    place = size.argmin(0, keepdim=True)
    taken = torch.empty(len(x), dtype=torch.int64, device=x.device)
    distance = torch.full_like(size, torch.inf)  # squared, to the nearest that is taken
    for step in range(len(x)):
        taken[step : step + 1] = place
        to_it = size + size.index_select(0, place) - 2 * (x @ x.index_select(0, place)[0])
        # rounding may make it less than 0
        distance = torch.minimum(distance, to_it.clamp(min=0)).index_fill_(0, place, TAKEN)
        place = distance.argmax(0, keepdim=True)
    return taken
