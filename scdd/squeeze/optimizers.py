"""The optimisers that the methods' authors use."""

from typing import Any

import torch
from torch import Tensor, nn

TRUST = 0.001  # MoCo v3's and SwAV's coefficient


class LARS(torch.optim.Optimizer):
    """Layer-wise adaptive rates (arXiv 1708.03888) as in BYOL (arXiv 2006.07733, appendix C):
    biases and BatchNorm weights are neither adapted nor decayed."""

    def __init__(self, weights: list[nn.Parameter], lr: float, momentum: float, decay: float):
        super().__init__(weights, {"lr": lr, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                change = weight.grad
                if weight.ndim > 1:
                    change = adapted(change + group["decay"] * weight, weight)
                state = self.state[weight]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(weight)
                state["momentum"].mul_(group["momentum"]).add_(change)
                weight.sub_(state["momentum"] * group["lr"])


def adapted(change: Tensor, weight: Tensor) -> Tensor:
    """`change` made TRUST times as long as `weight`, unless one of them is 0."""
    ours, theirs = change.norm(), weight.norm()
    ratio = TRUST * theirs / ours
    return change * torch.where((ours > 0) & (theirs > 0), ratio, 1.0)


def optimizer(
    name: str,
    module: nn.Module,
    lr: float,
    momentum: float,
    weight_decay: float,
    decay_vectors: bool,
) -> torch.optim.Optimizer:
    """`name` is 'sgd', 'adamw' or 'lars'; momentum is not AdamW's, whose betas are torch's.

    decay_vectors: whether SGD and AdamW decay biases and BatchNorm weights as well.
    """
    weights = [weight for weight in module.parameters() if weight.requires_grad]
    if name == "lars":
        return LARS(weights, lr, momentum, weight_decay)
    groups: list[dict[str, Any]] = [
        {"params": [weight for weight in weights if weight.ndim > 1 or decay_vectors]},
        {"params": [w for w in weights if w.ndim <= 1 and not decay_vectors], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if name == "adamw":
        return torch.optim.AdamW(groups, lr=lr, weight_decay=weight_decay, fused=True)
    sgd = torch.optim.SGD(groups, lr=lr, momentum=momentum, weight_decay=weight_decay, fused=True)
    for weight in weights:
        # the fused step needs it, also for a weight that is frozen at first
        sgd.state[weight]["momentum_buffer"] = torch.zeros_like(weight)
    return sgd
