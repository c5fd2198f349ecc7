"""Learn the images of all classes by one of the classic methods.

Writes below --out the images as shards, history.csv with the loss by iteration, and
frames.safetensors with the first image of some classes on their way.
"""

import argparse
import csv
import io
from pathlib import Path

import torch
from torch import Tensor

from scdd.artifacts.config import Frozen
from scdd.artifacts.experts import open_experts
from scdd.artifacts.files import write_text
from scdd.artifacts.frames import Frames, moments, save_frames
from scdd.artifacts.shards import save_shards
from scdd.artifacts.slots import slot_ranges
from scdd.data.sample import in_random_order
from scdd.data.source import Dataset, open_dataset
from scdd.jobs import arguments, runtime
from scdd.jobs.progress import say
from scdd.jobs.saved import JobState
from scdd.learn.engine import Row, learn
from scdd.learn.learner import Task
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
        in_random_order(dataset, label, params.seed)[:ipc] for label in range(len(info.classes))
    ]
    return seen.forwards(dataset.train.images(torch.cat(rows)))


def history_csv(history: list[Row]) -> str:
    """iteration, loss, student_lr; the last is blank where none is learned."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["iteration", "loss", "student_lr"])
    table.writerows([row.iteration, row.loss, row.student_lr] for row in history)
    return text.getvalue()


def work(args: argparse.Namespace, config: Frozen, device: torch.device, saved: JobState) -> None:
    method, ipc = config.params["method"], config.params["ipc"]
    params = LEARNS[method].of(config.params)
    dataset = open_dataset(args.data, args.root)
    info = dataset.info
    seen = Seen(info, args.whitening, device)
    experts = None
    if isinstance(params, Trajectory):
        experts = open_experts(args.experts, config, params.network, info, device)
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
        saved,
    )
    say(f"{len(learned.images)} images after {params.iterations} iterations")
    record = {
        "digest": config.digest,
        "seed": params.seed,
        "student_lr": learned.student_lr,
        "whitening": seen.hash,
        "compiled": args.compile,
        "env": runtime.environment(device),
    }
    write_text(args.out / "history.csv", history_csv(learned.history))
    pictures = Frames(seen.backwards(learned.frames), marks, names)
    save_frames(args.out / "frames.safetensors", pictures, slot=0, record=record)
    by_class = learned.images.view(len(info.classes), ipc, *learned.images.shape[1:])
    labels = learned.labels
    for first, end in slot_ranges(ipc):
        floats = by_class[:, first:end]
        extra = {"floats": floats}
        if labels is not None:
            extra["labels"] = labels.view(len(info.classes), ipc, -1)[:, first:end]
        save_shards(
            args.out,
            (first, end),
            info.classes,
            (0, len(info.classes)),
            seen.backwards(floats),
            record=record,
            extra=extra,
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
    return runtime.run_long("learn", parser, work, argv, outputs=("out",))


if __name__ == "__main__":
    raise SystemExit(main())
