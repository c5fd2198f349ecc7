"""Order the training images of each class as a coreset takes them, by a probed backbone's features.

The whole order is made at once: the features are computed once for all IPCs, and jobs on different
devices cannot take an image twice.
"""

import sys
from argparse import Namespace

import torch
from torch import Tensor

from scdd.artifacts.config import Frozen
from scdd.artifacts.dataset import DatasetInfo
from scdd.artifacts.order import save_order
from scdd.data.source import Split, open_dataset
from scdd.jobs import arguments, runtime
from scdd.jobs.epochs import Epochs
from scdd.jobs.saved import JobState
from scdd.networks.backbone import Backbone, features_of, in_eval_mode
from scdd.networks.teachers import load_teacher
from scdd.params.base import Precision
from scdd.params.select import Coreset
from scdd.select.orders import Method, method
from scdd.views.pixels import normalise

BATCH = 512  # images a pass


@torch.inference_mode()
def features(
    network: Backbone,
    split: Split,
    rows: Tensor,
    info: DatasetInfo,
    precision: Precision,
    device: torch.device,
) -> Tensor:
    """float32 [len(rows), d] of the clean images `rows`, on the device; the network is in eval
    mode."""
    rows = rows if split.pixels is None else rows.to(split.pixels.device)
    read = split.batches(rows, BATCH, device)
    return torch.cat(
        [features_of(network, normalise(images, info), precision) for _, images in read]
    )


def ranks(
    chosen: Method,
    network: Backbone,
    split: Split,
    info: DatasetInfo,
    device: torch.device,
    saved: JobState | None = None,
    precision: Precision = "float32",
) -> Tensor:
    """int64 [n]: the place of each training image in the order of its class, from 0.

    saved: where to resume from, and where to leave the state after each class. precision: of the
    passes through the network, 'float32' or 'bf16'.
    """
    in_eval_mode(network, device)
    split = split.to(device)
    rank = torch.empty(len(split), dtype=torch.int64)
    for label in Epochs("coreset, classes", len(info.classes), 1, saved, {"rank": rank}):
        members = (split.labels == label).nonzero().flatten()
        order = chosen.order(features(network, split, members, info, precision, device))
        rank[members[order.cpu()]] = torch.arange(len(members))
    return rank


def work(args: Namespace, config: Frozen, device: torch.device, saved: JobState) -> None:
    dataset = open_dataset(args.data, args.root)
    info = dataset.info
    network, _ = load_teacher(args.teacher, config, info.classes, args.data)
    chosen = method(config.params["method"])
    precision = Coreset.of(config.params).precision
    rank = ranks(chosen, network, dataset.train, info, device, saved, precision)
    save_order(args.out, rank, info.classes, config.digest, runtime.environment(device))


def main(argv: list[str] | None = None) -> int:
    parser = arguments.long_parser(__doc__, "data", "root", "teacher", out="the order to write")
    return runtime.run_long("coreset", parser, work, argv, outputs=("out",))


if __name__ == "__main__":
    sys.exit(main())
