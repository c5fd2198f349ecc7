"""How well `scdd plan --cost --machine this` told what a finished run took, by stage.

In the folder of a run, on the machine that made it and was measured (docs/costs.md):

    python benchmarks/cost.py --configfile config.yaml

The files of costs are what is compared with, so that the figures rest on the machine's rates alone.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

from scdd.plan.cost.history import own_cost
from scdd.plan.cost.machines import THIS, Machine, machine
from scdd.plan.cost.stages import jobs_of
from scdd.plan.load import plan_of_file
from scdd.plan.plan import Plan
from scdd.plan.stages import STAGES


def pairs(plan: Plan, chosen: Machine, stage: str) -> Iterable[tuple[float, float]]:
    """Of the stage's finished jobs: seconds expected, and taken."""
    for node in plan.of(stage):
        for job in jobs_of(plan, node):
            if (cost := own_cost(node, job, chosen)) is not None:
                yield chosen.seconds(job), cost.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--configfile", type=Path, default=Path("config.yaml"))
    args = parser.parse_args()
    plan = plan_of_file(args.configfile, check_files=False)
    chosen = machine(THIS, plan.machine["threads"], plan.machine["device"])
    total = 0.0, 0.0
    print(f"{'stage':16s} {'jobs':>5s} {'expected':>10s} {'taken':>10s} {'ratio':>6s}")
    for stage in STAGES:
        if rows := list(pairs(plan, chosen, stage)):
            expected, taken = (sum(column) for column in zip(*rows, strict=True))
            total = total[0] + expected, total[1] + taken
            ratio = expected / taken
            print(f"{stage:16s} {len(rows):5d} {expected:8.1f} s {taken:8.1f} s {ratio:6.2f}")
    if total[1]:
        print(f"{'all':16s} {'':5s} {total[0]:8.1f} s {total[1]:8.1f} s {total[0] / total[1]:6.2f}")


if __name__ == "__main__":
    main()
