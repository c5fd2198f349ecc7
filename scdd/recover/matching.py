"""The loss of a recovery (SC-DD, arXiv 2404.07976, section 3; SRe2L's recovery).

L = CE(f(T(x)), y) + tv_l2 * TV(T(x)) + l2_scale * L2(T(x))
    + r_bn * sum_l w_l * (||real_var_l - var_l||_2 + ||real_mean_l - mean_l||_2)
    + flatness * KL(f(T(average of x)) / 4 || f(T(x)) / 4)

Several units go through the network together, each with the statistics of its own images.
"""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scdd.networks.backbone import in_channels_last
from scdd.networks.precision import autocast
from scdd.params.recover import Recover
from scdd.recover.distance import NOTHING, Beside, StatisticsLoss

TEMPERATURE = 4.0  # of the logits that flatness compares


def frozen(network: nn.Module, precision: str) -> nn.Module:
    """The network in eval mode, without gradients, channels_last (faster on CPUs too); for bf16 a
    copy of it whose convolutions and linear layers have been cast, which autocast would do again in
    every pass."""
    in_channels_last(network.eval().requires_grad_(False))
    if precision != "bf16":
        return network
    network = copy.deepcopy(network)
    for part in network.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            part.to(torch.bfloat16)
    return network


def total_variation(images: Tensor) -> Tensor:
    """DeepInversion's prior by unit, [units]: L2 norms, over the unit's images [units, n, 3, R, R],
    of the differences to four neighbours."""
    differences = (
        images[..., :, :-1] - images[..., :, 1:],
        images[..., :-1, :] - images[..., 1:, :],
        images[..., 1:, :-1] - images[..., :-1, 1:],
        images[..., :-1, :-1] - images[..., 1:, 1:],
    )
    return torch.stack([part.flatten(1).norm(dim=1) for part in differences]).sum(0)


def flatness(logits: Tensor, of_average: Tensor) -> Tensor:
    """How far what a network says of a unit's images is from what it says of their moving average
    (EDC, arXiv 2404.13733): mean over images and classes of the terms of KL(average || images), at
    temperature 4, [units]; both are logits [units, n, classes]."""
    own = (logits / TEMPERATURE).log_softmax(2)
    target = (of_average / TEMPERATURE).softmax(2)
    return F.kl_div(own, target, reduction="none").mean((1, 2))


def objective(
    network: nn.Module,
    matched: StatisticsLoss,
    views: Tensor,
    labels: Tensor,
    params: Recover,
    beside: Beside = NOTHING,
) -> Tensor:
    """Loss, cross-entropy and statistics' distance before r_bn by unit, float32 [units, 3].

    views: float32 [units, n, 3, R, R]; labels: int64 [units, n]; network: as `frozen` made it;
    beside: what its statistics are matched with and how.
    """
    units = len(views)
    matched.begin(units, beside)
    assert not isinstance(params.r_bn, str)  # `auto` is a number by now
    with autocast(views.device, params.precision):
        logits = network(views.flatten(0, 1)).float()
    by_image = F.cross_entropy(logits, labels.flatten(), reduction="none")
    cross_entropy, distance = by_image.view(units, -1).mean(1), matched.take()
    loss = cross_entropy + params.r_bn * distance
    if params.tv_l2:
        loss = loss + params.tv_l2 * total_variation(views)
    if params.l2_scale:
        loss = loss + params.l2_scale * views.flatten(2).norm(dim=2).mean(1)
    if beside.average is not None:
        with torch.no_grad(), autocast(views.device, params.precision):
            of_average = matched.unwatched(network, beside.average.flatten(0, 1)).float()
        by_unit = (units, -1, logits.shape[1])
        loss = loss + params.flatness * flatness(logits.view(by_unit), of_average.view(by_unit))
    return torch.stack([loss, cross_entropy, distance], dim=1)
