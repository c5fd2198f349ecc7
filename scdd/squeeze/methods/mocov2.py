"""MoCo v2 (arXiv 2003.04297): a queue of keys, a momentum encoder, an MLP head.

As in the authors' demo for CIFAR on one GPU: a loss symmetric in the two views if asked, and
BatchNorm statistics of groups of the batch in place of those of several GPUs.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from scdd.networks.backbone import Backbone
from scdd.params import squeeze
from scdd.squeeze import processes
from scdd.squeeze.engine import Method, Now
from scdd.squeeze.heads import Encoder, follow, momentum_copy, unit
from scdd.squeeze.norm import group_batch_norms


def contrast(queries: Tensor, keys: Tensor, queue: Tensor, temperature: float) -> Tensor:
    """InfoNCE (MoCo, arXiv 1911.05722, equation 1), mean over the queries.

    queries, keys: unit vectors [n, dim], row by row of the same images; queue: [K, dim].
    """
    positive = (queries * keys).sum(1, keepdim=True)
    logits = torch.cat([positive, queries @ queue.T], dim=1) / temperature
    return functional.cross_entropy(logits, logits.new_zeros(len(logits), dtype=torch.long))


class MoCoV2(Method):
    views = 2
    queue: Tensor
    fresh: Tensor
    shuffle: Tensor
    unshuffle: Tensor

    def __init__(self, params: squeeze.MoCoV2, network: Backbone, draw: torch.Generator) -> None:
        super().__init__()
        self.target_momentum, self.temperature = params.target_momentum, params.temperature
        self.symmetric, self.groups = params.symmetric, params.bn_groups
        self.channels_last = not group_batch_norms(network, self.groups)
        width = network.fc.in_features
        head = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, params.dim))
        self.query = Encoder(network, head, draw)
        self.key = momentum_copy(self.query)
        queue = torch.randn(params.queue, params.dim, generator=draw)
        self.register_buffer("queue", functional.normalize(queue, dim=1))
        self.oldest = 0
        # a step's keys, which join the queue after it
        both = 2 if self.symmetric else 1
        fresh = torch.zeros(both * params.batch, params.dim)
        self.register_buffer("fresh", fresh, persistent=False)
        # Keys are in other groups than queries, or shared statistics would give the pairs away:
        # neighbours in the batch (whose order is random) instead of every groups-th image.
        shuffle = torch.arange(params.batch).view(self.groups, -1).T.reshape(-1)
        self.register_buffer("shuffle", shuffle)
        self.register_buffer("unshuffle", shuffle.argsort())

    def get_extra_state(self) -> int:
        """What a saved state needs beside tensors: where the next keys go."""
        return self.oldest

    def set_extra_state(self, oldest: int) -> None:
        self.oldest = oldest

    @torch.no_grad()
    def encode_keys(self, images: Tensor) -> Tensor:
        """Of all processes' images, in the batch's order."""
        own = processes.gathered(images)[self.shuffle[processes.own()]]
        return processes.gathered(unit(self.key(own)))[self.unshuffle]

    def loss(self, views: list[Tensor], labels: Tensor, now: Now) -> Tensor:
        """Labels are not used. The keys join the queue after the step."""
        first, second = views
        pairs = [(first, second), (second, first)] if self.symmetric else [(first, second)]
        queries = [unit(self.query(view)) for view, _ in pairs]
        keys = [self.encode_keys(other) for _, other in pairs]
        # the similarities are divided by a small temperature: keep them in float32
        with torch.autocast(first.device.type, enabled=False):
            losses = [
                contrast(query, key[processes.own()], self.queue, self.temperature)
                for query, key in zip(queries, keys, strict=True)
            ]
        self.fresh.copy_(torch.cat(keys))
        return sum(losses[1:], losses[0])

    @torch.no_grad()
    def enqueue(self, keys: Tensor) -> None:
        """Overwrite the oldest keys of the ring, in order."""
        size = len(self.queue)
        keys = keys[-size:]
        places = torch.arange(self.oldest, self.oldest + len(keys), device=keys.device) % size
        self.queue[places] = keys
        self.oldest = (self.oldest + len(keys)) % size

    def after_step(self, now: Now) -> None:
        follow(self.key, self.query, self.target_momentum)
        self.enqueue(self.fresh)


def make(params: squeeze.MoCoV2, network: Backbone, draw: torch.Generator) -> MoCoV2:
    return MoCoV2(params, network, draw)
