"""`scdd measure`: how fast this machine is, for `scdd plan --cost --machine this`."""

import argparse
from typing import Any

from scdd.plan.cost.machines import save_measured


def measure_machine(args: argparse.Namespace) -> None:
    """Measure how fast this machine is, in about a minute, and keep it in the user's cache folder
    for `scdd plan --cost --machine this`."""
    from scdd.measure import measure  # torch takes a second

    path = save_measured(measure(args.device, args.threads))
    print(f"measured: {path}")


def add(commands: Any) -> None:
    command = commands.add_parser("measure", help=measure_machine.__doc__)
    command.add_argument(
        "--threads", type=int, default=1, help="CPU threads of a job, as machine.threads (1)"
    )
    command.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    command.set_defaults(run=measure_machine)
