"""Train some experts over a range of epochs, and keep their parameters after each of them.

A later range goes on from the file of the one before (--previous).
"""

import argparse
from pathlib import Path

import torch

from scdd.artifacts.config import Frozen
from scdd.artifacts.experts import Space, last_parameters, save_experts
from scdd.data.source import open_dataset
from scdd.errors import ScddError
from scdd.jobs import arguments, runtime
from scdd.jobs.progress import say
from scdd.jobs.saved import JobState
from scdd.learn.experts import start, train
from scdd.learn.real import RealImages
from scdd.learn.seen import Seen
from scdd.networks.students import ConvNet, build
from scdd.params.learn import Experts
from scdd.params.network import Network
from scdd.rng import generator


def work(args: argparse.Namespace, config: Frozen, device: torch.device, saved: JobState) -> None:
    params, architecture = Experts.of(config.params), Network.of(config.params["network"])
    dataset = open_dataset(args.data, args.root)
    info, experts = dataset.info, range(*args.experts)
    count, resolution = len(info.classes), info.resolution
    seen = Seen(info, args.data, args.whitening, config.parents.get("whitening"), device)
    space = Space(architecture, info.classes, info.mean, info.std, seen.hash)
    first = args.epochs[0] == 0
    if not first and args.previous is None:
        raise ScddError("--previous is needed: the file of the epochs before.")
    flat = (
        torch.stack([start(architecture, count, resolution, params.seed, e) for e in experts])
        if first
        else last_parameters(args.previous, space, config.digest, args.experts, args.epochs[0])
    )
    before = flat.clone()
    network = build(architecture, count, resolution, generator("experts"))
    assert isinstance(network, ConvNet)
    real = RealImages(dataset.train.to(device), count, seen.forwards)
    together = device.type == "cuda"
    parameters = train(
        network.to(device),
        flat.to(device),
        real,
        params,
        experts,
        args.epochs,
        together,
        saved,
    )
    if first:
        parameters = torch.cat([before[None], parameters])
    say(f"{len(experts)} experts of {flat.shape[1]} parameters")
    record = {
        "digest": config.digest,
        "seed": params.seed,
        "together": together,
        "env": runtime.environment(device),
    }
    save_experts(
        args.out,
        parameters,
        space,
        experts=args.experts,
        epochs=args.epochs,
        storage=params.storage,
        record=record,
    )


def main(argv: list[str] | None = None) -> int:
    parser = arguments.long_parser(
        __doc__, "data", "root", "epochs", out="the file of experts to write"
    )
    parser.add_argument("--experts", type=arguments.span, required=True, help="which: 0:10")
    parser.add_argument("--previous", type=Path, help="the file of the range of epochs before")
    parser.add_argument("--whitening", type=Path, help="whitening.safetensors, if images are")
    return runtime.run_long("experts", parser, work, argv, outputs=("out",))


if __name__ == "__main__":
    raise SystemExit(main())
