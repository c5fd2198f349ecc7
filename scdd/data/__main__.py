"""Write a dataset's artifact: its class list in order, and its pixels or the list of its files.

Everything after this stage reads the artifact, so every stage sees the same classes in the same
order, and a dataset that fits in memory is decoded once.
"""

import hashlib
import sys
from argparse import Namespace
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from scdd.artifacts.config import Frozen
from scdd.artifacts.dataset import SPLITS, DatasetInfo, save_info, save_split
from scdd.data.holdout import hold_out
from scdd.data.sets import module
from scdd.data.source import check_header, decode
from scdd.errors import ScddError
from scdd.jobs import arguments, runtime
from scdd.jobs.progress import say, track

IN_MEMORY = 4 * 2**30  # bytes of pixels up to which a split is decoded into one file


def choose_classes(
    found: tuple[str, ...], wanted: list[str] | int | None, where: object
) -> list[str]:
    """The class subset in its order: all, the first so many, or those named."""
    if wanted is None:
        return list(found)
    if isinstance(wanted, int):
        if wanted > len(found):
            raise ScddError(f"dataset.classes: {wanted}, but {where} has {len(found)} classes.")
        return list(found[:wanted])
    missing = [name for name in wanted if name not in found]
    if missing:
        raise ScddError(f"dataset.classes: {where} has no class {missing[0]!r}.")
    return wanted


def pixels(content: Any, root: Path, size: int, what: str) -> Tensor:
    """uint8 [n, 3, size, size] from an array [n, H, W, 3] or from file names."""
    if isinstance(content, list):
        files = track(content, f"decode {what}")
        return torch.stack([decode(root / file, size) for file in files])
    if content.shape[1:3] != (size, size):
        resized = (
            Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR)
            for image in content
        )
        content = np.stack([np.asarray(image) for image in resized])
    return torch.from_numpy(content).permute(0, 3, 1, 2).contiguous()


def check_headers(files: list[Path], what: str) -> None:
    """Raises ScddError, naming the file, for the first that is no image by its header."""
    with ThreadPoolExecutor() as pool:
        for _ in track(pool.map(check_header, files), f"check {what}", total=len(files)):
            pass


def halves(
    train: tuple[list[int], Any], names: dict[int, str], share: float
) -> dict[str, tuple[list[int], Any]]:
    """The training set in two: what stays of it, and the held-out `share` as 'val'."""
    labels, content = train
    made = {}
    for split, places in zip(SPLITS, hold_out(labels, names, share), strict=True):
        files = isinstance(content, list)
        held = [content[place] for place in places] if files else content[places]
        made[split] = ([labels[place] for place in places], held)
    return made


def work(args: Namespace, config: Frozen, device: torch.device) -> None:
    params, size = config.params, config.params["resolution"]
    share = params.get("holdout", 0)
    loaded = module(params["name"]).load(args.root, args.download, ("train",) if share else SPLITS)
    classes = choose_classes(loaded.classes, params["classes"], args.root)
    position = {loaded.classes.index(name): place for place, name in enumerate(classes)}
    names = {label: loaded.classes[label] for label in position}
    splits = halves(loaded.splits["train"], names, share) if share else loaded.splits
    counts, fingerprint = {}, hashlib.sha256()
    for split in SPLITS:
        labels, content = splits[split]
        kept = [i for i, label in enumerate(labels) if label in position]
        chosen = torch.tensor([position[labels[i]] for i in kept], dtype=torch.int64)
        for place, count in enumerate(chosen.bincount(minlength=len(classes)).tolist()):
            if count == 0:
                raise ScddError(
                    f"{args.root / split / classes[place]} has no images. Add some, or leave the "
                    "class out by dataset.classes."
                )
        if isinstance(content, list):
            held: Any = [content[i] for i in kept]
            fingerprint.update(
                "".join(f"{file} {(args.root / file).stat().st_size}\n" for file in held).encode()
            )
        else:
            held = content[kept]
        files = held if isinstance(held, list) and split == "val" else None
        if len(kept) * 3 * size * size <= IN_MEMORY:
            held = pixels(held, args.root, size, split)
        else:
            check_headers([args.root / file for file in held], split)
        path = args.out.parent / f"{split}.safetensors"
        fingerprint.update(save_split(path, chosen, held, classes, files).encode())
        counts[split] = len(kept)
        say(f"{split}: {len(kept)} images of {len(classes)} classes")
    info = DatasetInfo(
        name=params["name"],
        classes=tuple(classes),
        resolution=size,
        mean=tuple(params["mean"]),
        std=tuple(params["std"]),
        fingerprint=fingerprint.hexdigest()[:16],
        digest=config.digest,
        **counts,
    )
    save_info(args.out, info, runtime.environment(device))


def main(argv: list[str] | None = None) -> int:
    parser = arguments.parser(__doc__, "root", out="dataset.json to write")
    parser.add_argument("--download", action="store_true", help="download files that are missing")
    return runtime.run("data", parser, work, argv)


if __name__ == "__main__":
    sys.exit(main())
