"""`scdd plan`: what a configuration makes, and how much of it is there."""

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

from scdd.plan.flops import flops
from scdd.plan.load import plan_of_file
from scdd.plan.stages import LABELS, STAGES, stages_with


def show_plan(args: argparse.Namespace) -> None:
    """List every artifact of a configuration: stage, digest, path, and how much of it exists; with
    the bytes of images and soft labels."""
    plan = plan_of_file(args.configfile)
    for stage in STAGES:
        for node in plan.of(stage):
            files = plan.targets(node)
            existing = sum(file.exists() for file in files)
            state = f"{existing}/{len(files)}" if existing else "-"
            state = "done" if existing == len(files) else state
            size, work = plan.bytes(node), flops(plan, node)
            shown = "" if size is None else f"  {size} bytes"
            shown += "" if work is None else f"  {work / 1e15:.3g} PFLOP"
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
    command.set_defaults(run=show_plan)
