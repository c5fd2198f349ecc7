"""SwAV (arXiv 2006.09882): views agree about how the batch divides into clusters.

The codes of a large view, made by Sinkhorn-Knopp with equal parts for all prototypes (section
3.1), are to be predicted from every other view, large or small (sections 3.2 and 3.3). A queue
of embeddings joins a small batch from some epoch on, once it is full (section 4.1 and the authors'
code). Networks are exported with running BatchNorm statistics of the views of both sizes.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from scdd.models import ResNet, initialise
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
    predicted = [functional.log_softmax(one / temperature, dim=1) for one in scores]
    terms = [
        -(code * other).sum(1).mean()
        for place, code in enumerate(assigned)
        for view, other in enumerate(predicted)
        if view != place
    ]
    return torch.stack(terms).mean()


class SwAV(Method):
    views = 2

    def __init__(self, params: dict[str, Any], network: ResNet, draw: torch.Generator) -> None:
        super().__init__()
        self.temperature, self.epsilon = params["temperature"], params["epsilon"]
        self.iterations, self.freeze_steps = params["iterations"], params["freeze_steps"]
        self.batch, self.queue_from = params["batch"], params["queue_from"]
        dim, hidden = params["dim"], params["hidden"]
        projector = nn.Sequential(
            nn.Linear(network.fc.in_features, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Linear(hidden, dim),
        )
        self.encoder = Encoder(network, projector, draw)
        self.prototypes = nn.Linear(dim, params["prototypes"], bias=False)
        initialise(self.prototypes, draw)
        self.channels_last = not group_batch_norms(self, params["bn_groups"])
        self.register_buffer("queue", torch.zeros(self.views, params["queue"], dim))

    def loss(self, views: list[Tensor], labels: Tensor, now: Now) -> Tensor:
        """Labels are not looked at. The embeddings join the queue, if there is one by now."""
        with torch.no_grad():
            self.prototypes.weight.copy_(unit(self.prototypes.weight))
        embeddings = unit(self.encoder.multi(views)).split(len(labels))
        with torch.autocast(labels.device.type, enabled=False):
            scores = [self.prototypes(one) for one in embeddings]
            assigned = [self.assign(place, embeddings[place], now) for place in range(self.views)]
            return swapped(scores, assigned, self.temperature)

    @torch.no_grad()
    def assign(self, place: int, embeddings: Tensor, now: Now) -> Tensor:
        """Codes of this process's rows of large view number `place`, among all processes' and the
        queue's."""
        everyone = processes.gathered(embeddings)
        queue = self.queue[place]
        joined = (now.step - self.queue_from * now.per_epoch) * self.batch
        known = torch.cat([everyone, queue]) if 0 < len(queue) <= joined else everyone
        if len(queue) and joined >= 0:
            start = joined % len(queue)
            queue[start : start + self.batch] = everyone
        found = codes(known @ self.prototypes.weight.T, self.epsilon, self.iterations)
        return found[: len(everyone)][processes.own()]

    def after_backward(self, now: Now) -> None:
        if now.step < self.freeze_steps:
            self.prototypes.weight.grad = None


def make(params: dict[str, Any], network: ResNet, draw: torch.Generator) -> SwAV:
    return SwAV(params, network, draw)
