"""Fit a ZCA whitening on all training images of a dataset, or read one that others fitted, and
whiten the dataset's validation images.

MTT and TESLA learn images in this space (kornia's ZCAWhitening, without mean and std), and students
of such images train and are tested in it.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from scdd.artifacts.config import Frozen
from scdd.artifacts.whitening import save_validation, save_whitening
from scdd.data.source import Split, open_dataset
from scdd.interop.contents import require_planned
from scdd.interop.whitenings import read_whitening
from scdd.jobs import arguments, runtime
from scdd.jobs.progress import say, track
from scdd.params.data import Whiten
from scdd.views.zca import Whitening, fit

BATCH = 1024  # images in a product


def _batches(split: Split, device: torch.device) -> Iterator[Tensor]:
    for _, images in split.batches(torch.arange(len(split)), BATCH, device):
        yield images


def _fitted(train: Split, eps: float, device: torch.device) -> Whitening:
    count = -(-len(train) // BATCH)
    images = track(_batches(train, device), "batches of training images", total=count)
    whitening = fit(images, eps).to(torch.float32)
    say(f"fitted on {len(train)} images of {len(whitening.mean)} values")
    return whitening


def _given(file: Path, planned: str, resolution: int, device: torch.device) -> Whitening:
    require_planned(file, [file], planned, file)
    return read_whitening(file, resolution).to(device)


def work(args: argparse.Namespace, config: Frozen, device: torch.device) -> None:
    dataset = open_dataset(args.data, args.root)
    val, cpu = dataset.val, torch.device("cpu")
    if "matrix" in config.params:
        resolution = dataset.info.resolution
        whitening = _given(args.matrix, config.params["matrix"], resolution, device)
    else:
        whitening = _fitted(dataset.train, Whiten.of(config.params).eps, device)
    save_whitening(
        args.out, whitening.to(cpu), dataset.info, config.digest, runtime.environment(device)
    )
    whitened = torch.cat([whitening.whiten(images) for images in _batches(val, device)])
    save_validation(args.val, whitened, val.labels, whitening.to(cpu), dataset.info)


def main(argv: list[str] | None = None) -> int:
    parser = arguments.parser(__doc__, "data", "root", out="whitening.safetensors to write")
    parser.add_argument("--val", type=Path, required=True, help="val.safetensors to write")
    parser.add_argument(
        "--matrix", type=Path, help="a whitening of others, in place of a fitted one"
    )
    return runtime.run("whiten", parser, work, argv)


if __name__ == "__main__":
    raise SystemExit(main())
