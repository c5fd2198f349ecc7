"""`scdd export` and `scdd export-labels`: distilled sets for other programs."""

import argparse
from pathlib import Path
from typing import Any


def export(args: argparse.Namespace) -> None:
    """Write a distilled set as an image folder, WebDataset tars or Parquet files."""
    from scdd.interop import exports

    exports.export_set(args.set, args.to, args.out, args.format)


def export_labels(args: argparse.Namespace) -> None:
    """Write the soft labels of a distilled set as SRe2L's FKD files."""
    from scdd.interop import exports

    exports.export_labels(args.labels, args.images, args.out, args.batch)


def add(commands: Any) -> None:
    command = commands.add_parser("export", help=export.__doc__)
    command.add_argument("set", type=Path, help="the image set's set.json")
    command.add_argument("--to", required=True, choices=["imagefolder", "webdataset", "parquet"])
    command.add_argument("--out", type=Path, required=True, help="a folder that does not exist yet")
    command.add_argument(
        "--format", default="png", choices=["png", "jpeg"], help="jpeg loses information"
    )
    command.set_defaults(run=export)
    command = commands.add_parser("export-labels", help=export_labels.__doc__)
    command.add_argument("labels", type=Path, help="the folder of epochs_*.safetensors")
    command.add_argument("--images", type=Path, required=True, help="the image set's set.json")
    command.add_argument("--out", type=Path, required=True, help="a folder that does not exist yet")
    command.add_argument("--batch", type=int, required=True, help="images in a file")
    command.set_defaults(run=export_labels)
