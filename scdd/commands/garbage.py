"""`scdd gc`: what nobody needs any more."""

import argparse
import shutil
from pathlib import Path
from typing import Any

from scdd.artifacts.run import RESULTS, WORK
from scdd.errors import ScddError, warn
from scdd.plan.identity import ARTIFACT
from scdd.plan.load import PLANS, experiment_names, plan_of_file, thaw
from scdd.plan.runs import experiments_of, frozen_plans
from scdd.plan.stages import STAGES


def collect_garbage(args: argparse.Namespace) -> None:
    """List the artifacts, and the saved states of their jobs, that no configuration needs. With
    --delete, delete them."""
    needed: set[str] = set()
    unplannable: list[Path] = []
    for file in args.configfile + args.also:
        try:
            needed |= set(plan_of_file(file, check_files=False).nodes)
        except ScddError as error:
            unplannable.append(file)
            warn(
                f"{file} cannot be planned, so what it needs is not known. Kept is what "
                f"its earlier runs planned, and what is in no plan of {PLANS}. ({error})"
            )
    folders = artifacts()
    if unplannable:
        needed |= perhaps_needed(unplannable, set(map(key_of, folders)))
    unneeded = [folder for folder in folders if key_of(folder) not in needed]
    total = 0
    for folder in unneeded:
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        total += size
        print(f"{size / 2**20:10.1f} MiB  {folder}")
        if args.delete:
            shutil.rmtree(folder)
    done = "deleted" if args.delete else "to be deleted with --delete"
    print(f"{len(unneeded)} folders, {total / 2**20:.1f} MiB, {done}")


def perhaps_needed(unplannable: list[Path], keys: set[str]) -> set[str]:
    """Of `keys` those that experiments may need that cannot be planned now.

    Every run and dry run left its plan. So an artifact is none of theirs if it is in plans of other
    experiments alone. A file that does not even have a name may be any experiment.
    """
    names: set[str] | None = set()
    for file in unplannable:
        try:
            names = None if names is None else names | experiment_names(file)
        except ScddError:
            names = None
    theirs, others = set[str](), set[str]()
    for plan in map(thaw, frozen_plans()):
        mine = names is None or names & set(experiments_of(plan))
        (theirs if mine else others).update(plan.nodes)
    return keys & theirs | keys - others


def artifacts() -> list[Path]:
    """The folders of artifacts, and of the saved states of their jobs."""
    roots = [root / stage for root in (RESULTS, WORK) for stage in STAGES]
    return [folder for root in roots for folder in sorted(root.glob(ARTIFACT))]


def key_of(folder: Path) -> str:
    return f"{folder.parent.name}/{folder.name}"


def add(commands: Any) -> None:
    command = commands.add_parser("gc", help=collect_garbage.__doc__)
    command.add_argument(
        "--configfile",
        type=Path,
        nargs="+",
        default=[Path("config.yaml"), *sorted(Path("experiments").glob("*.yaml"))],
        help="the configurations whose artifacts are kept (default: config.yaml, experiments/*)",
    )
    command.add_argument(
        "--also", type=Path, nargs="+", default=[], help="more of them, beside the default"
    )
    command.add_argument("--delete", action="store_true", help="delete what is listed")
    command.set_defaults(run=collect_garbage)
