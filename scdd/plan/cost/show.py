"""The cost of a configuration file, and the arithmetic of an artifact."""

from pathlib import Path

from scdd.artifacts.run import RESULTS
from scdd.errors import ScddError
from scdd.plan.cost.counts import NotCounted
from scdd.plan.cost.estimate import OF_ANOTHER_VERSION, estimate
from scdd.plan.cost.machines import THIS, machine, measured_path
from scdd.plan.cost.stages import jobs_of
from scdd.plan.cost.table import text_of
from scdd.plan.load import plan_of_file, thaw
from scdd.plan.plan import Node, Plan

EARLIER = 20  # plans of earlier runs that are looked at for finished jobs, the newest first


def cost_text(configfile: Path, machine_name: str, gpus: int) -> str:
    """What a configuration will cost; its dataset need not be there yet. gpus: for the wall clock.

    Raises ScddError for what is wrong with the configuration, an unknown machine, and `this` where
    it was not measured.
    """
    if gpus < 1:
        raise ScddError(f"--gpus: {gpus}, but at least 1 is needed.")
    return cost_of(plan_of_file(configfile, check_files=False), machine_name, gpus)


def cost_of(plan: Plan, machine_name: str, gpus: int) -> str:
    """`cost_text` of a plan."""
    chosen = machine(machine_name, plan.machine["threads"], plan.machine["device"])
    return text_of(estimate(plan, chosen, _earlier_plans()), chosen, gpus)


def outlook(plan: Plan) -> str:
    """The cost of a plan that nobody asked for with a machine: of the GPU that was measured here,
    or else of an H100."""
    is_here = plan.machine["device"] != "cpu" and measured_path(True, 0).exists()
    return cost_of(plan, THIS if is_here else "h100", 1)


def flops_of(plan: Plan, node: Node) -> float | None:
    """Of all jobs of an artifact; None where that is not known."""
    try:
        return sum(job.work.flops for job in jobs_of(plan, node))
    except NotCounted:
        return None


def _earlier_plans() -> list[Plan]:
    """Those of the newest runs that left results here. Plans of other versions are passed over."""
    files = sorted((RESULTS / "plans").glob("*.json"), key=lambda file: file.stat().st_mtime)
    plans = []
    for file in reversed(files[-EARLIER:]):
        try:
            plans.append(thaw(file))
        except (ScddError, *OF_ANOTHER_VERSION):
            continue
    return plans
