"""k-NN accuracy of a backbone while it is trained; it changes nothing.

Cosine similarity, 20 neighbours, votes weighted by exp(similarity / 0.07) (Wu et al., arXiv
1805.01978, section 3.4; k as in DINO, arXiv 2104.14294, section 4.1).
"""

import torch
from torch import Tensor
from torch.nn import functional

from scdd.artifacts.dataset import DatasetInfo
from scdd.data.source import Split
from scdd.networks.backbone import Backbone
from scdd.rng import generator
from scdd.views.pixels import normalise
from scdd.views.products import exact_products

NEIGHBOURS, TEMPERATURE = 20, 0.07
MOST = 20_000  # training images that are used; a tenth of them are the queries
BATCH = 256


@exact_products()
def vote(bank: Tensor, labels: Tensor, queries: Tensor, classes: int) -> Tensor:
    """Predicted classes int64 [m] of unit vectors `queries` [m, d] by `bank` [n, d] of int64
    `labels` [n]."""
    close, places = (queries @ bank.T).topk(min(NEIGHBOURS, len(bank)), dim=1)
    votes = torch.zeros(len(queries), classes, device=bank.device)
    votes.scatter_add_(1, labels[places], torch.exp(close / TEMPERATURE))
    return votes.argmax(1)


@torch.no_grad()
def accuracy(network: Backbone, split: Split, info: DatasetInfo, device: torch.device) -> float:
    """Percent of held-out training images that the others classify right; always the same images.

    split: the training images, on the device. The network stays as it is.
    """
    rows = torch.randperm(len(split), generator=generator("knn"))[:MOST]
    training = network.training
    network.eval()
    where = rows if split.pixels is None else rows.to(device)
    features = torch.cat(
        [
            functional.normalize(network.features(normalise(images, info)), dim=1)
            for _, images in split.batches(where, BATCH, device)
        ]
    )
    network.train(training)
    labels = split.labels[rows].to(device)
    count = max(1, len(rows) // 10)  # of queries
    predicted = torch.cat(
        [
            vote(features[count:], labels[count:], queries, len(info.classes))
            for queries in features[:count].split(BATCH)
        ]
    )
    return 100 * (predicted == labels[:count]).sum().item() / count
