"""The curve of a run: a row of numbers after each epoch or so, told as it comes.

It is told in the log, in a CSV that grows beside the saved state, and to TensorBoard if that is
asked for. All numbers come from the CPU: a curve does not wait for the device.
"""

import contextlib
import csv
import io
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from scdd.jobs.progress import LINE_EVERY, say
from scdd.jobs.saved import JobState

Row = tuple[Any, ...]  # the epoch or iteration, then numbers, or None for what was not measured

# accuracies, which are measured now and then, as the log has them
ACCURACIES = {"knn": "k-NN {:.1f} % of held-out training images", "top1": "top-1 {:.1f} %"}


class Curve:
    """The rows of a run, part of its saved state.

    what: as the progress calls it; columns: the first one is what is counted, 'epoch' say; saved:
    says where the CSV grows, and whether there are event files. A resumed run has the rows of its
    saved state, here and in the CSV.

    The log has the first row, each row with an accuracy, and of the others one in ten seconds.
    """

    def __init__(self, what: str, columns: Sequence[str], saved: JobState | None) -> None:
        self.what, self.columns, self.saved = what, columns, saved or JobState()
        self.rows: list[Row] = []
        self.told = float("-inf")
        self._write("w", csv_text(columns, []))

    def add(self, *row: Any) -> None:
        """A row; numbers beyond the columns are kept, and not told."""
        self.rows.append(row)
        (_, step), *numbers = zip(self.columns, row, strict=False)
        measured = {name: value for name, value in numbers if value is not None}
        self._write("a", _lines([row[: len(self.columns)]]))
        if self.saved.events is not None:
            self.saved.events.add(step, measured)
        if measured.keys() & ACCURACIES or time.monotonic() - self.told >= LINE_EVERY:
            self.told = time.monotonic()
            say(f"{self.what}: {self.columns[0]} {step}, {_in_words(measured)}")

    def state_dict(self) -> list[Row]:
        return self.rows

    def load_state_dict(self, rows: Iterable[Row]) -> None:
        self.rows = list(rows)
        self._write("w", csv_text(self.columns, self.rows))

    def _write(self, mode: str, text: str) -> None:
        if (path := self.saved.curve) is None:
            return
        with contextlib.suppress(OSError):  # as of the log: a full disk does not stop a job
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open(mode, encoding="utf-8") as file:
                file.write(text)


def csv_text(columns: Sequence[str], rows: Iterable[Row]) -> str:
    """A history.csv: blank where nothing was measured."""
    return _lines([columns, *(row[: len(columns)] for row in rows)])


def _lines(rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _in_words(measured: Mapping[str, float]) -> str:
    return ", ".join(
        ACCURACIES.get(name, f"{name} {{:.4g}}").format(value) for name, value in measured.items()
    )
