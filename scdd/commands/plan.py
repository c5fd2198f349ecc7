"""`scdd plan`: what a configuration makes, how much of it is there, and what it costs."""

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

from scdd.plan.cost.machines import SHEETS, THIS
from scdd.plan.cost.show import cost_text, flops_of
from scdd.plan.cost.table import flops
from scdd.plan.load import plan_of_file
from scdd.plan.stages import LABELS, STAGES, stages_with


def show_plan(args: argparse.Namespace) -> None:
    """List every artifact of a configuration: stage, digest, path, and how much of it exists; with
    the bytes of images and soft labels. With --cost: what it will cost, by stage."""
    if args.cost:
        print(cost_text(args.configfile, args.machine, args.gpus))
        return
    plan = plan_of_file(args.configfile)
    for stage in STAGES:
        for node in plan.of(stage):
            files = plan.targets(node)
            existing = sum(file.exists() for file in files)
            state = f"{existing}/{len(files)}" if existing else "-"
            state = "done" if existing == len(files) else state
            size, work = plan.bytes(node), flops_of(plan, node)
            shown = "" if size is None else f"  {size} bytes"
            shown += f"  {flops(work)}" if work else ""
            print(f"{stage:15s} {node.digest} {state:>9s}  {node.folder}{shown}")
    for name, stages in (("images", ["imageset"]), ("soft labels", stages_with(LABELS))):
        total = sum(plan.bytes(node) or 0 for stage in stages for node in plan.of(stage))
        if total:
            print(f"{name}: {total} bytes ({total / 2**20:.1f} MiB)")
    counts = Counter(node.stage for node in plan.nodes.values())
    print(", ".join(f"{counts[stage]} {stage}" for stage in STAGES if counts[stage]))


def add(commands: Any) -> None:
    command = commands.add_parser("plan", help=show_plan.__doc__)
    command.add_argument("--configfile", type=Path, default=Path("config.yaml"))
    command.add_argument("--cost", action="store_true", help="what it will cost (docs/costs.md)")
    command.add_argument(
        "--machine",
        default=THIS,
        help=f"whose cost: {', '.join(SHEETS)}, or this one, as `scdd measure` found it (this)",
    )
    command.add_argument("--gpus", type=int, default=1, help="GPUs for the wall clock (1)")
    command.set_defaults(run=show_plan)
