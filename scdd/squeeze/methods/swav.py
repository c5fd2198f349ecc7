"""SwAV (arXiv 2006.09882): views agree about how the batch divides into clusters.

The codes of a large view, made by Sinkhorn-Knopp with equal parts for all prototypes (section
3.1), are to be predicted from every other view, large or small (sections 3.2 and 3.3). A queue
of embeddings joins a small batch from some epoch on, once it is full (section 4.1 and the authors'
code). Networks are exported with running BatchNorm statistics of the views of both sizes.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from scdd.networks.backbone import Backbone
from scdd.networks.resnet import initialise
from scdd.params import squeeze
from scdd.squeeze import processes
from scdd.squeeze.engine import Method, Now
from scdd.squeeze.heads import Encoder, unit
from scdd.squeeze.norm import group_batch_norms


def codes(scores: Tensor, epsilon: float, iterations: int) -> Tensor:
    """Soft assignments [n, k] of rows to prototypes by Sinkhorn-Knopp (equations 3 to 5).

    scores: similarities [n, k]. Rows sum to 1; after enough iterations columns to n / k.
    """
    # a factor common to all is divided out: without the largest score nothing overflows
    shares = torch.exp((scores - scores.max()) / epsilon)
    for _ in range(iterations):
        shares = shares / shares.sum(0)
        shares = shares / shares.sum(1, keepdim=True)
    return shares


def swapped(scores: list[Tensor], assigned: list[Tensor], temperature: float) -> Tensor:
    """Mean cross-entropy of each large view's codes and every other view's softmax (equation 6).

    scores: [n, k] of each view, the large ones first; assigned: [n, k] codes of the large ones.
    """
    predicted = [functional.log_softmax(of_view / temperature, dim=1) for of_view in scores]
    terms = [
        -(code * other).sum(1).mean()
        for place, code in enumerate(assigned)
        for view, other in enumerate(predicted)
        if view != place
    ]
    return torch.stack(terms).mean()


class SwAV(Method):
    views = 2
    queue: Tensor
    fresh: Tensor

    def __init__(self, params: squeeze.SwAV, network: Backbone, draw: torch.Generator) -> None:
        super().__init__()
        self.temperature, self.epsilon = params.temperature, params.epsilon
        self.iterations, self.freeze_steps = params.iterations, params.freeze_steps
        self.batch, self.queue_from = params.batch, params.queue_from
        dim, hidden = params.dim, params.hidden
        projector = nn.Sequential(
            nn.Linear(network.fc.in_features, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Linear(hidden, dim),
        )
        self.encoder = Encoder(network, projector, draw)
        self.prototypes = nn.Linear(dim, params.prototypes, bias=False)
        initialise(self.prototypes, draw)
        self.channels_last = not group_batch_norms(self, params.bn_groups)
        self.register_buffer("queue", torch.zeros(self.views, params.queue, dim))
        # a step's embeddings of the large views, which join the queue after it
        fresh = torch.zeros(self.views, self.batch, dim)
        self.register_buffer("fresh", fresh, persistent=False)

    def joined(self, now: Now) -> int:
        """How many images have joined the queue before this step; negative before the first may."""
        return (now.step - self.queue_from * now.per_epoch) * self.batch

    def in_use(self, now: Now) -> bool:
        """Whether there is a queue, and it is full."""
        return 0 < self.queue.shape[1] <= self.joined(now)

    def phase(self, now: Now) -> Now:
        """The queue takes part in the codes from when it is full."""
        filling = -(-self.queue.shape[1] // self.batch)
        full = self.queue_from * now.per_epoch + filling
        return replace(now, step=full if self.in_use(now) else 0)

    def loss(self, views: list[Tensor], labels: Tensor, now: Now) -> Tensor:
        """Labels are not used."""
        with torch.no_grad():
            self.prototypes.weight.copy_(unit(self.prototypes.weight))
        embeddings = unit(self.encoder.multi(views)).split(len(labels))
        with torch.autocast(labels.device.type, enabled=False):
            scores = [self.prototypes(each) for each in embeddings]
            assigned = [self.assign(place, embeddings[place], now) for place in range(self.views)]
            return swapped(scores, assigned, self.temperature)

    @torch.no_grad()
    def assign(self, place: int, embeddings: Tensor, now: Now) -> Tensor:
        """Codes of this process's rows of large view number `place`, among all processes' and the
        queue's, if that is in use."""
        everyone = processes.gathered(embeddings)
        self.fresh[place].copy_(everyone)
        known = torch.cat([everyone, self.queue[place]]) if self.in_use(now) else everyone
        shares = codes(known @ self.prototypes.weight.T, self.epsilon, self.iterations)
        return shares[: len(everyone)][processes.own()]

    def after_backward(self, now: Now) -> None:
        if now.step < self.freeze_steps:
            self.prototypes.weight.grad = None

    def after_step(self, now: Now) -> None:
        size, joined = self.queue.shape[1], self.joined(now)
        if size and joined >= 0:
            start = joined % size
            self.queue[:, start : start + self.batch] = self.fresh


def make(params: squeeze.SwAV, network: Backbone, draw: torch.Generator) -> SwAV:
    return SwAV(params, network, draw)
