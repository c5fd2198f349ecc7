"""What the jobs measured, as the sections share it: each file is read and checked once.

Like the sections, this module imports pandas only in the functions that need it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scdd.artifacts.files import damaged, read_json
from scdd.artifacts.informativeness import load_informativeness
from scdd.artifacts.run import RESULTS
from scdd.errors import ScddError
from scdd.report import seconds
from scdd.report.looks import Look
from scdd.report.notes import notes
from scdd.report.scores import Column, Row, Student, Table, main_table
from scdd.report.seconds import Spent

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Measured:
    """The results of an experiment. params: the frozen ones of stage 'tables', whose paths are
    relative to the folder `results`. All properties raise ScddError, naming the file, where a file
    is missing or damaged."""

    results: Path
    params: Mapping[str, Any]

    @cached_property
    def students(self) -> list[Student]:
        cells = self.params["cells"]
        # frozen configurations of before version 0.2 lack them
        origins = self.params.get("origins") or [{"labels": None, "values": {}}] * len(cells)
        return [self._student(*pair) for pair in zip(cells, origins, strict=True)]

    def _student(self, cell: Mapping[str, Any], origin: Mapping[str, Any]) -> Student:
        numbers = read_metrics(self.results / cell["metrics"], "top1", "epochs", "train_images")
        stored = cell["stored"] or {"form": None, "bytes": 0}
        return Student(
            *setting(cell),
            seed=cell["seed"],
            top1=numbers["top1"],
            top5=numbers.get("top5"),
            epochs=numbers["epochs"],
            train_images=numbers["train_images"],
            form=stored["form"],
            label_bytes=stored["bytes"],
            origin=self._origin(cell, origin),
        )

    def _origin(self, cell: Mapping[str, Any], origin: Mapping[str, Any]) -> dict[str, str]:
        folders = {
            "student": str(Path(cell["metrics"]).parent),
            "images": str(Path(cell["images"]).parent) if cell["images"] else "",
            "labels": origin["labels"] or "",
        }
        digests = {f"{what} digest": path.rpartition("-")[2] for what, path in folders.items()}
        paths = {f"{what} path": path and str(RESULTS / path) for what, path in folders.items()}
        values = {key: str(value) for key, value in origin["values"].items()}
        return {"experiment": self.params["experiment"], **digests, **paths, **values}

    @cached_property
    def table(self) -> Table:
        from scdd.artifacts.dataset import load_info

        info = load_info(self.results / self.params["data"])
        return main_table(
            self.params["dataset"],
            self.params["classes"],
            info.train,
            info.resolution,
            self.students,
            self.params["holdout"],
        )

    @cached_property
    def notes(self) -> list[str]:
        """What a reader must know to judge the students' numbers, as plain sentences."""
        probes = {probe["title"]: self._top1(probe["metrics"]) for probe in self.params["probes"]}
        of_students = notes(self.table, self.students, probes)
        return [*of_students, *self._verified(), *self.params["notes"]]

    def _verified(self) -> list[str]:
        """What the verifier sees on the recovered images, as a sentence, where there is one."""
        if "verified" not in self.params:
            return []
        shares = [
            f"{images['title']}, IPC {images['ipc']}: {self._top1(images['metrics']):.1f} %"
            for images in self.params["verified"]
        ]
        return [
            f"Recovered images that the {self.params['verifier']} teacher assigns to their class: "
            f"{'; '.join(shares)}."
        ]

    def _top1(self, file: str) -> float:
        top1: float = read_metrics(self.results / file, "top1")["top1"]
        return top1

    @cached_property
    def spent(self) -> list[Spent]:
        return seconds.read(self.results, self.params["costs"])

    @cached_property
    def looks(self) -> list[Look]:
        """The squeezed backbones, of an experiment that looks at some."""
        return [
            Look(
                look["title"],
                look["network"],
                look["seed"],
                self._top1(look["metrics"]),
                self._last_knn(look["history"]),
                load_informativeness(self.results / look["informativeness"]),
            )
            for look in self.params["backbones"]
        ]

    def _last_knn(self, file: str) -> float | None:
        """The last k-NN accuracy in a squeeze's history, in percent; None without any."""
        history = read_history(self.results / file, None)
        values: list[float] = history["knn"].dropna().tolist() if "knn" in history else []
        return values[-1] if values else None


def student_files(params: Mapping[str, Any]) -> list[str]:
    """The files that the students, their table and its notes are read from."""
    parts = [*params["cells"], *params["probes"], *params.get("verified", ())]
    return [params["data"], *(part["metrics"] for part in parts)]


def look_files(params: Mapping[str, Any]) -> list[str]:
    """The files that the looks at backbones are read from."""
    names = ("informativeness", "metrics", "history")
    return [look[name] for look in params["backbones"] for name in names]


def setting(cell: Mapping[str, Any]) -> tuple[Row, Column]:
    """Where the main table has the students of a cell or a cost of the parameters."""
    return (
        Row(cell["protocol"], cell["student"], cell["ipc"]),
        Column(cell["method"], cell["title"], cell["teacher"]),
    )


def read_metrics(path: Path, *keys: str) -> dict[str, Any]:
    """A file of metrics. Raises ScddError where one of `keys` is missing or not a finite number."""
    metrics = read_json(path)
    for key in keys:
        value = metrics.get(key) if isinstance(metrics, dict) else None
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise damaged(path, f"has no number {key!r}")
    return dict(metrics)


def read_history(path: Path, columns: list[str] | None) -> pd.DataFrame:
    """These columns of a CSV, or all, as floats. Raises ScddError where the file is missing, or a
    column is missing or not of numbers."""
    import pandas as pd

    try:
        return pd.read_csv(path, usecols=columns, dtype=float)
    except FileNotFoundError:
        raise ScddError(f"{path} does not exist. Run snakemake to make it.") from None
    except ValueError as error:  # the parser's own errors too
        names = ", ".join(columns or ())
        raise damaged(path, f"is not a table of numbers {names} ({error})") from None
