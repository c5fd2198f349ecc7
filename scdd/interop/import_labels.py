"""Convert an epoch range of SRe2L's label files (FKD) to a shard of the label store."""

import argparse
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scdd.artifacts.classes import require_same_classes
from scdd.artifacts.config import Frozen
from scdd.artifacts.dataset import load_info
from scdd.artifacts.files import require_digest
from scdd.artifacts.images import open_set
from scdd.artifacts.labels import Origin, save_shard
from scdd.artifacts.slots import Range
from scdd.errors import ScddError
from scdd.interop.contents import require_planned
from scdd.interop.fkd import SEED, TEACHER, mix_of, read_batch, to_draws
from scdd.interop.fkd_files import epoch_files
from scdd.jobs import arguments, runtime
from scdd.jobs.progress import track
from scdd.labels.order import sampler_orders


def convert(
    folder: Path, epochs: Range, hashes: list[str], images: int, batch: int, classes: int, size: int
) -> tuple[dict[str, Tensor], str]:
    """A shard's tensors [E, N, ...] by name, and how its views are mixed ('none', ...).

    hashes: one for the files of each epoch; images: their number, of `size` pixels a side; batch:
    images in a file. Raises ScddError, naming the file, where something does not fit.
    """
    shard: dict[str, Tensor] = {}
    mixes: dict[str, Path] = {}
    orders = islice(sampler_orders(images, SEED), *epochs)
    for row, order in enumerate(track(orders, "epochs", total=epochs[1] - epochs[0])):
        epoch = epochs[0] + row
        files = epoch_files(folder, epoch, images, batch)
        require_planned(folder, files, hashes[epoch], files[0].parent)
        batches = [(file, read_batch(file)) for file in files]
        for (file, parts), index in zip(batches, order.split(batch), strict=True):
            mixes.setdefault(mix_of(parts), file)
            if len(parts["flip"]) != len(index):
                raise ScddError(
                    f"{file} has {len(parts['flip'])} images, but must have {len(index)}: {images} "
                    f"images in batches of {batch}."
                )
            if parts["logits"].shape[1] != classes:
                raise ScddError(
                    f"{file} has logits of {parts['logits'].shape[1]} classes, but the images have "
                    f"{classes}."
                )
        draws, logits = to_draws(batches, order, size)
        for name, tensor in {**draws.stored(), "logits": logits}.items():
            if name not in shard:
                shard[name] = tensor.new_empty((epochs[1] - epochs[0], *tensor.shape))
            shard[name][row] = tensor
    if len(mixes) > 1:
        ways = ", ".join(f"{mix} in {file}" for mix, file in mixes.items())
        raise ScddError(f"{folder} is mixed in several ways: {ways}.")
    return shard, next(iter(mixes))


def work(args: argparse.Namespace, config: Frozen, device: torch.device) -> None:
    params, info, images = config.params, load_info(args.data), open_set(args.images)
    require_digest(args.images, images.digest, config.parents["images"])
    require_same_classes(images.classes, args.images, info.classes, args.data)
    count, classes = len(images.classes) * images.ipc, images.classes
    shard, mix = convert(
        args.source,
        args.epochs,
        params["sha256"],
        count,
        params["batch"],
        len(classes),
        info.resolution,
    )
    transform: dict[str, Any] = {"mix": mix}
    if mix != "none":
        transform |= {"mix_by": "batch", "batch": params["batch"]}
    origin = Origin(
        digest=config.digest,
        images=images.content,
        classes=classes,
        teacher=TEACHER,
        transform=transform,
        form="float16",
        seed=SEED,
        resolution=info.resolution,
    )
    save_shard(args.out, shard, origin, args.epochs, runtime.environment(device))


def main(argv: list[str] | None = None) -> int:
    parser = arguments.parser(__doc__, "data", "images", "epochs", out="the shard to write")
    parser.add_argument("--source", type=Path, required=True, help="the folder of epoch_0")
    return runtime.run("import_labels", parser, work, argv)


if __name__ == "__main__":
    raise SystemExit(main())
