"""Recover synthetic images of a block of classes, for a range of slots, from a teacher.

Writes below --out one shard a class and losses_<block>.csv, beside the shards, with the losses of
each unit at about a hundred iterations. Of the first block also frames_<block>.safetensors: images
of the range's first slot on their way from noise.
"""

import argparse
import math
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from scdd.artifacts.config import Frozen, numbered
from scdd.artifacts.dataset import DatasetInfo, load_info
from scdd.artifacts.files import write_text
from scdd.artifacts.frames import Frames, moments, save_frames
from scdd.artifacts.informativeness import load_informativeness
from scdd.artifacts.patches import Rankings
from scdd.artifacts.shards import save_shards
from scdd.artifacts.slots import Range, blocks, frames_path, losses_path, slots_together
from scdd.artifacts.statistics import Real, load_statistics
from scdd.data.source import Dataset, Split, open_dataset
from scdd.errors import ScddError
from scdd.jobs import arguments, runtime
from scdd.jobs.progress import say
from scdd.jobs.saved import JobState
from scdd.networks.backbone import in_eval_mode
from scdd.networks.teachers import load_teachers
from scdd.params.recover import Recover
from scdd.patches.images import open_rankings
from scdd.recover.blocks import block_units, kept_pixels
from scdd.recover.engine import FramePlan, recover_units
from scdd.recover.starts import as_normalised
from scdd.views.pixels import denormalise, valid_range

CURVE = 100  # about as many iterations of a unit are in the losses' file
FRAMED = 10  # classes, at most, that have frames


def r_bn_of(params: Recover, config: Frozen, look: Path | None) -> float:
    """r_bn itself; if it is `auto`, what the teacher's informativeness suggests.

    look: its file. Raises ScddError if it is missing, damaged or not of this configuration.
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
    """Which block `span` is. Raises ScddError if it is not one, or a block exceeds the classes."""
    if size > classes:
        raise ScddError(
            f"recover.block is {size}, but there are {classes} classes: set it to {classes}."
        )
    cut = blocks(classes, size)
    if span not in cut:
        raise ScddError(
            f"--classes {span[0]}:{span[1]} is not a block of recover.block {size}: {cut}"
        )
    return cut.index(span)


def real_images(args: argparse.Namespace, params: Recover) -> Dataset:
    """The dataset, for a recovery that needs real images."""
    if args.root is None:
        key = "statistics" if params.start == "noise" else "start"
        raise ScddError(f"recover.{key} needs real images: --root must name the data root.")
    return open_dataset(args.data, args.root)


def ranked_images(
    args: argparse.Namespace, params: Recover, config: Frozen
) -> tuple[Split, Rankings]:
    """The training images in their own sizes, and their rankings by the teacher."""
    if args.patches is None:
        raise ScddError(
            f"recover.start is {params.start}: --patches must name the patches.safetensors of the "
            "teacher."
        )
    dataset = real_images(args, params)
    return dataset.originals, open_rankings(args.patches, dataset, config.parents["patches"])


def gathered(
    args: argparse.Namespace, params: Recover, config: Frozen, info: DatasetInfo
) -> list[Real]:
    """What each teacher sees of real images, for a recovery that needs it; none for others.

    Raises ScddError where files are missing, damaged or of another configuration.
    """
    if params.gathers is None:
        return []
    roles = numbered("statistics", config.parents)
    if len(args.statistics) != len(roles):
        raise ScddError(f"--statistics: {len(roles)} files are needed: {', '.join(roles)}.")
    return [
        load_statistics(
            path, digest=config.parents[role], classes=info.classes, classes_of=args.data
        )
        for path, role in zip(args.statistics, roles, strict=True)
    ]


def losses_csv(of: str, keys: Iterable[int], losses: Tensor) -> str:
    """losses: float32 [units, T, 3]. A header; by unit rows of its key, iteration, loss, ce, bn."""
    steps = losses.shape[1]
    shown = sorted({*range(0, steps, math.ceil(steps / CURVE)), steps - 1})
    rows = [f"{of},iteration,loss,ce,bn"]
    for key, curve in zip(keys, losses.tolist(), strict=True):
        rows += [f"{key},{step}," + ",".join(f"{v:.6g}" for v in curve[step]) for step in shown]
    return "\n".join(rows) + "\n"


def work(args: argparse.Namespace, config: Frozen, device: torch.device, saved: JobState) -> None:
    params = Recover.of(config.params)
    params = replace(params, r_bn=r_bn_of(params, config, args.informativeness))
    info = as_normalised(load_info(args.data), params)
    block = block_index(args.classes, params.block, len(info.classes))
    loaded = load_teachers(args.teacher, config, info.classes, args.data)
    networks = [in_eval_mode(network, device) for network, _ in loaded]
    by_class = params.statistics == "class"
    ranked = partial(ranked_images, args, params, config)
    real = gathered(args, params, config, info)
    units = block_units(
        params,
        info,
        block,
        args.classes,
        args.slots,
        networks,
        lambda: real_images(args, params).train,
        ranked,
        real,
    )
    frames, together = FramePlan(), slots_together(args.slots, params.slots)
    if block == 0:
        first = (FRAMED, 1) if by_class else (1, FRAMED * together)
        frames = FramePlan(moments(params.iterations), *first)
    recovered = recover_units(
        networks,
        units,
        params,
        valid_range(info, device),
        real=real,
        frames=frames,
        width=args.pass_width,
        compiled=args.compile,
        saved=saved,
    )
    record = {
        "digest": config.digest,
        "seed": params.seed,
        "r_bn": params.r_bn,
        "teacher": loaded[0][1].digest,  # its own; those of the committee are in config.json
        "passes": recovered.widths,
        "compiled": args.compile,
        "env": runtime.environment(device),
    }
    if frames.after:
        shots = recovered.frames[:, ::together]  # of each class the first slot
        names = info.classes[: shots.shape[1]]
        pictures = Frames(denormalise(shots, info), list(frames.after), names)
        path = frames_path(args.out, args.slots, args.classes)
        save_frames(path, pictures, slot=args.slots[0], record=record)
    curves = losses_csv("class" if by_class else "slot", units.keys, recovered.losses)
    write_text(losses_path(args.out, args.slots, args.classes), curves)
    pixels = kept_pixels(recovered, params, info, args.classes[1] - args.classes[0])
    save_shards(args.out, args.slots, info.classes, args.classes, pixels, record=record)


def main(argv: list[str] | None = None) -> int:
    parser = arguments.long_parser(__doc__, "data", "slots", out="the folder of the shards")
    parser.add_argument(
        "--root", type=Path, help="the folder of the dataset's files, if real images are needed"
    )
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
    parser.add_argument(
        "--statistics",
        type=Path,
        nargs="*",
        default=[],
        help="the statistics.safetensors of each teacher, if real images' statistics are matched",
    )
    parser.add_argument(
        "--patches", type=Path, help="the teacher's patches.safetensors, if images start from it"
    )
    parser.add_argument("--classes", type=arguments.span, required=True, help="a block: 0:100")
    parser.add_argument(
        "--pass-width",
        type=int,
        help="units in one pass through the teacher; not given: one on the CPU, on a GPU as many "
        "as its memory holds",
    )
    return runtime.run_long("recover", parser, work, argv, outputs=("out",))


if __name__ == "__main__":
    raise SystemExit(main())
