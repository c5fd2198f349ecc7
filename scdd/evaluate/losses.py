"""What a student with soft labels minimises; all take its logits float32 [b, classes]."""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import torch.nn.functional as F
from torch import Tensor

from scdd.params.protocol import Loss

T = TypeVar("T")
Criterion = Callable[[Tensor, T], Tensor]


class Soft(NamedTuple):
    """A batch's targets: the teacher's logits [b, classes] of the mixed views, and the images' own
    classes, int64 [b]."""

    logits: Tensor
    labels: Tensor


def soft_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """KL(softmax(teacher / T) || softmax(student / T)), the mean over images, without T^2
    (SRe2L, arXiv 2306.13092, equation 11, as its code has it). Both [b, classes] logits."""
    return F.kl_div(
        F.log_softmax(student / temperature, dim=1),
        F.softmax(teacher.float() / temperature, dim=1),
        reduction="batchmean",
    )


def mse_ce_loss(student: Tensor, targets: Soft, ce_weight: float) -> Tensor:
    """The mean squared difference of all logits, and `ce_weight` times the cross-entropy with the
    images' own classes, whatever they are mixed with (EDC, arXiv 2404.13733, its code's `mse_gt`).
    """
    ce = F.cross_entropy(student, targets.labels)
    return F.mse_loss(student, targets.logits.float()) + ce_weight * ce


def soft_criterion(params: Loss) -> Criterion[Soft]:
    """The loss that a protocol names."""
    if params.loss == "mse-ce":
        return lambda outputs, targets: mse_ce_loss(outputs, targets, params.ce_weight)
    temperature = params.temperature
    factor = temperature**2 if params.loss == "kl-t2" else 1.0
    return lambda outputs, targets: factor * soft_loss(outputs, targets.logits, temperature)
