"""Order the training images of each class by how often a network forgets them while it learns.

Toneva et al., arXiv 1812.05159, section 3: a forgetting event is an image that was classified right
when it was last presented and is classified wrong now. An image that is never classified right
counts as one that is forgotten most (section 4). Predictions are those of the training batches,
before the step, as in algorithm 1.

The training is that of the released program (SGD with Nesterov's momentum, steps), but for Cutout.
"""

import argparse
import math
import sys
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from scdd.artifacts.config import Frozen
from scdd.artifacts.dataset import DatasetInfo
from scdd.artifacts.order import save_order
from scdd.data.batches import batch_count, views
from scdd.data.source import Split, open_dataset
from scdd.errors import ScddError
from scdd.jobs import arguments, runtime
from scdd.jobs.curve import Curve
from scdd.jobs.epochs import Epochs, Part
from scdd.jobs.progress import say
from scdd.jobs.saved import JobState
from scdd.networks.backbone import Backbone, in_channels_last
from scdd.networks.build import build
from scdd.networks.numbers import TorchNumbers
from scdd.networks.precision import autocast
from scdd.networks.schedules import stepped
from scdd.params.network import Network
from scdd.params.select import Forgetting
from scdd.params.views import Transform
from scdd.rng import generator
from scdd.views.mixing import draw_epoch


class Memory:
    """What is known about each of `n` images, on the device.

    events int64 [n]: how often it was forgotten. last, learnt bool [n]: whether it was right at its
    last presentation, and at any.
    """

    def __init__(self, n: int, device: torch.device) -> None:
        self.events = torch.zeros(n, dtype=torch.int64, device=device)
        self.last = torch.zeros(n, dtype=torch.bool, device=device)
        self.learnt = torch.zeros(n, dtype=torch.bool, device=device)

    def present(self, index: Tensor, right: Tensor) -> None:
        """The images `index` int64 [b], each at most once, were right or not, bool [b]."""
        self.events[index] += self.last[index] & ~right
        self.last[index] = right
        self.learnt[index] |= right

    def counts(self, presentations: int) -> Tensor:
        """int64 [n] (CPU): the events; for an image that was never learnt all presentations, as in
        the released program."""
        return torch.where(self.learnt, self.events, presentations).cpu()


def batches(
    split: Split,
    info: DatasetInfo,
    params: Forgetting,
    epoch: int,
    skip: int,
    device: torch.device,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Index int64 [b] and views float32 [b, 3, R, R], normalised, of an epoch's batches but the
    first `skip`, on the device."""
    transform = Transform(params.view)
    draws = draw_epoch(transform, len(split), info.resolution, params.seed, epoch)
    order = torch.randperm(len(split), generator=generator(params.seed, "order", epoch))
    order = order[skip * params.batch :]
    # pixels on the device are indexed there, files on the CPU
    order = order if split.pixels is None else order.to(device)
    return views(split, order, params.batch, draws.to(device), transform.mix, info)


def train(
    network: Backbone,
    split: Split,
    info: DatasetInfo,
    params: Forgetting,
    device: torch.device,
    saved: JobState | None = None,
) -> Tensor:
    """Train `network` in place on the device; returns the forgetting counts int64 [n] (CPU).

    saved: where to resume from, and where to leave the state. Raises ScddError, naming the epoch,
    if the loss is not finite.
    """
    in_channels_last(network.to(device)).train()
    split = split.to(device)
    optimizer = torch.optim.SGD(
        network.parameters(),
        lr=params.lr,
        momentum=params.momentum,
        weight_decay=params.weight_decay,
        nesterov=True,
        fused=True,
    )
    # dropout and stochastic depth draw from torch's own numbers
    torch.manual_seed(generator(params.seed, "dropout").initial_seed())
    labels = split.labels.to(device)
    memory = Memory(len(split), device)
    total = torch.zeros((), device=device)
    curve = Curve("forgetting", ("epoch", "lr", "loss"), saved)
    state: dict[str, Part] = {
        "network": network,
        "optimizer": optimizer,
        "total": total,
        "memory": vars(memory),
        "curve": curve,
        "numbers": TorchNumbers(device),
    }
    steps = batch_count(len(split), params.batch)
    run = Epochs("forgetting", params.epochs, steps, saved, state)
    for epoch in run:
        rate = stepped(epoch, params.epochs, params.lr, params.milestones, params.factor)
        optimizer.param_groups[0]["lr"] = rate
        for index, seen in run.steps_of(batches(split, info, params, epoch, run.skip, device)):
            with autocast(device, params.precision):
                logits = network(seen)
            memory.present(index, logits.detach().argmax(1) == labels[index])
            loss = F.cross_entropy(logits.float(), labels[index])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            total += loss.detach()
        mean = total.item() / steps  # the epoch's one wait for the device
        if not math.isfinite(mean):
            raise ScddError(
                f"the loss is not finite in epoch {epoch + 1} of {params.epochs}: lower "
                f"forgetting.lr ({params.lr})."
            )
        curve.add(epoch + 1, rate, mean)
        total.zero_()
    return memory.counts(params.epochs)


def ranks(counts: Tensor, labels: Tensor, classes: tuple[str, ...], seed: int) -> Tensor:
    """int64 [n]: the place of each image in its class, from 0 for the highest of the counts int64
    [n]; equal ones in an order drawn from (seed, class name). labels: int64 [n]."""
    rank = torch.empty_like(labels)
    for label, name in enumerate(classes):
        members = (labels == label).nonzero().flatten()
        drawn = torch.randperm(len(members), generator=generator(seed, "ties", name))
        members = members[drawn]
        order = counts[members].argsort(descending=True, stable=True)
        rank[members[order]] = torch.arange(len(members))
    return rank


def work(args: argparse.Namespace, config: Frozen, device: torch.device, saved: JobState) -> None:
    params = Forgetting.of(config.params)
    dataset = open_dataset(args.data, args.root)
    info, labels = dataset.info, dataset.train.labels
    architecture = Network.of(config.params)
    network = build(
        architecture, len(info.classes), info.resolution, generator(params.seed, "weights")
    )
    counts = train(network, dataset.train, info, params, device, saved)
    never = (counts == params.epochs).sum().item()
    say(
        f"of {len(counts)} images {(counts == 0).sum().item()} were never forgotten, "
        f"{never} never learnt"
    )
    rank = ranks(counts, labels, info.classes, params.seed)
    environment = runtime.environment(device)
    save_order(args.out, rank, info.classes, config.digest, environment, counts=counts)


def main(argv: list[str] | None = None) -> int:
    parser = arguments.long_parser(__doc__, "data", "root", out="the order to write")
    return runtime.run_long("forgetting", parser, work, argv, outputs=("out",))


if __name__ == "__main__":
    sys.exit(main())
