"""`scdd gc`: what nobody needs any more."""

import argparse
import shutil
from pathlib import Path
from typing import Any

from scdd.artifacts.run import RESULTS, WORK
from scdd.errors import ScddError
from scdd.plan.identity import DIGITS
from scdd.plan.load import plan_of_file
from scdd.plan.stages import STAGES


def collect_garbage(args: argparse.Namespace) -> None:
    """List the artifacts, and the saved states of their jobs, that no configuration needs. With
    --delete, delete them."""
    needed: set[str] = set()
    for file in args.configfile:
        try:
            plan = plan_of_file(file, check_files=False)
        except ScddError as error:
            raise ScddError(f"cannot tell what {file} needs: {error}") from None
        needed |= set(plan.nodes)
    artifact = "*-" + DIGITS * "[0-9a-f]"
    unneeded = [
        folder
        for root in (RESULTS, WORK)
        for stage in STAGES
        for folder in sorted((root / stage).glob(artifact))
        if f"{stage}/{folder.name}" not in needed
    ]
    total = 0
    for folder in unneeded:
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        total += size
        print(f"{size / 2**20:10.1f} MiB  {folder}")
        if args.delete:
            shutil.rmtree(folder)
    done = "deleted" if args.delete else "to be deleted with --delete"
    print(f"{len(unneeded)} folders, {total / 2**20:.1f} MiB, {done}")


def add(commands: Any) -> None:
    command = commands.add_parser("gc", help=collect_garbage.__doc__)
    command.add_argument(
        "--configfile",
        type=Path,
        nargs="+",
        default=[Path("config.yaml"), *sorted(Path("experiments").glob("*.yaml"))],
        help="the configurations whose artifacts are kept (default: config.yaml, experiments/*)",
    )
    command.add_argument("--delete", action="store_true", help="delete what is listed")
    command.set_defaults(run=collect_garbage)
