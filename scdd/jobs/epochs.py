"""The loop of a run that may be interrupted: the epochs and steps that are left."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol, TypeVar

from torch import Tensor

from scdd.jobs.progress import Progress
from scdd.jobs.saved import JobState, Snapshot

T = TypeVar("T")


class Stateful(Protocol):
    """What networks, optimisers and other objects with a state have."""

    def state_dict(self) -> Any: ...
    def load_state_dict(self, state_dict: Any, /) -> Any: ...


# what a run changes: objects, tensors (also several by name), and lists of numbers and text
Part = Stateful | Tensor | Mapping[str, Tensor] | list[Any]


class Epochs:
    """The epochs of a run, each of `steps` steps, but those that an earlier attempt has done.

        run = Epochs("probe", epochs, steps, saved, {"fc": network.fc, "optimizer": optimizer})
        for epoch in run:
            for batch in run.steps_of(batches(epoch, run.skip)):
                ...

    state: all that the steps change, by its name in the saved state; here it is set, in place, to
    what `saved` holds (None: the job is not interrupted). The state is offered to `saved` after
    every step; after the last one of an epoch when the body of the outer loop has ended. An epoch
    whose steps are not iterated over counts as done when its body has ended.

    new_parts: called when a state is saved, returns what is finished and therefore saved once, by
    name (the parts of a `Snapshot`).
    """

    def __init__(
        self,
        what: str,
        epochs: int,
        steps: int,
        saved: JobState | None,
        state: Mapping[str, Part],
        new_parts: Callable[[], dict[str, Any]] = dict,
    ) -> None:
        self.what, self.epochs, self.steps = what, epochs, steps
        self.saved, self.state, self.new_parts = saved or JobState(), state, new_parts
        self.done = 0
        if (content := self.saved.content) is not None:
            self.done = content["done"]
            for name, part in state.items():
                _load(part, content[name])

    @property
    def skip(self) -> int:
        """How many steps of the current epoch are done."""
        return self.done % self.steps

    def __iter__(self) -> Iterator[int]:
        with Progress(self.what, self.epochs * self.steps, self.done) as self.progress:
            for epoch in range(self.done // self.steps, self.epochs):
                yield epoch
                if (left := (epoch + 1) * self.steps - self.done) > 0:
                    self._advance(left)
                self.saved.offer(self.done, self._snapshot)

    def steps_of(self, batches: Iterable[T]) -> Iterator[T]:
        """The batches of the current epoch that are left; each is one step."""
        for batch in batches:
            yield batch
            self._advance(1)
            if self.skip:
                self.saved.offer(self.done, self._snapshot)

    def _advance(self, steps: int) -> None:
        self.done += steps
        self.progress.advance(steps)

    def _snapshot(self) -> Snapshot:
        new = self.new_parts()  # first: the states tell which parts there are
        states = {name: _state(part) for name, part in self.state.items()}
        return Snapshot({"done": self.done, **states}, new)


def _state(part: Part) -> Any:
    if isinstance(part, Tensor | list):
        return part
    return dict(part) if isinstance(part, Mapping) else part.state_dict()


def _load(part: Part, state: Any) -> None:
    """Set `part`, in place, to what `_state` gave."""
    if isinstance(part, Tensor):
        part.copy_(state)
    elif isinstance(part, list):
        part[:] = state
    elif isinstance(part, Mapping):
        for name, tensor in part.items():
            tensor.copy_(state[name])
    else:
        part.load_state_dict(state)
