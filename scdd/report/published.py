"""Published accuracies, to be shown beside those that were measured, and apart from them."""

import csv
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from scdd.report.scores import Score

FILE = Path(__file__).with_name("published.csv")
# Classes and resolution of the published values' datasets: nothing else is comparable to them.
BENCHMARKS = {"cifar100": (100, 32), "tiny-imagenet": (200, 64), "imagenet1k": (1000, 224)}
TITLES = {  # of published methods whose title is not their name in capitals
    "scdd": "SC-DD",
    "sre2l": "SRe2L",
    "random": "Random",
    "herding": "Herding",
    "forgetting": "Forgetting",
    "whole": "Whole data",
    "cafe-dsa": "CAFE+DSA",
    "cvdd": "CV-DD",
    "fadrm-plus": "FADRM+",
}


@dataclass(frozen=True)
class Published:
    """A published method. method: what it is called in configurations; `values` by IPC, None for
    the whole training set."""

    method: str
    title: str
    student: str
    source: str
    values: dict[int | None, Score]


def is_benchmark(dataset: str, classes: int, resolution: int) -> bool:
    """Whether values are published for these images: not for a class subset or another
    resolution."""
    return BENCHMARKS.get(dataset) == (classes, resolution)


def published(
    dataset: str, classes: int, resolution: int, ipcs: Collection[int | None]
) -> list[Published]:
    """Published methods with a value at one of `ipcs` or for the whole data.

    Empty for a dataset without any, and for a class subset or another resolution.
    """
    if not is_benchmark(dataset, classes, resolution):
        return []
    methods: dict[tuple[str, str, str, str], dict[int | None, Score]] = {}
    with FILE.open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            ipc = int(line["ipc"]) if line["ipc"] else None
            if line["dataset"] == dataset and (ipc is None or ipc in ipcs):
                name, student = line["method"], line["student"] or "not stated"
                key = (name, TITLES.get(name, name.upper()), student, line["reported_by"])
                std = float(line["std"]) if line["std"] else None
                methods.setdefault(key, {})[ipc] = Score(float(line["top1"]), std)
    columns = [Published(*key, values) for key, values in methods.items()]
    return sorted(columns, key=lambda column: None in column.values)  # the whole data last
