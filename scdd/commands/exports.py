"""`scdd export` and `scdd export-labels`: distilled sets for other programs."""

import argparse
from pathlib import Path
from typing import Any

from scdd.errors import ScddError
from scdd.plan.find import named_set, set_in
from scdd.plan.load import plan_of_file


def export(args: argparse.Namespace) -> None:
    """Write a distilled set as an image folder, WebDataset tars or Parquet files."""
    from scdd.interop import exports

    if (args.set is None) == (args.method is None and args.ipc is None):
        raise ScddError("name either a set.json or its folder, or --method and --ipc.")
    if args.set is None:
        plan = plan_of_file(args.configfile, check_files=False)
        path, _ = named_set(plan, args.method, args.ipc)
    else:
        path = set_in(args.set)
    exports.export_set(path, args.to, args.out, args.format)


def export_labels(args: argparse.Namespace) -> None:
    """Write the soft labels of a distilled set as SRe2L's FKD files."""
    from scdd.interop import exports

    exports.export_labels(args.labels, args.images, args.out, args.batch)


def add(commands: Any) -> None:
    command = commands.add_parser("export", help=export.__doc__)
    command.add_argument("set", type=Path, nargs="?", help="a set.json, or a folder with one")
    command.add_argument("--method", help="in place of a path: a method of the experiment")
    command.add_argument("--ipc", type=int, help="in place of a path: images per class")
    command.add_argument(
        "--configfile",
        type=Path,
        default=Path("config.yaml"),
        help="the experiment that --method and --ipc are of (default: config.yaml)",
    )
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
