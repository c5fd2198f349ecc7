"""The loop in which images are learned, on a learner whose numbers are known in advance."""

from pathlib import Path

import pytest
import torch
from leaving import LeavesAt
from torch import Tensor

from scdd.errors import ScddError
from scdd.jobs.epochs import Part
from scdd.jobs.saved import JobState, Stopped
from scdd.learn.engine import Learned, Row, learn
from scdd.learn.learner import Learner

STEPS = 3  # of an iteration
KEYS = "learn.dm.lr_images (1)"


class Counting(Learner):
    """Every step adds 1 to all pixels, 0.25 to the learning rate and 2 to the loss, which begins
    at 0. An iteration ends after three steps; every second one, as CAFE's may, after two."""

    steps = STEPS

    def __init__(self) -> None:
        self.images = torch.zeros(4, 3, 2, 2)
        self.student_lr = torch.tensor(0.25)
        self.labels = torch.full((4, 2), 0.5)
        self.place = [0, 0, 0]  # iteration, step in it, steps in all
        self.state: dict[str, Part] = {
            "images": self.images,
            "student_lr": self.student_lr,
            "place": self.place,
        }

    @property
    def iteration(self) -> int:
        return self.place[0]

    def loss(self) -> Tensor:
        return torch.tensor(2.0 * self.place[2])

    def advance(self) -> Tensor:
        loss = self.loss()
        self.images += 1
        assert self.student_lr is not None
        self.student_lr += 0.25
        iteration, step, total = self.place
        done = step + 1 == STEPS - iteration % 2
        self.place[:] = [iteration + done, 0 if done else step + 1, total + 1]
        return loss


def run(learner: Learner, saved: JobState | None = None) -> Learned:
    """Four iterations of 3, 2, 3 and 2 steps."""
    return learn(learner, 4, [0, 1, 4], torch.tensor([0, 2]), KEYS, [2, 3], saved)


def test_all_iterations_are_done() -> None:
    last = run(Counting()).last
    assert torch.equal(last.images, torch.full((4, 3, 2, 2), 10.0))
    assert last.student_lr == 0.25 + 10 * 0.25
    assert last.labels is not None


def test_the_history_has_the_mean_loss_of_each_iteration_and_the_rate_after_it() -> None:
    assert run(Counting()).history == [
        Row(0, 2.0, 1.0),  # losses 0, 2, 4
        Row(1, 7.0, 1.5),  # 6, 8
        Row(2, 12.0, 2.25),  # 10, 12, 14
        Row(3, 17.0, 2.75),  # 16, 18
    ]


def test_frames_show_the_chosen_images_at_the_chosen_iterations() -> None:
    frames = run(Counting()).frames
    assert frames.shape == (3, 2, 3, 2, 2)
    assert frames[:, 0, 0, 0, 0].tolist() == [0, 3, 10]


def test_snapshots_have_all_images_after_the_chosen_iterations() -> None:
    snapshots = run(Counting()).snapshots
    assert {at: content.images[0, 0, 0, 0].item() for at, content in snapshots.items()} == {
        2: 5.0,
        3: 8.0,
    }
    assert snapshots[2].student_lr == 0.25 + 5 * 0.25


@pytest.mark.parametrize("chance", range(1, 10))
def test_a_run_that_is_interrupted_ends_like_one_that_is_not(tmp_path: Path, chance: int) -> None:
    first = LeavesAt(tmp_path, chance)
    with pytest.raises(Stopped), first.locked(), first.attempt(lambda _: None):
        run(Counting(), first)
    second = LeavesAt(tmp_path, -1)
    with second.locked(), second.attempt(lambda _: None):
        resumed = run(Counting(), second)

    quiet = run(Counting())
    assert resumed.history == quiet.history
    assert torch.equal(resumed.last.images, quiet.last.images)
    assert torch.equal(resumed.frames, quiet.frames)
    assert list(resumed.snapshots) == list(quiet.snapshots)
    for at, content in quiet.snapshots.items():
        assert torch.equal(resumed.snapshots[at].images, content.images)


class Diverging(Counting):
    """Its loss is NaN from the sixth step on."""

    def loss(self) -> Tensor:
        return torch.tensor(0.0 if self.place[2] < 5 else float("nan"))


class Falling(Counting):
    """Its learning rate falls below zero in the second iteration."""

    def advance(self) -> Tensor:
        loss = super().advance()
        if self.place[2] == 4:
            assert self.student_lr is not None
            self.student_lr.fill_(-0.5)
        return loss


def test_a_loss_that_is_not_finite_stops_the_run_at_once() -> None:
    with pytest.raises(
        ScddError,
        match=r"^the loss is not finite in iteration 2. The last good state is kept. Lower "
        r"learn.dm.lr_images \(1\).$",
    ):
        run(Diverging())


def test_a_negative_learning_rate_stops_the_run_at_once() -> None:
    with pytest.raises(ScddError, match=r"^the student's learning rate is -0\.5 in iteration 1\. "):
        run(Falling())


def test_the_last_good_state_is_kept(tmp_path: Path) -> None:
    saved = LeavesAt(tmp_path, -1)
    with pytest.raises(ScddError), saved.locked(), saved.attempt(lambda _: None):
        run(Diverging(), saved)
    again = LeavesAt(tmp_path, -1)
    with again.locked(), again.attempt(lambda _: None):
        assert again.content is not None
        assert again.content["place"][2] == 5
