"""MoCo v2 (arXiv 2003.04297): a queue of keys, a momentum encoder, an MLP head.

As in the authors' demo for CIFAR on one GPU: a loss symmetric in the two views if asked, and
BatchNorm statistics by groups of the batch in place of those of several GPUs.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from scdd.models import ResNet, initialise
from scdd.squeeze.engine import Method


class GroupedBatchNorm(nn.BatchNorm2d):
    """Training statistics of `groups` interleaved parts of the batch (image i is in group
    i mod groups); the running ones are the mean of what each group would have made of them."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__(channels)
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        n, channels, height, width = x.shape
        mean, variance = self.running_mean.repeat(self.groups), self.running_var.repeat(self.groups)
        normal = functional.batch_norm(
            x.reshape(n // self.groups, self.groups * channels, height, width),
            mean,
            variance,
            self.weight.repeat(self.groups),
            self.bias.repeat(self.groups),
            training=True,
            momentum=self.momentum,
            eps=self.eps,
        )
        with torch.no_grad():
            self.running_mean.copy_(mean.view(self.groups, channels).mean(0))
            self.running_var.copy_(variance.view(self.groups, channels).mean(0))
            self.num_batches_tracked += 1
        return normal.reshape(x.shape)


def group_batch_norms(network: nn.Module, groups: int) -> None:
    """Replace every freshly initialised BatchNorm2d of the network; keys stay the same."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, GroupedBatchNorm(child.num_features, groups))


class Encoder(nn.Module):
    """Backbone and MLP head: images to unit vectors float32 [n, dim]."""

    def __init__(self, network: ResNet, dim: int, draw: torch.Generator) -> None:
        super().__init__()
        width = network.fc.in_features
        self.network = network
        self.head = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, dim))
        initialise(self.head, draw)

    def forward(self, images: Tensor) -> Tensor:
        return functional.normalize(self.head(self.network.features(images)).float(), dim=1)


def contrast(queries: Tensor, keys: Tensor, queue: Tensor, temperature: float) -> Tensor:
    """InfoNCE (MoCo, arXiv 1911.05722, equation 1), mean over the queries.

    queries, keys: unit vectors [n, dim], row by row of the same images; queue: [K, dim].
    """
    positive = (queries * keys).sum(1, keepdim=True)
    logits = torch.cat([positive, queries @ queue.T], dim=1) / temperature
    return functional.cross_entropy(logits, logits.new_zeros(len(logits), dtype=torch.long))


class MoCoV2(Method):
    views = 2

    def __init__(self, params: dict[str, Any], network: ResNet, draw: torch.Generator) -> None:
        super().__init__()
        self.ema, self.temperature = params["ema"], params["temperature"]
        self.symmetric, self.groups = params["symmetric"], params["bn_groups"]
        # splitting channels_last batches into groups would copy them
        self.channels_last = self.groups == 1
        if self.groups > 1:
            group_batch_norms(network, self.groups)
        self.query = Encoder(network, params["dim"], draw)
        self.key = copy.deepcopy(self.query).requires_grad_(False)
        queue = torch.randn(params["queue"], params["dim"], generator=draw)
        self.register_buffer("queue", functional.normalize(queue, dim=1))
        self.oldest = 0
        # Keys are grouped otherwise than queries, or shared statistics would give the pairs away:
        # neighbours in the batch (whose order is random) instead of every groups-th image.
        shuffle = torch.arange(params["batch"]).view(self.groups, -1).T.reshape(-1)
        self.register_buffer("shuffle", shuffle)
        self.register_buffer("unshuffle", shuffle.argsort())

    def get_extra_state(self) -> int:
        """What a saved state needs beside tensors: where the next keys go."""
        return self.oldest

    def set_extra_state(self, oldest: int) -> None:
        self.oldest = oldest

    @torch.no_grad()
    def encode_keys(self, images: Tensor) -> Tensor:
        return self.key(images[self.shuffle])[self.unshuffle]

    def loss(self, views: list[Tensor], labels: Tensor) -> Tensor:
        """Labels are not looked at. The keys join the queue after the step."""
        first, second = views
        pairs = [(first, second), (second, first)] if self.symmetric else [(first, second)]
        queries = [self.query(one) for one, _ in pairs]
        keys = [self.encode_keys(other) for _, other in pairs]
        # the similarities are divided by a small temperature: keep them in float32
        with torch.autocast(first.device.type, enabled=False):
            losses = [
                contrast(query, key, self.queue, self.temperature)
                for query, key in zip(queries, keys, strict=True)
            ]
        self.fresh = torch.cat(keys)
        return sum(losses[1:], losses[0])

    @torch.no_grad()
    def enqueue(self, keys: Tensor) -> None:
        """Overwrite the oldest keys of the ring, in order."""
        size = len(self.queue)
        keys = keys[-size:]
        places = torch.arange(self.oldest, self.oldest + len(keys), device=keys.device) % size
        self.queue[places] = keys
        self.oldest = (self.oldest + len(keys)) % size

    @torch.no_grad()
    def after_step(self) -> None:
        pairs = list(self.key.parameters()), list(self.query.parameters())
        torch._foreach_lerp_(*pairs, 1 - self.ema)
        self.enqueue(self.fresh)


def make(params: dict[str, Any], network: ResNet, draw: torch.Generator) -> MoCoV2:
    return MoCoV2(params, network, draw)
