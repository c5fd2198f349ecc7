"""Write a dataset's artifact: its class list in order, and its pixels or the list of its files.

All later stages read this artifact, so they see the same classes in the same order, and a dataset
that fits in memory is decoded only once.
"""

import hashlib
import sys
from argparse import Namespace

import torch

from scdd.artifacts.config import Frozen
from scdd.artifacts.dataset import DatasetInfo, save_info, save_split
from scdd.data.reading import read
from scdd.jobs import arguments, runtime
from scdd.params.data import Data


def work(args: Namespace, config: Frozen, device: torch.device) -> None:
    params = Data.of(config.params)
    classes, parts = read(params, args.root, args.download)
    counts, fingerprint = {}, hashlib.sha256()
    for part in parts:
        if part.files is not None:
            sizes = (f"{file} {(args.root / file).stat().st_size}\n" for file in part.files)
            fingerprint.update("".join(sizes).encode())
        path = args.out.parent / f"{part.split}.safetensors"
        # images from files may be cut in other ways
        content = save_split(path, part.labels, part.content, classes, part.files)
        fingerprint.update(content.encode())
        counts[part.split] = len(part.labels)
    info = DatasetInfo(
        name=params.name,
        classes=classes,
        resolution=params.resolution,
        mean=params.mean,
        std=params.std,
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
