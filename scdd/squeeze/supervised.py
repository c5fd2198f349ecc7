"""Cross-entropy with labels: the squeeze of SRe2L (arXiv 2306.13092)."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from scdd.models import ResNet
from scdd.squeeze.engine import Method, Now
from scdd.squeeze.norm import group_batch_norms


class Supervised(Method):
    def __init__(self, params: dict[str, Any], network: ResNet) -> None:
        super().__init__()
        self.channels_last = not group_batch_norms(network, params.get("bn_groups", 1))
        self.network = network

    def loss(self, views: list[Tensor], labels: Tensor, now: Now) -> Tensor:
        return functional.cross_entropy(self.network(views[0]).float(), labels)


def make(params: dict[str, Any], network: ResNet, draw: torch.Generator) -> Supervised:
    return Supervised(params, network)
