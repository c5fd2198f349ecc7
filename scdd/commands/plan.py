"""`scdd plan`: what a configuration makes, how much of it is there, and what it costs."""

import argparse
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Any

from scdd.artifacts.slots import slot_ranges
from scdd.plan.cost.machines import SHEETS, THIS
from scdd.plan.cost.show import cost_text, flops_of
from scdd.plan.cost.table import flops
from scdd.plan.differences import Settings, among_namesakes
from scdd.plan.load import plan_of_file
from scdd.plan.plan import Node, Plan
from scdd.plan.stages import LABELS, STAGES, stages_with

WHY = "that are the same for every IPC: a larger one only adds to them (results/README.md)"


def show_plan(args: argparse.Namespace) -> None:
    """List every artifact of a configuration: stage, digest, path, and how much of it exists; with
    the bytes of images and soft labels. Below it, for which methods and protocols it is made, and
    by which values it differs from others of the same name. With --cost: what it will cost, by
    stage."""
    file = args.file or args.configfile
    if args.cost:
        print(cost_text(file, args.machine, args.gpus))
        return
    plan = plan_of_file(file)
    differences = among_namesakes(plan)
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
            if facts := about(plan, node, differences.get(node.key, {})):
                print(f"{'':15s} {facts}")
    for name, stages in (("images", ["imageset"]), ("soft labels", stages_with(LABELS))):
        total = sum(plan.bytes(node) or 0 for stage in stages for node in plan.of(stage))
        if total:
            print(f"{name}: {total} bytes ({total / 2**20:.1f} MiB)")
    for line in beyond(plan):
        print(line)
    counts = Counter(node.stage for node in plan.nodes.values())
    print(", ".join(f"{counts[stage]} {stage}" for stage in STAGES if counts[stage]))


def about(plan: Plan, node: Node, differences: Settings) -> str:
    """For whom an artifact is made, and how it differs, in words; empty if that is all."""
    uses = plan.uses.get(node.key, [])
    protocols = dict.fromkeys(use.protocol for use in uses if use.protocol)
    # what is made before the labels is made for every protocol
    by = protocols if "labels" in node.parents or "images" in node.parents else {}
    facts = [" + ".join(dict.fromkeys(use.title for use in uses)), " + ".join(by)]
    facts.append(", ".join(f"{key} {value}" for key, value in differences.items()))
    return "; ".join(filter(None, facts))


def beyond(plan: Plan) -> list[str]:
    """What is made beyond what is asked: images are made in ranges that are the same in every
    configuration."""
    asked: dict[str, int] = {}
    for filling in chain.from_iterable(map(plan.fillings, plan.of("imageset"))):
        key = filling.source.key
        asked[key] = max(asked.get(key, 0), filling.count)
    lines: dict[str, None] = {}
    for key, ipc in asked.items():
        source, last = plan.nodes[key], slot_ranges(ipc)[-1][1]
        stage, joint = source.stage, "ipc" in source.params
        if stage in ("select", "recover") and not joint and last > ipc:
            lines[f"{stage}: {last} images a class are made for IPC {ipc}, in ranges {WHY}"] = None
    return [*lines]


def add(commands: Any) -> None:
    command = commands.add_parser("plan", help=show_plan.__doc__)
    command.add_argument("file", type=Path, nargs="?", help="in place of --configfile")
    command.add_argument("--configfile", type=Path, default=Path("config.yaml"))
    command.add_argument("--cost", action="store_true", help="what it will cost (docs/costs.md)")
    command.add_argument(
        "--machine",
        default=THIS,
        help=f"whose cost: {', '.join(SHEETS)}, or this one, as `scdd measure` found it (this)",
    )
    command.add_argument("--gpus", type=int, default=1, help="GPUs for the wall clock (1)")
    command.set_defaults(run=show_plan)
