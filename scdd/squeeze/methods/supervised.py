"""Cross-entropy with labels: the squeeze of SRe2L (arXiv 2306.13092)."""

import torch
from torch import Tensor
from torch.nn import functional

from scdd.networks.backbone import Backbone
from scdd.params import squeeze
from scdd.squeeze.engine import Method, Now
from scdd.squeeze.norm import group_batch_norms


class Supervised(Method):
    def __init__(self, params: squeeze.Supervised, network: Backbone) -> None:
        super().__init__()
        self.channels_last = not group_batch_norms(network, params.bn_groups)
        self.network = network

    def loss(self, views: list[Tensor], labels: Tensor, now: Now) -> Tensor:
        return functional.cross_entropy(self.network(views[0]).float(), labels)


def make(params: squeeze.Supervised, network: Backbone, draw: torch.Generator) -> Supervised:
    return Supervised(params, network)
