"""Learn the images of all classes by one of the classic methods.

Writes below --out the images as shards, history.csv with the loss by iteration, and
frames.safetensors with the first image of some classes on their way.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scdd.artifacts.config import Frozen, read_frozen
from scdd.artifacts.dataset import DatasetInfo
from scdd.artifacts.experts import Space, StoredExperts
from scdd.artifacts.files import write_text
from scdd.artifacts.frames import Frames, moments, save_frames
from scdd.artifacts.shards import save_shards
from scdd.artifacts.slots import slot_ranges, snapshot_folder
from scdd.data.sample import in_random_order
from scdd.data.source import Dataset, open_dataset
from scdd.errors import ScddError
from scdd.interop.buffer_files import buffer_files
from scdd.interop.contents import require_planned
from scdd.interop.replay_buffers import open_buffers
from scdd.jobs import arguments, runtime
from scdd.jobs.curve import csv_text
from scdd.jobs.progress import say
from scdd.jobs.saved import JobState
from scdd.learn.engine import COLUMNS, Content, learn
from scdd.learn.learner import Task, Trajectories
from scdd.learn.methods import engine
from scdd.learn.real import RealImages
from scdd.learn.seen import Seen
from scdd.params.learn import LEARNS, Learn, Trajectory
from scdd.rng import generator

FRAMED = 10  # classes, at most, that have frames


def start_images(dataset: Dataset, seen: Seen, params: Learn, ipc: int) -> Tensor:
    """Noise, or the images that the method random has: float32 [K * ipc, 3, R, R] (CPU)."""
    info = dataset.info
    if params.start == "noise":
        shape = (len(info.classes) * ipc, 3, info.resolution, info.resolution)
        return torch.randn(shape, generator=generator(params.seed, "learn", "start"))
    rows = [
        in_random_order(dataset.train, info, label, params.seed)[:ipc]
        for label in range(len(info.classes))
    ]
    return seen.forwards(dataset.train.images(torch.cat(rows)))


def _experts(
    args: argparse.Namespace,
    config: Frozen,
    params: Trajectory,
    info: DatasetInfo,
    seen: Seen,
    device: torch.device,
) -> Trajectories:
    """The workflow's, or those of others. Raises ScddError where they do not fit."""
    if "buffers" in config.params:
        files, planned = buffer_files(args.buffers), config.params["buffers"]
        require_planned(args.buffers, files, planned, args.buffers)
        return open_buffers(
            args.buffers,
            params.network,
            len(info.classes),
            info.resolution,
            params.last_epoch,
            device,
        )
    if args.experts is None:
        raise ScddError(
            f"--experts must name their folder: {config.params['method']} follows some."
        )
    space = Space(params.network, info.classes, info.mean, info.std, seen.hash)
    trained = read_frozen(args.experts / "config.json", "experts")
    return StoredExperts(
        args.experts,
        space,
        config.parents["experts"],
        count=trained.params["count"],
        per_file=trained.params["per_file"],
        epochs=params.last_epoch,
        device=device,
    )


def work(args: argparse.Namespace, config: Frozen, device: torch.device, saved: JobState) -> None:
    method, ipc = config.params["method"], config.params["ipc"]
    params = LEARNS[method].of(config.params)
    dataset = open_dataset(args.data, args.root)
    info = dataset.info
    seen = Seen(info, args.data, args.whitening, config.parents.get("whitening"), device)
    experts = None
    if isinstance(params, Trajectory):
        experts = _experts(args, config, params, info, seen, device)
    train = dataset.train.to(device)
    task = Task(
        start_images(dataset, seen, params, ipc).to(device),
        len(info.classes),
        RealImages(train, len(info.classes), seen.forwards),
        params.network,
        params.seed,
        experts,
        args.compile,
    )
    learner = engine(config.params["engine"]).make(params, task)
    names = info.classes[:FRAMED]
    marks = moments(params.iterations)
    learned = learn(
        learner,
        params.iterations,
        marks,
        torch.arange(len(names)) * ipc,
        too_large(method, params),
        params.snapshot_iterations,
        saved,
    )
    say(f"{len(learned.last.images)} images after {params.iterations} iterations")
    record = {
        "digest": config.digest,
        "seed": params.seed,
        "whitening": seen.hash,
        "compiled": args.compile,
        "env": runtime.environment(device),
    }
    write_text(args.out / "history.csv", csv_text(COLUMNS, map(astuple, learned.history)))
    pictures = Frames(seen.backwards(learned.frames), marks, names)
    save_frames(args.out / "frames.safetensors", pictures, slot=0, record=record)
    save_content(args.out, learned.last, info.classes, ipc, seen, record)
    for iteration, content in learned.snapshots.items():
        folder = snapshot_folder(args.out, iteration)
        save_content(folder, content, info.classes, ipc, seen, record)


def save_content(
    folder: Path,
    content: Content,
    classes: Sequence[str],
    ipc: int,
    seen: Seen,
    record: Mapping[str, Any],
) -> None:
    """Write all images as shards below `folder`: 8-bit ones, and as they were learned."""
    by_class = {"floats": content.images, "labels": content.labels}
    parts = {
        name: part.view(len(classes), ipc, *part.shape[1:])
        for name, part in by_class.items()
        if part is not None
    }
    pixels = seen.backwards(content.images).view(parts["floats"].shape)
    for first, end in slot_ranges(ipc):
        save_shards(
            folder,
            (first, end),
            classes,
            (0, len(classes)),
            pixels[:, first:end],
            record={**record, "student_lr": content.student_lr},
            **{name: part[:, first:end] for name, part in parts.items()},
        )


def too_large(method: str, params: Learn) -> str:
    """What to lower where a run diverges."""
    names = ["lr_images", "student_lr", "lr_student_lr"]
    given = [f"{name} ({getattr(params, name):g})" for name in names if hasattr(params, name)]
    return f"learn.{method}.{' or '.join(given)}"


def main(argv: list[str] | None = None) -> int:
    parser = arguments.long_parser(__doc__, "data", "root", out="the folder of the shards")
    parser.add_argument("--whitening", type=Path, help="whitening.safetensors, if images are")
    parser.add_argument("--experts", type=Path, help="the folder of the experts (mtt, tesla)")
    parser.add_argument("--buffers", type=Path, help="MTT's replay buffers, in place of experts")
    return runtime.run_long("learn", parser, work, argv, outputs=("out",))


if __name__ == "__main__":
    raise SystemExit(main())
