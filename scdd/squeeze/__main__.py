"""Train a backbone on a dataset, by self-supervision or with labels, and save it without `fc`; or
import one that others trained.

Several GPUs of one machine train it together, with the same batch and the same BN groups:
`torchrun --nproc_per_node=N -m scdd.squeeze ...`, where the workflow's log shows the rest.
"""

import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scdd.artifacts.config import Frozen
from scdd.artifacts.files import write_text
from scdd.artifacts.network import Checkpoint, save_checkpoint
from scdd.data.source import Dataset, open_dataset
from scdd.errors import ScddError
from scdd.jobs import arguments, runtime
from scdd.jobs.curve import Row, csv_text
from scdd.jobs.progress import say
from scdd.jobs.saved import JobState
from scdd.networks.resnet import backbone_state, build
from scdd.params.network import Network
from scdd.params.squeeze import SQUEEZES, Training
from scdd.rng import generator
from scdd.squeeze import engine, processes
from scdd.squeeze.methods import module
from scdd.squeeze.views import crops_of


def work(args: Namespace, config: Frozen, device: torch.device, saved: JobState) -> None:
    dataset = open_dataset(args.data, args.root)
    source: dict[str, Any] | None = None
    if config.params["method"] == "imported":
        if processes.rank() > 0:
            return  # there is nothing to share
        state, source = import_backbone(args.checkpoint, config)
        history: list[Row] = []
    else:
        state, history = train_backbone(args, config, dataset, device, saved)
    if processes.rank() == 0:
        write_text(args.history, csv_text(engine.COLUMNS, history))
        save_backbone(args.out, state, config, dataset, device, source)


def import_backbone(
    checkpoint: Path | None, config: Frozen
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a backbone that others trained, and where it is from. Raises ScddError if
    the file is missing or does not hold it."""
    if checkpoint is None:
        raise ScddError("--checkpoint is needed: the file that this squeeze imports.")
    architecture = Network.of(config.params)
    state: dict[str, Tensor]
    source: dict[str, Any]
    state, source = module("imported").load(checkpoint, config.params, architecture)
    say(f"imported from {source['file']}, layout {source['layout']}, {source['sha256']}")
    return state, source


def train_backbone(
    args: Namespace, config: Frozen, dataset: Dataset, device: torch.device, saved: JobState
) -> tuple[dict[str, Tensor], list[Row]]:
    """The trained backbone's tensors, and the history of its epochs; untrained: none.

    Raises ScddError if the loss is not finite; the last good backbone is then in --work.
    """
    params = SQUEEZES[config.params["method"]].of(config.params)
    draw = generator(config.params["seed"], "weights")
    network = build(Network.of(config.params), len(dataset.info.classes), draw)
    method = module(config.params["method"]).make(params, network, draw)
    if method is None:
        return backbone_state(network), []
    assert isinstance(params, Training)
    try:
        history = engine.train(
            method,
            network,
            dataset.train,
            dataset.info,
            params,
            crops_of(params, method.views, dataset.info.resolution),
            device,
            saved,
            args.compile,
        )
    except engine.Diverged as error:
        # not beside the outputs, where Snakemake would delete it
        last_good = args.work / "last_good.safetensors"
        save_backbone(last_good, error.state, config, dataset, device)
        raise ScddError(
            f"the loss is not finite in epoch {error.epoch} of {params.epochs}: lower "
            f"squeeze.lr ({params.lr}). The backbone of the epoch before is in {last_good}."
        ) from None
    return backbone_state(network), history


def save_backbone(
    path: Path,
    state: dict[str, Tensor],
    config: Frozen,
    dataset: Dataset,
    device: torch.device,
    source: dict[str, Any] | None = None,
) -> None:
    """Write the checkpoint of a backbone; source: where an imported one is from."""
    architecture, classes = Network.of(config.params), dataset.info.classes
    backbone = Checkpoint("backbone", architecture, classes, state, config.digest, source)
    save_checkpoint(path, backbone, runtime.environment(device))


def main(argv: list[str] | None = None) -> int:
    parser = arguments.long_parser(
        __doc__, "data", "root", "history", out="backbone checkpoint to write"
    )
    parser.add_argument("--checkpoint", type=Path, help="file to import (method imported)")
    with processes.joined():
        return runtime.run_long("squeeze", parser, work, argv, outputs=("out", "history"))


if __name__ == "__main__":
    sys.exit(main())
