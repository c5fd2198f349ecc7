"""The loop over epochs: when it offers its state, and what a resumed run restores and does."""

from collections.abc import Callable

import pytest
import torch

from scdd.jobs.epochs import Epochs
from scdd.jobs.saved import JobState, Snapshot

EPOCHS, STEPS = 3, 4


class Memory(JobState):
    """Keeps a copy of every offered state, by the number of steps done; resumes from `content`."""

    def __init__(self, content: dict[str, object] | None = None) -> None:
        self.content = content
        self.offers: dict[int, dict[str, object]] = {}

    def offer(self, step: int, snapshot: Callable[[], Snapshot]) -> None:
        content = snapshot().content
        self.offers[step] = {
            name: value.clone() if isinstance(value, torch.Tensor) else value
            for name, value in content.items()
        } | {"rows": list(content["rows"])}


def count(saved: JobState) -> tuple[list[tuple[int, int]], torch.Tensor, list[int]]:
    """Run the loop. Returns the steps of this run, as (epoch, step), and two parts of the state,
    which a resumed run restores: the number of steps done and the epochs that have ended."""
    total, rows, steps = torch.zeros(()), list[int](), []
    run = Epochs("count", EPOCHS, STEPS, saved, {"total": total, "rows": rows})
    for epoch in run:
        for step in run.steps_of(range(run.skip, STEPS)):
            steps.append((epoch, step))
            total += 1
        rows.append(epoch)
    return steps, total, rows


def test_the_state_is_offered_after_every_step_and_for_the_last_after_the_epochs_end() -> None:
    saved = Memory()
    steps, total, rows = count(saved)
    assert steps == [(epoch, step) for epoch in range(EPOCHS) for step in range(STEPS)]
    assert list(saved.offers) == list(range(1, EPOCHS * STEPS + 1))
    assert saved.offers[STEPS]["rows"] == [0]
    assert (total, rows) == (EPOCHS * STEPS, [0, 1, 2])


@pytest.mark.parametrize("done", range(1, EPOCHS * STEPS + 1))
def test_a_resumed_run_does_only_the_remaining_steps(done: int) -> None:
    first = Memory()
    steps, _, _ = count(first)
    remaining, total, rows = count(Memory(first.offers[done]))
    assert remaining == steps[done:]
    assert (total, rows) == (EPOCHS * STEPS, [0, 1, 2])


def test_an_epoch_whose_steps_are_not_iterated_over_counts_as_one_with_all_steps_done() -> None:
    saved = Memory()
    rows: list[int] = []
    for epoch in Epochs("count", EPOCHS, 1, saved, {"rows": rows}):
        rows.append(epoch)
    assert list(saved.offers) == [1, 2, 3]
