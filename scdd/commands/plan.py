"""`scdd plan`: what a configuration makes, how much of it is there, and what it costs."""

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

from scdd.artifacts.run import RESULTS
from scdd.errors import ScddError
from scdd.plan.cost.counts import NotCounted
from scdd.plan.cost.estimate import estimate
from scdd.plan.cost.machines import SHEETS, THIS, machine
from scdd.plan.cost.stages import jobs_of
from scdd.plan.cost.table import text_of
from scdd.plan.load import plan_of_file, thaw
from scdd.plan.plan import Node, Plan
from scdd.plan.stages import LABELS, STAGES, stages_with

EARLIER = 20  # plans of earlier runs that are looked at for finished jobs, the newest first


def show_plan(args: argparse.Namespace) -> None:
    """List every artifact of a configuration: stage, digest, path, and how much of it exists; with
    the bytes of images and soft labels. With --cost: what it will cost, by stage."""
    if args.cost:
        show_cost(args)
        return
    plan = plan_of_file(args.configfile)
    for stage in STAGES:
        for node in plan.of(stage):
            files = plan.targets(node)
            existing = sum(file.exists() for file in files)
            state = f"{existing}/{len(files)}" if existing else "-"
            state = "done" if existing == len(files) else state
            size, work = plan.bytes(node), _flops(plan, node)
            shown = "" if size is None else f"  {size} bytes"
            shown += f"  {work / 1e15:.3g} PFLOP" if work else ""
            print(f"{stage:15s} {node.digest} {state:>9s}  {node.folder}{shown}")
    for name, stages in (("images", ["imageset"]), ("soft labels", stages_with(LABELS))):
        total = sum(plan.bytes(node) or 0 for stage in stages for node in plan.of(stage))
        if total:
            print(f"{name}: {total} bytes ({total / 2**20:.1f} MiB)")
    counts = Counter(node.stage for node in plan.nodes.values())
    print(", ".join(f"{counts[stage]} {stage}" for stage in STAGES if counts[stage]))


def show_cost(args: argparse.Namespace) -> None:
    """The dataset need not be there yet."""
    plan = plan_of_file(args.configfile, check_files=False)
    chosen = machine(args.machine, plan.machine["threads"], plan.machine["device"])
    print(text_of(estimate(plan, chosen, _earlier_plans()), chosen, args.gpus))


def _earlier_plans() -> list[Plan]:
    """Those of the newest runs that left results here. Plans of other versions are passed over."""
    files = sorted((RESULTS / "plans").glob("*.json"), key=lambda file: file.stat().st_mtime)
    plans = []
    for file in reversed(files[-EARLIER:]):
        try:
            plans.append(thaw(file))
        except (ScddError, TypeError, KeyError):
            continue
    return plans


def _flops(plan: Plan, node: Node) -> float | None:
    """None where it is not known."""
    try:
        return sum(job.work.flops for job in jobs_of(plan, node))
    except NotCounted:
        return None


def _count(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def add(commands: Any) -> None:
    command = commands.add_parser("plan", help=show_plan.__doc__)
    command.add_argument("--configfile", type=Path, default=Path("config.yaml"))
    command.add_argument("--cost", action="store_true", help="what it will cost (docs/costs.md)")
    command.add_argument(
        "--machine",
        default=THIS,
        help=f"whose cost: {', '.join(SHEETS)}, or this one, as `scdd measure` found it (this)",
    )
    command.add_argument("--gpus", type=_count, default=1, help="GPUs for the wall clock (1)")
    command.set_defaults(run=show_plan)
