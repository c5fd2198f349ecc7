"""MoCo v3 for ResNets (arXiv 2104.02057): no queue, a predictor, momentum rising to 1.

Algorithm 1 and section 3: each view's prediction is to find the other view's key among those of
the whole batch; the loss is multiplied by 2 tau. Heads as in section 4.2 and the authors' code for
ResNets: two linear layers each, a BatchNorm after each but the predictor's last, without weights
after the projector's last.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from scdd.networks.backbone import Backbone
from scdd.networks.resnet import initialise
from scdd.params import squeeze
from scdd.squeeze import processes
from scdd.squeeze.engine import Method, Now
from scdd.squeeze.heads import Encoder, follow, momentum_copy, unit
from scdd.squeeze.norm import group_batch_norms


def contrast(queries: Tensor, keys: Tensor, own: Tensor, temperature: float) -> Tensor:
    """InfoNCE times 2 `temperature` (algorithm 1), mean over the queries.

    queries: unit vectors [n, dim]; keys: [m, dim]; own: int64 [n], the place of each query's key.
    """
    logits = queries @ keys.T / temperature
    return 2 * temperature * functional.cross_entropy(logits, own)


def layers(inputs: int, hidden: int, outputs: int) -> list[nn.Module]:
    return [
        nn.Linear(inputs, hidden, bias=False),
        nn.BatchNorm1d(hidden),
        nn.ReLU(),
        nn.Linear(hidden, outputs, bias=False),
    ]


class MoCoV3(Method):
    views = 2

    def __init__(self, params: squeeze.MoCoV3, network: Backbone, draw: torch.Generator) -> None:
        super().__init__()
        self.target_momentum, self.temperature = params.target_momentum, params.temperature
        hidden, dim = params.hidden, params.dim
        last = nn.BatchNorm1d(dim, affine=False)
        projector = nn.Sequential(*layers(network.fc.in_features, hidden, dim), last)
        self.query = Encoder(network, projector, draw)
        self.predictor = nn.Sequential(*layers(dim, hidden, dim))
        initialise(self.predictor, draw)
        self.channels_last = not group_batch_norms(self, params.bn_groups)
        self.key = momentum_copy(self.query)

    def loss(self, views: list[Tensor], labels: Tensor, now: Now) -> Tensor:
        """Labels are not used."""
        queries = [unit(self.predictor(self.query(view))) for view in views]
        with torch.no_grad():
            keys = [processes.gathered(unit(self.key(view))) for view in views]
        own = torch.arange(len(keys[0]), device=labels.device)[processes.own()]
        # the similarities may be divided by a small temperature: keep them in float32
        with torch.autocast(labels.device.type, enabled=False):
            first = contrast(queries[0], keys[1], own, self.temperature)
            return first + contrast(queries[1], keys[0], own, self.temperature)

    def after_step(self, now: Now) -> None:
        # the authors move the keys' encoder at the start of the next step, by that step's momentum
        after = Now(now.step + 1, now.per_epoch, now.epochs)
        follow(self.key, self.query, after.cosine(self.target_momentum, 1.0))


def make(params: squeeze.MoCoV3, network: Backbone, draw: torch.Generator) -> MoCoV3:
    return MoCoV3(params, network, draw)
