"""The loop in which images are learned: saved now and then, and stopped where it goes wrong."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from scdd.errors import ScddError
from scdd.jobs.curve import Curve
from scdd.jobs.epochs import Epochs, Part
from scdd.jobs.saved import JobState
from scdd.learn.learner import Learner

COLUMNS = ("iteration", "loss", "student_lr")
CURVE = 200  # about as many iterations are in the history
WAIT = 10  # steps on a GPU after which the loss is looked at; on the CPU it is after each


@dataclass(frozen=True)
class Row:
    """An iteration of a history: the mean loss of its steps, and the learned learning rate."""

    iteration: int
    loss: float
    student_lr: float | None


@dataclass(frozen=True)
class Content:
    """What was learned after some iterations, on the CPU.

    images: float32 [K * ipc, 3, R, R]; labels: float32 [K * ipc, K], and student_lr: None where the
    method learns none.
    """

    images: Tensor
    labels: Tensor | None
    student_lr: float | None

    @classmethod
    def of(cls, learner: Learner) -> Self:
        labels, rate = learner.labels, learner.student_lr
        return cls(
            learner.images.detach().float().cpu().clone(),
            None if labels is None else labels.detach().float().cpu().clone(),
            None if rate is None else rate.item(),
        )


@dataclass(frozen=True)
class Learned:
    """What a run gives.

    last: the finished images; snapshots: those on the way, by iteration; frames: float32 [frames,
    n, 3, R, R] (CPU), some images at some iterations.
    """

    last: Content
    snapshots: dict[int, Content]
    history: list[Row]
    frames: Tensor


class Snapshots:
    """The snapshots so far, each of which is saved once."""

    def __init__(self, saved: JobState) -> None:
        self.saved = saved
        self.contents: dict[int, Content] = {}
        self.unsaved: dict[str, Any] = {}

    def keep(self, iteration: int, content: Content) -> None:
        self.contents[iteration] = content
        self.unsaved[_part(iteration)] = vars(content)

    def new_parts(self) -> dict[str, Any]:
        parts, self.unsaved = self.unsaved, {}
        return parts

    def state_dict(self) -> list[int]:
        return list(self.contents)

    def load_state_dict(self, iterations: list[int]) -> None:
        self.contents = {each: Content(**self.saved.part(_part(each))) for each in iterations}


def _part(iteration: int) -> str:
    return f"images_{iteration}"


class Watch:
    """Whether the numbers of a run are still usable, without waiting for the device at each step.

    too_large: the keys that a message asks to lower.
    """

    def __init__(self, learner: Learner, too_large: str) -> None:
        self.learner, self.too_large = learner, too_large
        self.good = torch.ones((), dtype=torch.bool, device=learner.images.device)
        self.every = 1 if learner.images.device.type == "cpu" else WAIT
        self.steps = 0

    def see(self, loss: Tensor) -> None:
        """Raises ScddError as `require_good` does, if it is time to look."""
        self.good &= loss.isfinite()
        if (rate := self.learner.student_lr) is not None:
            self.good &= rate.detach() > 0  # false for NaN too
        self.steps += 1
        if self.steps % self.every == 0:
            self.require_good()

    def require_good(self) -> None:
        """Raises ScddError, naming the keys to lower, if a loss was not finite, or the learned
        learning rate is not above zero."""
        if bool(self.good):
            return
        rate, what = self.learner.student_lr, "the loss is not finite"
        if rate is not None and not rate.item() > 0:
            what = f"the student's learning rate is {rate.item():.3g}"
        raise ScddError(
            f"{what} in iteration {self.learner.iteration}. The last good state is kept. Lower "
            f"{self.too_large}."
        )


def learn(
    learner: Learner,
    iterations: int,
    moments: Sequence[int],
    shown: Tensor,
    too_large: str,
    snapshots_at: Collection[int] = (),
    saved: JobState | None = None,
) -> Learned:
    """Advance `learner` to the end of its iterations.

    moments: the iterations after which the images `shown` int64 [n] are kept as frames;
    snapshots_at: those after which all images are kept. saved: where to resume from, and where the
    state is left. Raises ScddError as `Watch` does.
    """
    device = learner.images.device
    frames = torch.zeros(len(moments), len(shown), *learner.images.shape[1:], device=device)
    shown, places = shown.to(device), {moment: place for place, moment in enumerate(moments)}
    curve = Curve("learn", COLUMNS, saved)
    total, count = torch.zeros((), device=device), [0]
    saved = saved or JobState()
    snapshots = Snapshots(saved)
    state: dict[str, Part] = {
        **learner.state,
        "snapshots": snapshots,
        "frames": frames,
        "history": curve,
        "total": total,
        "count": count,
    }
    watch = Watch(learner, too_large)

    def new_parts() -> dict[str, Any]:
        watch.require_good()  # so that a saved state is a good one
        return snapshots.new_parts()

    run = Epochs("learn", iterations, learner.steps, saved, state, new_parts)
    every = max(1, iterations // CURVE)

    def keep_frame(done: int) -> None:
        if done in places:
            frames[places[done]] = learner.images.detach()[shown].float()

    if run.done == 0:
        keep_frame(0)
    for iteration in run:
        for _ in run.steps_of(_left(learner, iteration)):
            loss = learner.advance()
            total += loss
            count[0] += 1
            watch.see(loss)
        keep_frame(iteration + 1)
        if iteration + 1 in snapshots_at:
            snapshots.keep(iteration + 1, Content.of(learner))
        if iteration % every == 0 or iteration == iterations - 1:
            rate = learner.student_lr
            mean = total.item() / max(1, count[0])
            curve.add(iteration, mean, None if rate is None else rate.item())
        total.zero_()
        count[0] = 0
    watch.require_good()
    _require_finite(learner, too_large)
    rows = [Row(*row) for row in curve.rows]
    return Learned(Content.of(learner), snapshots.contents, rows, frames.cpu())


def _left(learner: Learner, iteration: int) -> Iterator[None]:
    """The steps of the iteration that are left."""
    while learner.iteration == iteration:
        yield


def _require_finite(learner: Learner, too_large: str) -> None:
    if not bool(learner.images.detach().isfinite().all()):
        raise ScddError(f"the learned images are not finite. Lower {too_large}.")
