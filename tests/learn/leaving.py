"""A job that is asked to leave."""

from collections.abc import Callable
from pathlib import Path

from scdd.jobs.saved import SavedState, Snapshot


class LeavesAt(SavedState):
    """Asked to leave at its n-th chance; never, if that is negative."""

    def __init__(self, folder: Path, chance: int) -> None:
        super().__init__(folder, {"artifact": "a"}, 0.0)
        self.left = chance

    def offer(self, step: int, snapshot: Callable[[], Snapshot]) -> None:
        self.left -= 1
        self.leaving = self.left == 0
        super().offer(step, snapshot)
