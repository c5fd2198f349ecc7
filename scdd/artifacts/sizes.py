"""How large artifacts are, known before they are made. Pure Python: the plan asks too."""

from collections.abc import Mapping
from typing import Any

VIEW_BYTES = 25  # crop, flip, partner, lam and box of one view


def label_bytes(params: Mapping[str, Any], classes: int) -> int:
    """Of one image in one epoch in a store made with the relabel parameters `params`."""
    return VIEW_BYTES + 2 * classes
