"""Herding (Welling, ICML 2009) as a greedy choice: each image brings the mean of the taken ones as
near to the class mean as possible (iCaRL, arXiv 1611.07725, algorithm 4).

Features are taken as they are, as in DeepCore (arXiv 2204.08499); iCaRL scales them to unit length.
"""

import torch
from torch import Tensor


def order(features: Tensor) -> Tensor:
    """As the package says. It does not wait for the device."""
    x = features.double()
    taken = torch.empty(len(x), dtype=torch.int64, device=x.device)
    # |t mean - (sum of the taken) - x|^2 without what is the same for every x
    towards, distance = 2 * (x @ x.mean(0)), x.square().sum(1)
    for step in range(len(x)):
        distance -= towards
        place = distance.argmin(0, keepdim=True)
        taken[step : step + 1] = place
        distance += 2 * (x @ x.index_select(0, place)[0])
        distance.index_fill_(0, place, torch.inf)
    return taken
