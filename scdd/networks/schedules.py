"""Learning rates by step or epoch: plain numbers, all counted from 0."""

import math
from collections.abc import Iterable


def half_cosine(step: float, steps: float = 1.0) -> float:
    """From 1 at step 0 to 0 at `steps`: (1 + cos(pi step / steps)) / 2."""
    return 0.5 * (1 + math.cos(math.pi * step / steps))


def warm_cosine(step: int, steps: int, warmup: int, peak: float, final: float = 0.0) -> float:
    """Of step 0 ≤ `step` < `steps`: linear over `warmup` steps, then cosine towards `final`."""
    if step < warmup:
        return peak * (step + 1) / warmup
    return final + (peak - final) * half_cosine((step - warmup) / (steps - warmup))


def stepped(
    step: float, steps: float, peak: float, milestones: Iterable[float], factor: float = 0.1
) -> float:
    """`peak`, times `factor` for each of the milestones, shares of `steps`, that is reached."""
    return peak * factor ** sum(step >= share * steps for share in milestones)
