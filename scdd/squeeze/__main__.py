"""Train a backbone on a dataset, by self-supervision or with labels, and save it without `fc`; or
import one that others trained.

Several GPUs of one machine train it together, with the same batch and the same BN groups:
`torchrun --nproc_per_node=N -m scdd.squeeze ...`, where the workflow's log shows the rest.
"""

import csv
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import torch

from scdd.artifacts.config import Frozen
from scdd.artifacts.files import replacing
from scdd.artifacts.network import Checkpoint, save_checkpoint
from scdd.data.source import open_dataset
from scdd.errors import ScddError
from scdd.jobs import arguments, runtime
from scdd.jobs.progress import say
from scdd.jobs.saved import JobState
from scdd.networks.resnet import backbone_state, build
from scdd.params.network import Network
from scdd.params.squeeze import SQUEEZES
from scdd.rng import generator
from scdd.squeeze import engine, processes
from scdd.squeeze.methods import module
from scdd.squeeze.views import crops_of


def work(args: Namespace, config: Frozen, device: torch.device, saved: JobState) -> None:
    params = config.params
    dataset = open_dataset(args.data, args.root)
    classes = dataset.info.classes
    architecture = Network.of(params)
    environment = runtime.environment(device)

    def save(
        path: Path, state: dict[str, torch.Tensor], source: dict[str, Any] | None = None
    ) -> None:
        backbone = Checkpoint("backbone", architecture, classes, state, config.digest, source)
        save_checkpoint(path, backbone, environment)

    if params["method"] == "imported":
        if processes.rank() > 0:
            return  # there is nothing to share
        if args.checkpoint is None:
            raise ScddError("--checkpoint is needed: the file that this squeeze imports.")
        state, source = module("imported").load(args.checkpoint, params, architecture)
        say(f"imported from {source['file']}, layout {source['layout']}, {source['sha256']}")
        write_history(args.history, [])
        save(args.out, state, source)
        return
    chosen = SQUEEZES[params["method"]].of(params)
    draw = generator(params["seed"], "weights")
    network = build(architecture, len(classes), draw)
    method = module(params["method"]).make(chosen, network, draw)
    history = []
    if method is not None:
        crops = crops_of(chosen, method.views, dataset.info.resolution)
        try:
            history = engine.train(
                method,
                network,
                dataset.train,
                dataset.info,
                chosen,
                crops,
                device,
                saved,
                args.compile,
            )
        except engine.Diverged as error:
            # beside the outputs it would be deleted by Snakemake
            kept = args.work / "last_good.safetensors"
            save(kept, error.state)
            raise ScddError(
                f"the loss is not finite in epoch {error.epoch} of {chosen.epochs}: lower "
                f"squeeze.lr ({chosen.lr}). The backbone of the epoch before is in {kept}."
            ) from None
    if processes.rank() == 0:
        write_history(args.history, history)
        save(args.out, backbone_state(network))


def write_history(path: Path, history: list[engine.Row]) -> None:
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["epoch", "lr", "loss", "knn"])
        rows.writerows(history)


def main(argv: list[str] | None = None) -> int:
    parser = arguments.long_parser(
        __doc__, "data", "root", "history", out="backbone checkpoint to write"
    )
    parser.add_argument("--checkpoint", type=Path, help="file to import (method imported)")
    with processes.joined():
        return runtime.run_long("squeeze", parser, work, argv, outputs=("out", "history"))


if __name__ == "__main__":
    sys.exit(main())
