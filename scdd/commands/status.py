"""`scdd status`: where a run is."""

import argparse
import gc
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from scdd.plan.jobs import jobs
from scdd.plan.load import experiment_names, thaw
from scdd.plan.runs import last_run
from scdd.status.estimate import estimate
from scdd.status.page import page
from scdd.status.slurm import Queue
from scdd.status.states import states

EVERY = 2.0  # seconds between the looks of --watch
TOP, REST_OF_LINE, REST = "\033[H", "\033[K", "\033[J"  # where to write, and what to clear


def show_status(args: argparse.Namespace) -> None:
    """Show where the last run is: what is done, running, waiting and failed, and when it will be
    finished. It only reads files, and works on any machine that sees them."""
    experiments = None if args.configfile is None else experiment_names(args.configfile)
    if not args.watch:
        print(status(experiments), end="")
        return
    try:
        while True:
            text = status(experiments)
            if sys.stdout.isatty():
                text = in_place(text)
            print(text, end="", flush=True)
            time.sleep(EVERY)
    except KeyboardInterrupt:
        print()


def status(experiments: set[str] | None) -> str:
    gc.disable()  # all objects of tens of thousands of jobs are in use: looking for garbage is slow
    try:
        run = last_run(experiments)
        plan = thaw(run.plan)
        found = states(jobs(plan), Queue(Path.cwd()))
        width = min(shutil.get_terminal_size().columns, 100)
        return page(run, plan, found, estimate(plan, found), width)
    finally:
        gc.enable()


def in_place(text: str) -> str:
    """In place of what a terminal shows; what does not fit is cut off, since it would scroll."""
    columns, rows = shutil.get_terminal_size()
    lines = [line[:columns] + REST_OF_LINE for line in text.splitlines()]
    return TOP + "\n".join(lines[: rows - 1]) + "\n" + REST


def add(commands: Any) -> None:
    command = commands.add_parser("status", help=show_status.__doc__)
    command.add_argument(
        "--configfile",
        type=Path,
        help="the experiment whose last run is shown (default: the last run of any)",
    )
    command.add_argument("--watch", action="store_true", help="look again every 2 s, until Ctrl-C")
    command.set_defaults(run=show_status)
