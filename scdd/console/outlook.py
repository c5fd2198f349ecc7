"""What a dry run says at its end."""

import os
from pathlib import Path

from scdd.errors import ScddError
from scdd.plan.cost.show import outlook as outlook_of
from scdd.plan.load import VARIABLE, thaw


def outlook() -> str:
    """What the plan of this dry run costs, where it is a paper's; empty for others: `scdd plan
    --cost` tells it."""
    plan = thaw(Path(os.environ[VARIABLE]))
    if not plan.of("paper"):
        return ""
    try:
        return f"\n{outlook_of(plan)}\nWith -p too, a dry run lists every job.\n"
    except ScddError as error:  # a damaged file of costs
        return f"\n{error}\n"
