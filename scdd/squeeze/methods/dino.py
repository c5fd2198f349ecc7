"""DINO (arXiv 2104.14294): a student matches its momentum teacher's outputs on other views.

Algorithm 1 and section 3.1: the teacher sees the large views only; its outputs are centred by a
moving mean and sharpened by a low temperature, which keeps them from collapsing. Head as in
appendix C: three linear layers with GELU, unit length, then a weight-normalised layer without
bias, here with lengths fixed at 1. The paper leaves BatchNorm out of the head of networks that
have none; ResNets have it, and small ones collapse without it in the head.

The backbone that is exported is the teacher's, which the paper evaluates; its BatchNorm has seen
large views only.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from scdd.networks.backbone import Backbone
from scdd.params import squeeze
from scdd.squeeze import processes
from scdd.squeeze.engine import Method, Now
from scdd.squeeze.heads import Encoder, follow, momentum_copy, unit
from scdd.squeeze.norm import group_batch_norms


class Head(nn.Module):
    """Features [n, inputs] to float32 [n, outputs], each within -1 and 1."""

    def __init__(
        self, inputs: int, hidden: int, bottleneck: int, outputs: int, head_bn: bool
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in (inputs, hidden):
            layers += [nn.Linear(width, hidden)]
            layers += [nn.BatchNorm1d(hidden)] if head_bn else []
            layers += [nn.GELU()]
        self.mlp = nn.Sequential(*layers, nn.Linear(hidden, bottleneck))
        self.last = nn.Linear(bottleneck, outputs, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        vectors = unit(self.mlp(features))
        # what comes out is divided by a small temperature: keep it in float32
        with torch.autocast(features.device.type, enabled=False):
            return functional.linear(vectors, unit(self.last.weight))


def matching(
    students: list[Tensor],
    teachers: list[Tensor],
    centre: Tensor,
    student_temperature: float,
    teacher_temperature: float,
) -> Tensor:
    """Mean cross-entropy of each teacher's view and every other view of the student (equation 3).

    students: outputs [n, k] of each view, the large ones first; teachers: of the large ones;
    centre: [k].
    """
    predicted = [
        functional.log_softmax(outputs / student_temperature, dim=1) for outputs in students
    ]
    wanted = [
        functional.softmax((outputs - centre) / teacher_temperature, dim=1) for outputs in teachers
    ]
    terms = [
        -(target * other).sum(1).mean()
        for place, target in enumerate(wanted)
        for view, other in enumerate(predicted)
        if view != place
    ]
    return torch.stack(terms).mean()


@torch.no_grad()
def clip(gradients: list[Tensor], most: float) -> None:
    """Shorten each gradient by itself to the length `most`, as the authors' code does."""
    lengths = torch.stack(torch._foreach_norm(gradients))
    factors = (most / (lengths + 1e-6)).clamp(max=1)
    torch._foreach_mul_(gradients, list(factors.unbind()))


class DINO(Method):
    views = 2
    decay_vectors = False
    centre: Tensor

    def __init__(self, params: squeeze.DINO, network: Backbone, draw: torch.Generator) -> None:
        super().__init__()
        self.target_momentum, self.momentum = params.target_momentum, params.centre_momentum
        self.temperature = params.temperature
        self.teacher_temperatures = params.teacher_temperatures
        self.warmup_epochs = params.temperature_epochs
        self.freeze_epochs, self.clip = params.freeze_epochs, params.clip
        outputs = params.outputs
        widths = network.fc.in_features, params.hidden, params.bottleneck, outputs
        head = Head(*widths, params.head_bn)
        self.teacher = Encoder(network, head, draw)
        self.channels_last = not group_batch_norms(self.teacher, params.bn_groups)
        for layer in head.mlp:
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02, generator=draw)
                nn.init.zeros_(layer.bias)
        self.student = momentum_copy(self.teacher).requires_grad_(True)
        self.teacher.requires_grad_(False)
        self.register_buffer("centre", torch.zeros(outputs))

    def teacher_temperature(self, now: Now) -> float:
        """Linear from the first to the last epoch of the warm-up, then constant (as the code)."""
        first, last = self.teacher_temperatures
        if now.epoch >= self.warmup_epochs:
            return last
        return first + (last - first) * now.epoch / max(1, self.warmup_epochs - 1)

    def phase(self, now: Now) -> Now:
        """The temperature changes by epoch, until the end of the warm-up."""
        return replace(now, step=min(now.epoch, self.warmup_epochs) * now.per_epoch)

    def loss(self, views: list[Tensor], labels: Tensor, now: Now) -> Tensor:
        """Labels are not used. The centre moves after the teacher's outputs were used."""
        size = len(labels)
        with torch.no_grad():
            wanted = self.teacher.multi(views[: self.views])
        given = self.student.multi(views)
        with torch.autocast(labels.device.type, enabled=False):
            loss = matching(
                list(given.split(size)),
                list(wanted.split(size)),
                self.centre,
                self.temperature,
                self.teacher_temperature(now),
            )
            mean = wanted.mean(0)
            processes.average([mean])
            self.centre.copy_(torch.lerp(mean, self.centre, self.momentum))
        return loss

    def after_backward(self, now: Now) -> None:
        if self.clip:
            gradients = [weight.grad for weight in self.student.parameters()]
            clip([gradient for gradient in gradients if gradient is not None], self.clip)
        if now.epoch < self.freeze_epochs:
            assert isinstance(self.student.head, Head)
            self.student.head.last.weight.grad = None

    def after_step(self, now: Now) -> None:
        follow(self.teacher, self.student, now.cosine(self.target_momentum, 1.0))


def make(params: squeeze.DINO, network: Backbone, draw: torch.Generator) -> DINO:
    return DINO(params, network, draw)
