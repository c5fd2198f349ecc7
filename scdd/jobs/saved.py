"""The saved state of a long job: what the next attempt resumes from.

A job's folder in work/ holds, beside its lock and its finished outputs,

    state.pt       the state at the last save: sha256, then a torch file without code
    <name>.part    what is finished within the job, written once
    attempts.json  how the last attempts of this run of the workflow ended
    attempts.log   all attempts, a line each for start and end
    history.csv    the rows of its curve so far (`scdd.jobs.curve`)
"""

import contextlib
import hashlib
import io
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from scdd.artifacts.files import replacing, write_json
from scdd.artifacts.run import NAME
from scdd.errors import ScddError
from scdd.jobs.events import Events
from scdd.jobs.lock import Lock

FRUITLESS = 2  # attempts in a row without a newly saved step, after which the job is not retried
HASH = 32  # bytes of sha256


@dataclass(frozen=True)
class Snapshot:
    """What a job needs to resume: `content` as it is now, and new `parts`, which do not change any
    more.

    Tensors in dicts, lists and tuples, with numbers and text. All but tensors of content and parts
    are read back equal; tensors, on the CPU, with the same strides.
    """

    content: dict[str, Any]
    parts: dict[str, Any] = field(default_factory=dict)


class Stopped(Exception):
    """The job was asked to leave, and has saved its state."""


class JobState:
    """The state that a job resumes from and saves; this one is never saved: for a job that is not
    interrupted."""

    content: dict[str, Any] | None = None
    """What an earlier attempt saved last; None for a new start."""
    curve: Path | None = None
    """The CSV in which the rows of `scdd.jobs.curve` grow."""
    events: Events | None = None
    """Where they go for TensorBoard, if they do."""
    leaving = False
    """Whether the job was asked to leave: set by a signal's handler."""

    def part(self, name: str) -> Any:
        """A part that an earlier attempt saved."""
        raise KeyError(name)

    def offer(self, step: int, snapshot: Callable[[], Snapshot]) -> None:
        """To be called after every step, counted from the job's start: saves now and then.

        The state is written while the job continues. Raises Stopped, with the state saved, if the
        job was asked to leave.
        """

    def save(self, step: int, snapshot: Snapshot) -> None:
        """Save now, and wait until it is written."""


class SavedState(JobState):
    """One attempt at a job, `locked`: alone with its folder.

    key: what the state must have been made for, e.g. digests of parameters and code.
    """

    def __init__(self, folder: Path, key: Mapping[str, Any], every: float) -> None:
        self.folder, self.key, self.every = folder, dict(key), every
        self.lock = Lock(folder)
        self.curve = folder / "history.csv"
        self.step = 0  # the last that is saved
        self.spent: float | None = 0.0  # seconds of earlier attempts up to it; None: not recorded
        self.started = 0.0
        self.run = os.environ.get(NAME)
        self.due = 0.0
        self.writer = ThreadPoolExecutor(1)
        self.writing: Future[None] | None = None

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Alone with the folder. Raises ScddError if another process works there."""
        self.lock.acquire()
        try:
            yield
        finally:
            self.lock.release()

    @contextlib.contextmanager
    def attempt(self, say: Callable[[str], None]) -> Iterator[None]:
        """Within the lock: reads the state, reports earlier attempts, records how this one ends.

        Raises ScddError if this run's attempts have shown that another one is of no use.
        """
        self.started = time.monotonic()
        earlier = self._attempts()
        if self.run is not None and earlier["fruitless"] >= FRUITLESS:
            raise ScddError(f"not tried again in this run: {earlier['reason']}")
        self._read()
        log = self.folder / "attempts.log"
        for line in log.read_text().splitlines() if log.exists() else []:
            say(f"before: {line}")
        self._record(
            earlier["fruitless"] + 1,
            f"{FRUITLESS} attempts in a row ended before a new step was saved. If they ran out of "
            "time or memory, ask for more, or save more often (machine.save_every); how they ended "
            f"is in {log}.",
        )
        self._note(f"begins at step {self.step}: {self.lock.me}")
        say(f"begins at step {self.step}")
        self.due = time.monotonic() + self.every
        try:
            yield
        except Exception as error:
            with contextlib.suppress(ScddError):  # the first error is the one to report
                self.wait()
            # another attempt would end in the same way
            if isinstance(error, ScddError) and self.lock.held():
                self._record(FRUITLESS, str(error))
            self._note(f"ends at step {self.step}: {error}")
            raise
        with contextlib.suppress(ScddError):  # all is done: the state is not needed any more
            self.wait()

    def _attempts(self) -> dict[str, Any]:
        """Of this run of the workflow; those of an earlier run do not count."""
        with contextlib.suppress(OSError, ValueError):
            attempts: dict[str, Any] = json.loads((self.folder / "attempts.json").read_text())
            if attempts.get("run") == self.run:
                return attempts
        return {"fruitless": 0, "reason": ""}

    def _record(self, fruitless: int, reason: str) -> None:
        attempts = {"run": self.run, "fruitless": fruitless, "reason": reason}
        with contextlib.suppress(ScddError):  # a full disk
            write_json(self.folder / "attempts.json", attempts)

    def _note(self, text: str) -> None:
        # the reason for the note may be a full disk
        with contextlib.suppress(OSError), (self.folder / "attempts.log").open("a") as log:
            log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")

    def _read(self) -> None:
        state = _load(self.folder / "state.pt")
        if state is not None and state["key"] == self.key:
            self.step, self.content = state["step"], state["content"]
            self.spent = state.get("seconds")
        else:
            for file in self.folder.glob("*.part"):
                file.unlink()

    def seconds(self) -> float | None:
        """What this attempt took so far, and the earlier ones that it resumed from up to their last
        saves; None if their time was not recorded."""
        return None if self.spent is None else self.spent + time.monotonic() - self.started

    def part(self, name: str) -> Any:
        part = _load(self.folder / f"{name}.part")
        if part is None:
            state = self.folder / "state.pt"
            raise ScddError(f"{name}.part beside {state} is damaged. Delete {state}, run again.")
        return part

    def offer(self, step: int, snapshot: Callable[[], Snapshot]) -> None:
        if not self.leaving and time.monotonic() < self.due:
            return
        self._begin(step, snapshot())
        if self.leaving:
            self.wait()
            raise Stopped(f"saved at step {step}")

    def save(self, step: int, snapshot: Snapshot) -> None:
        """Raises ScddError if another process took the lock, or the disk is full."""
        self._begin(step, snapshot)
        self.wait()

    def wait(self) -> None:
        """Until the state that is being saved is written. Raises ScddError if the disk is full."""
        writing, self.writing = self.writing, None
        if writing is not None:
            writing.result()

    def _begin(self, step: int, snapshot: Snapshot) -> None:
        """Take a copy, which is hashed and written while the job continues."""
        self.wait()
        self.require_lock()
        state = {"key": self.key, "step": step, "content": snapshot.content}
        state["seconds"] = self.seconds()
        files = {f"{name}.part": _pack(part) for name, part in snapshot.parts.items()}
        files["state.pt"] = _pack(state)  # last: it names the parts
        self.writing = self.writer.submit(self._write, step, files)
        self.due = time.monotonic() + self.every

    def _write(self, step: int, files: Mapping[str, memoryview]) -> None:
        for name, packed in files.items():
            with replacing(self.folder / name) as temporary, temporary.open("wb") as file:
                file.write(hashlib.sha256(packed).digest())
                file.write(packed)
        if step > self.step:
            self._record(0, "")
        self.step = step

    def require_lock(self) -> None:
        """Raises ScddError if another process took the lock."""
        if not self.lock.held():
            raise ScddError(
                f"another process took over the work in {self.folder}, because this one gave no "
                "sign of life for long. The other one continues: there is nothing to do."
            )

    def clear(self) -> None:
        """Delete the state: the job is done."""
        for file in (self.folder / "state.pt", *self.folder.glob("*.part")):
            file.unlink(missing_ok=True)
        for name in ("attempts.json", "attempts.log", "history.csv"):
            (self.folder / name).unlink(missing_ok=True)


def _pack(content: Any) -> memoryview:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getbuffer()


def _load(path: Path) -> Any:
    """None if the file is missing or damaged."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    if hashlib.sha256(memoryview(data)[HASH:]).digest() != data[:HASH]:
        return None
    return torch.load(io.BytesIO(data[HASH:]), map_location="cpu", weights_only=True)
