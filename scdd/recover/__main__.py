"""Recover synthetic images of a block of classes, for a range of slots, from a teacher.

Writes below --out one shard a class and losses_<block>.csv, beside the shards, with the losses of
each unit at about a hundred iterations. Of the first block also frames_<block>.safetensors: images
of the range's first slot on their way from noise.
"""

import argparse
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from scdd.artifacts.config import Frozen, teacher_roles
from scdd.artifacts.dataset import DatasetInfo, load_info
from scdd.artifacts.files import write_text
from scdd.artifacts.frames import Frames, save_frames
from scdd.artifacts.informativeness import load_informativeness
from scdd.artifacts.network import Checkpoint
from scdd.artifacts.shards import save_checksums, save_shard
from scdd.artifacts.slots import Range, blocks, frames_path, losses_path
from scdd.data.source import Dataset, open_dataset
from scdd.errors import ScddError
from scdd.jobs import runtime
from scdd.jobs.progress import say, track
from scdd.jobs.saved import Unsaved
from scdd.networks.resnet import in_eval_mode
from scdd.networks.teachers import load_teacher
from scdd.params.recover import Recover
from scdd.recover.engine import recover_units
from scdd.recover.starts import as_normalised, real_starts
from scdd.recover.targets import class_statistics
from scdd.recover.units import Statistics, Unit, draw_class_unit, draw_unit
from scdd.views.pixels import denormalise, normalise, stored, valid_range

CURVE = 100  # iterations of a unit that the losses' file keeps, about
FRAMED = 10  # classes, at most, of which there are frames
STATISTICS = 256  # real images a forward pass


def r_bn_of(params: Recover, config: Frozen, look: Path | None) -> float:
    """The number itself, or what the look at the teacher suggests where it is `auto`.

    Raises ScddError where that look is missing, damaged or not of this configuration.
    """
    r_bn = params.r_bn
    if r_bn != "auto":
        return r_bn
    if look is None:
        raise ScddError(
            "recover.r_bn is auto: --informativeness must name the teacher's informativeness.json."
        )
    suggested = load_informativeness(look, digest=config.parents["informativeness"]).r_bn
    say(f"r_bn {suggested:g}, as suggested by {look}")
    return suggested


def block_index(span: Range, size: int, classes: int) -> int:
    """Which block `span` is. Raises ScddError where it is none, or a block exceeds the classes."""
    if size > classes:
        raise ScddError(
            f"recover.block is {size}, but there are {classes} classes: set it to {classes}."
        )
    cut = blocks(classes, size)
    if span not in cut:
        raise ScddError(f"--classes {span[0]}:{span[1]} is no block of recover.block {size}: {cut}")
    return cut.index(span)


def moments(iterations: int) -> list[int]:
    """After which iterations frames are kept: 0, 10, 30, 100, 300, ... and the last."""
    powers = (10**exponent for exponent in range(1, len(str(iterations))))
    marks = [0, *(factor * power for power in powers for factor in (1, 3))]
    return [mark for mark in marks if mark < iterations] + [iterations]


def real_images(args: argparse.Namespace, key: str) -> Dataset:
    """The dataset itself, which `key` of the configuration asks for."""
    if args.root is None:
        raise ScddError(f"recover.{key} needs real images: --root must name the data root.")
    return open_dataset(args.data, args.root)


def starts(
    args: argparse.Namespace, params: Recover, info: DatasetInfo
) -> Callable[[Range, Range], Tensor | None]:
    """What images start from, by class and slot range: None for noise, or real images normalised
    by `info`. Raises ScddError where these are wanted and there are too few."""
    if params.start == "noise":
        return lambda classes, slots: None
    dataset = real_images(args, "start")
    return real_starts(dataset, info, args.classes, args.slots, params.seed)


def targets_by_class(
    args: argparse.Namespace, info: DatasetInfo, networks: Sequence[nn.Module]
) -> dict[int, list[Statistics]]:
    """What is matched where it goes by class: statistics of the class's training images in each of
    the networks, by class."""
    dataset, device = real_images(args, "statistics"), next(networks[0].parameters()).device
    train, found = dataset.train.to(device), {}
    for label in track(range(*args.classes), "statistics of classes"):
        own = (train.labels == label).nonzero().flatten()
        if not len(own):
            raise ScddError(f"class {info.classes[label]!r} has no training images to match.")
        found[label] = [
            class_statistics(
                network, (normalise(x, info) for _, x in train.batches(own, STATISTICS, device))
            )
            for network in networks
        ]
    return found


def teachers(
    args: argparse.Namespace, config: Frozen, info: DatasetInfo
) -> tuple[nn.Module, Checkpoint, list[nn.Module]]:
    """The own teacher with its checkpoint, and the networks of the committee."""
    roles = teacher_roles(config.parents)
    if len(args.teacher) != len(roles):
        raise ScddError(f"--teacher: {len(roles)} checkpoints are needed: {', '.join(roles)}.")
    own, *others = [
        load_teacher(path, config, info, args.data, role)
        for path, role in zip(args.teacher, roles, strict=True)
    ]
    return *own, [network for network, _ in others]


def losses_csv(of: str, keys: Iterable[int], losses: Tensor) -> str:
    """losses: float32 [units, T, 3]. A header; by unit rows of its key, iteration, loss, ce, bn."""
    steps = losses.shape[1]
    kept = sorted({*range(0, steps, math.ceil(steps / CURVE)), steps - 1})
    rows = [f"{of},iteration,loss,ce,bn"]
    for key, curve in zip(keys, losses.tolist(), strict=True):
        rows += [f"{key},{step}," + ",".join(f"{v:.6g}" for v in curve[step]) for step in kept]
    return "\n".join(rows) + "\n"


def work(args: argparse.Namespace, config: Frozen, device: torch.device, saved: Unsaved) -> None:
    params = Recover.of(config.params)
    params = replace(params, r_bn=r_bn_of(params, config, args.informativeness))
    info = as_normalised(load_info(args.data), params)
    block = block_index(args.classes, params.block, len(info.classes))
    own, teacher, others = teachers(args, config, info)
    network, *committee = (in_eval_mode(each, device) for each in (own, *others))
    indices, start = range(*args.classes), starts(args, params, info)
    frames = moments(params.iterations) if block == 0 else []
    by_class = params.statistics == "class"
    targets = targets_by_class(args, info, [network, *committee]) if by_class else {}
    labels, resolution = torch.tensor(indices), info.resolution

    def of_slot(slot: int) -> Unit:
        begin = start(args.classes, (slot, slot + 1))
        return draw_unit(
            params, labels, resolution, seed=params.seed, block=block, slot=slot, start=begin
        )

    def of_class(label: int) -> Unit:
        begin, goal = start((label, label + 1), args.slots), targets[label]
        return draw_class_unit(
            params, label, resolution, seed=params.seed, slots=args.slots, targets=goal, start=begin
        )

    keys, size = (
        (indices, len(range(*args.slots))) if by_class else (range(*args.slots), len(labels))
    )
    made = recover_units(
        network,
        size,
        of_class if by_class else of_slot,
        keys,
        params,
        valid_range(info, device),
        committee=committee,
        width=args.pass_width,
        frames=frames,
        compiled=args.compile,
        framed=(FRAMED, 1) if by_class else (1, FRAMED),
        what=f"images of block {block}",
        saved=saved,
    )
    by_slot = made.images.transpose(0, 1) if by_class else made.images
    record = {
        "digest": config.digest,
        "seed": params.seed,
        "r_bn": params.r_bn,
        "teacher": teacher.digest,
        "passes": made.widths,
        "compiled": args.compile,
        "env": runtime.environment(device),
    }
    shards = stored(by_slot, info, params.storage)
    for row, index in enumerate(indices):
        save_shard(args.out, args.slots, info.classes, index, shards[:, row], record=record)
    if frames:
        names = info.classes[: made.frames.shape[1]]
        pictures = Frames(denormalise(made.frames, info), frames, names)
        path = frames_path(args.out, args.slots, args.classes)
        save_frames(path, pictures, slot=args.slots[0], record=record)
    curves = losses_csv("class" if by_class else "slot", keys, made.losses)
    write_text(losses_path(args.out, args.slots, args.classes), curves)
    save_checksums(args.out, args.slots, args.classes)


def main(argv: list[str] | None = None) -> int:
    parser = runtime.long_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="dataset.json")
    parser.add_argument("--root", type=Path, help="the data root, where real images are needed")
    parser.add_argument(
        "--teacher",
        type=Path,
        nargs="+",
        required=True,
        help="the probe's checkpoint, and those of the committee",
    )
    parser.add_argument(
        "--informativeness", type=Path, help="the teacher's informativeness.json, if r_bn is auto"
    )
    parser.add_argument("--classes", type=runtime.span, required=True, help="a block, e.g. 0:100")
    parser.add_argument("--slots", type=runtime.span, required=True, help="a range, e.g. 1:10")
    parser.add_argument(
        "--pass-width",
        type=int,
        help="units in one pass through the teacher; not given: one on the CPU, on a GPU as many "
        "as its memory holds",
    )
    parser.add_argument("--out", type=Path, required=True, help="the folder of the shards")
    return runtime.run_long("recover", parser, work, argv, outputs=("out",))


if __name__ == "__main__":
    raise SystemExit(main())
