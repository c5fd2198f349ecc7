"""Tables and figures of an experiment: what people read.

main.{csv,md,tex} is laid out as the paper's main table: a row for each IPC (and protocol and
student), a column for each method, the whole training set last. Published values stand apart,
with their source. all.csv has one line a student. The figures are those of scdd.figures, the report
on backbones that of scdd.backbones.
"""

import argparse
import csv
import math
import re
import statistics
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch

from scdd import backbones, figures, runtime
from scdd.artifacts import report
from scdd.artifacts.config import Frozen
from scdd.artifacts.dataset import load_info
from scdd.artifacts.files import damaged, read_json, replacing
from scdd.artifacts.frames import load_frames
from scdd.artifacts.images import load_corner
from scdd.artifacts.inform import load_inform
from scdd.errors import ScddError
from scdd.typeset import bullets, comma_separated, latex, markdown

PUBLISHED = Path(__file__).with_name("published.csv")
# Classes and resolution of the published values' datasets: nothing else is comparable to them.
BENCHMARKS = {"cifar100": (100, 32), "tiny-imagenet": (200, 64), "imagenet1k": (1000, 224)}
TITLES = {  # of published methods that are no acronyms
    "scdd": "SC-DD",
    "sre2l": "SRe2L",
    "random": "Random",
    "herding": "Herding",
    "forgetting": "Forgetting",
    "whole": "Whole data",
}


# ---- engine: values ------------------------------------------------------------------------


class Row(NamedTuple):
    """A setting in which methods are compared. `ipc` None: the whole training set."""

    protocol: str
    student: str
    ipc: int | None


class Column(NamedTuple):
    """Whose images were evaluated, with whose labels. `teacher` None: hard labels."""

    method: str
    title: str
    teacher: str | None


@dataclass(frozen=True)
class Student:
    """A trained student. Accuracies in percent, of the last epoch."""

    row: Row
    column: Column
    seed: int
    top1: float
    top5: float | None  # None for fewer than five classes
    epochs: int
    train_images: int


@dataclass(frozen=True)
class Score:
    """Mean over seeds; `std` is the sample standard deviation (n - 1), None for one seed."""

    mean: float
    std: float | None


@dataclass(frozen=True)
class Table:
    """The main table. What was not measured has no key in `scores` or `whole`."""

    dataset: str
    classes: int
    train_images: int
    rows: list[Row]
    columns: list[Column]
    scores: dict[tuple[Row, Column], Score]
    whole: dict[Row, Score]

    def ratio(self, ipc: int | None) -> float:
        """Images in percent of the training images."""
        return 100.0 if ipc is None else 100 * ipc * self.classes / self.train_images

    def headers(self) -> list[str]:
        """Titles of the columns; with the labels where a title has several."""
        titles = [column.title for column in self.columns]
        return [
            title if titles.count(title) == 1 else f"{title}, {_labels(teacher)}"
            for _, title, teacher in self.columns
        ]


@dataclass(frozen=True)
class Published:
    """A published method; `values` by IPC, None standing for the whole training set."""

    title: str
    student: str
    source: str
    values: dict[int | None, Score]


def score(values: Sequence[float]) -> Score:
    """One value a seed -> mean and spread."""
    return Score(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None)


def main_table(dataset: str, classes: int, train_images: int, students: list[Student]) -> Table:
    """Rows by protocol and student in order of appearance, then by IPC.

    A row's whole-data accuracy is its own student's: under the row's protocol, or else under the
    only one that the whole data was trained with. Whole data of another student has its own row.
    """
    seeds: dict[tuple[Row, Column], list[float]] = {}
    for one in students:
        seeds.setdefault((one.row, one.column), []).append(one.top1)
    scores = {key: score(values) for key, values in seeds.items() if key[0].ipc is not None}
    wholes = {key[0]: score(values) for key, values in seeds.items() if key[0].ipc is None}

    settings = list(dict.fromkeys(one.row[:2] for one in students))
    rows = sorted({row for row, _ in scores}, key=lambda row: (settings.index(row[:2]), row.ipc))
    whole = {}
    for row in rows:
        same = [other for other in wholes if other.student == row.student]
        fitting = [other for other in same if other.protocol == row.protocol] or same
        if len(fitting) == 1:
            whole[row] = wholes[fitting[0]]
    alone = [row for row in wholes if row.student not in {other.student for other in rows}]
    whole |= {row: wholes[row] for row in alone}
    columns = list(dict.fromkeys(column for _, column in scores))
    return Table(dataset, classes, train_images, rows + alone, columns, scores, whole)


def published(
    dataset: str, classes: int, resolution: int, ipcs: Collection[int | None]
) -> list[Published]:
    """Published methods with a value at one of `ipcs` or for the whole data.

    Empty for a dataset without any, and for a class subset or another resolution.
    """
    if BENCHMARKS.get(dataset) != (classes, resolution):
        return []
    found: dict[tuple[str, str, str], dict[int | None, Score]] = {}
    with PUBLISHED.open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            ipc = int(line["ipc"]) if line["ipc"] else None
            if line["dataset"] == dataset and (ipc is None or ipc in ipcs):
                title = TITLES.get(line["method"], line["method"].upper())
                key = (title, line["student"] or "not stated", line["reported_by"])
                std = float(line["std"]) if line["std"] else None
                found.setdefault(key, {})[ipc] = Score(float(line["top1"]), std)
    columns = [Published(*key, values) for key, values in found.items()]
    return sorted(columns, key=lambda one: None in one.values)  # the whole data last


# ---- engine: words -------------------------------------------------------------------------


def notes(table: Table, students: list[Student], probes: dict[str, float]) -> list[str]:
    """What a reader must know to judge the numbers, as plain sentences.

    `probes`: top-1 of the teachers in percent, by title.
    """
    epochs: dict[Row, set[int]] = {}
    seeds: dict[tuple[Row, Column], set[int]] = {}
    for one in students:
        row = one.row if one.row.ipc is None else one.row._replace(ipc=0)
        epochs.setdefault(row, set()).add(one.epochs)
        seeds.setdefault((one.row, one.column), set()).add(one.seed)

    said = [
        f"{'Whole data: p' if ipc is None else 'P'}rotocol {protocol}, student {student}, "
        f"{_span(epochs[protocol, student, ipc])} epochs on the "
        + (
            f"{table.train_images} real training images with their own labels."
            if ipc is None
            else "column's images and labels alone."
        )
        for protocol, student, ipc in epochs
    ]
    said.append("Top-1 on the real validation images after the last epoch; they chose nothing.")
    said += [
        f"{header}: images of method {column.method}, {_labels(column.teacher)}."
        for header, column in zip(table.headers(), table.columns, strict=True)
    ]
    counts = {len(of_cell) for of_cell in seeds.values()}
    names = ", ".join(str(seed) for seed in sorted(set.union(*seeds.values())))
    if counts == {1}:
        said.append(f"One student a cell (seed {names}): no standard deviation.")
    else:
        said.append(
            f"± is the standard deviation (sample, n − 1) over n = {_span(counts)} students' "
            f"seeds ({names}); the seeds of the squeeze and of the recovery are fixed."
        )
    said.append(
        f"Ratio %: 100 × IPC × {table.classes} classes / {table.train_images} training images. "
        "A dash stands for not measured."
    )
    if probes:
        listed = "; ".join(f"{title} {top1:.1f} %" for title, top1 in probes.items())
        said.append(f"Linear probes (the teachers), top-1 on the same images: {listed}.")
    return said


def _labels(teacher: str | None) -> str:
    return "hard labels" if teacher is None else f"soft labels of the {teacher} teacher"


def _span(numbers: Collection[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"


def _value(value: Score | None) -> str:
    if value is None:
        return "–"
    return f"{value.mean:.1f}" + ("" if value.std is None else f" ± {value.std:.1f}")


# ---- engine: documents ---------------------------------------------------------------------

Cells = tuple[list[str], list[list[str]], int]  # header, lines, number of columns of words


def main_cells(table: Table) -> Cells:
    """The main table for reading. Protocol and student are columns where there are several."""
    leading: dict[str, Callable[[Row], str]] = {"Dataset": lambda row: table.dataset}
    if len({row.protocol for row in table.rows}) > 1:
        leading["Protocol"] = lambda row: row.protocol
    if len({row.student for row in table.rows}) > 1:
        leading["Student"] = lambda row: row.student
    leading["IPC"] = lambda row: "whole" if row.ipc is None else str(row.ipc)
    leading["Ratio %"] = lambda row: f"{table.ratio(row.ipc):.3g}"
    lines = [
        [
            *(text(row) for text in leading.values()),
            *(_value(table.scores.get((row, column))) for column in table.columns),
            _value(table.whole.get(row)),
        ]
        for row in table.rows
    ]
    return [*leading, *table.headers(), "Whole data"], lines, len(leading) - 2


def published_cells(table: Table, columns: list[Published]) -> Cells:
    """Published values for reading: turned, as there are more methods than IPCs."""
    ipcs = [*sorted({row.ipc for row in table.rows if row.ipc is not None}), None]
    header = ["Method", "Student", "Reported by"]
    header += ["Whole data" if ipc is None else f"IPC {ipc}" for ipc in ipcs]
    lines = [
        [one.title, one.student, one.source, *(_value(one.values.get(ipc)) for ipc in ipcs)]
        for one in columns
    ]
    return header, lines, 3


def best(table: Table) -> set[tuple[int, int]]:
    """Places (line, method) of each row's best, as rounded; the whole data is no method."""
    places = set()
    for line, row in enumerate(table.rows):
        found = [table.scores.get((row, column)) for column in table.columns]
        means = [None if value is None else round(value.mean, 1) for value in found]
        measured = [mean for mean in means if mean is not None]
        if len(measured) > 1:
            top = max(measured)
            places |= {(line, place) for place, mean in enumerate(means) if mean == top}
    return places


def to_markdown(table: Table, columns: list[Published], said: list[str]) -> str:
    parts = [f"# {table.dataset}: top-1 accuracy (%)", markdown(*main_cells(table)), bullets(said)]
    if columns:
        parts += [
            "## Published values",
            "Not measured here: copied from the papers named, each with its own protocol.",
            markdown(*published_cells(table, columns)),
        ]
    return "\n\n".join(parts) + "\n"


def to_latex(table: Table, columns: list[Published], said: list[str], name: str) -> str:
    label = "tab:" + re.sub(r"[^A-Za-z0-9-]", "-", name)
    cells = main_cells(table)
    caption = f"Top-1 accuracy (%) on {table.dataset}. Bold: the best method of a row."
    first = len(cells[0]) - 1 - len(table.columns)
    bold = {(line, first + place) for line, place in best(table)}
    made = latex(*cells, caption=caption, label=label, notes=said, bold=bold)
    if columns:
        cells = published_cells(table, columns)
        caption = (
            f"Published top-1 accuracy (%) on {table.dataset}. Not measured here: copied from the "
            "papers named, each with its own protocol."
        )
        made += latex(*cells, caption=caption, label=f"{label}-published", notes=[], bold=())
    return "% \\usepackage{booktabs}\n" + made


def to_csv(table: Table, columns: list[Published]) -> str:
    """The main table as numbers, mean and std in columns of their own; empty: not measured."""
    names = [*table.headers(), "Whole data"]
    names += [f"published: {one.title} ({one.student}; {one.source})" for one in columns]
    header = ["dataset", "protocol", "student", "ipc", "ratio"]
    header += [f"{name} {part}" for name in names for part in ("mean", "std")]
    lines = []
    for row in table.rows:
        values = [table.scores.get((row, column)) for column in table.columns]
        values.append(table.whole.get(row))
        # the published whole data has no IPC and stands in each row, as the measured one does
        values += [one.values.get(row.ipc, one.values.get(None)) for one in columns]
        line = [table.dataset, row.protocol, row.student, _ipc(row), f"{table.ratio(row.ipc):.4g}"]
        for value in values:
            line += ["", ""] if value is None else [_number(value.mean), _number(value.std)]
        lines.append(line)
    return comma_separated(header, lines)


def to_long_csv(table: Table, students: list[Student]) -> str:
    """One line a student. Empty IPC: the whole training set; empty teacher: hard labels."""
    header = ["dataset", "method", "title", "teacher", "ipc", "ratio", "protocol", "student"]
    header += ["seed", "top1", "top5", "epochs", "train_images"]
    lines = [
        [
            table.dataset,
            one.column.method,
            one.column.title,
            one.column.teacher or "",
            _ipc(one.row),
            f"{table.ratio(one.row.ipc):.4g}",
            one.row.protocol,
            one.row.student,
            str(one.seed),
            _number(one.top1),
            _number(one.top5),
            str(one.epochs),
            str(one.train_images),
        ]
        for one in students
    ]
    return comma_separated(header, lines)


def _ipc(row: Row) -> str:
    return "" if row.ipc is None else str(row.ipc)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


# ---- program -------------------------------------------------------------------------------


def main(argv: list[str] | None = None) -> int:
    arguments = runtime.parser(__doc__)
    arguments.add_argument("--results", type=Path, required=True, help="the results folder")
    arguments.add_argument("--out", type=Path, required=True, help="folder of the report")
    return runtime.run("tables", arguments, _work, argv)


def _work(args: argparse.Namespace, config: Frozen, _: torch.device) -> None:
    made: dict[str, bytes] = {}
    if config.params["cells"]:
        made |= _of_methods(args.results, config.params)
    if "backbones" in config.params:
        made |= _of_backbones(args.results, config.params)
    for name, content in made.items():
        with replacing(args.out / name) as temporary:
            temporary.write_bytes(content)


def _of_backbones(results: Path, params: dict[str, Any]) -> dict[str, bytes]:
    looks = [
        backbones.Look(
            look["title"],
            look["network"],
            look["seed"],
            _metrics(results / look["metrics"], "top1")["top1"],
            _knn(results / look["history"]),
            load_inform(results / look["inform"]),
        )
        for look in params["backbones"]
    ]
    said = backbones.notes(looks, params["balance"]) + params["notes"]
    dataset, dpi = params["dataset"], params["figures"]["dpi"]
    drawn = figures.informativeness(looks, dpi)
    return {
        "backbones.csv": backbones.to_csv(looks).encode(),
        "backbones.md": backbones.to_markdown(dataset, looks, said).encode(),
        "backbones.tex": backbones.to_latex(dataset, looks, said, params["experiment"]).encode(),
        "layers.csv": backbones.to_layers_csv(looks).encode(),
        **{f"backbones.{kind}": content for kind, content in drawn.items()},
    }


def _knn(path: Path) -> float | None:
    """The last k-NN accuracy that a squeeze's history tells, in percent."""
    columns = _history(path, None).get("knn", pd.Series(dtype=float))
    values = columns.dropna().tolist()
    return values[-1] if values else None


def _of_methods(results: Path, params: dict[str, Any]) -> dict[str, bytes]:
    info = load_info(results / params["data"])
    students = [_student(results, cell) for cell in params["cells"]]
    table = main_table(params["dataset"], params["classes"], info.train, students)
    probes = {
        probe["title"]: _metrics(results / probe["metrics"], "top1")["top1"]
        for probe in params["probes"]
    }
    said = notes(table, students, probes) + _verified(results, params) + params["notes"]
    ipcs = {row.ipc for row in table.rows}
    columns = published(params["dataset"], params["classes"], info.resolution, ipcs)

    made = {
        "main.csv": to_csv(table, columns).encode(),
        "main.md": to_markdown(table, columns, said).encode(),
        "main.tex": to_latex(table, columns, said, params["experiment"]).encode(),
        "all.csv": to_long_csv(table, students).encode(),
    }
    look = params["figures"]
    for name, path in report.grids(params).items():
        names, corner = load_corner(results / path, look["grid_classes"], look["grid_columns"])
        made[name] = figures.grid(corner.numpy(), names, look["scale"])
    for stem, path in report.strips(params).items():
        shot = load_frames(results / path)
        drawn = figures.strip(shot.images.numpy(), shot.iterations, shot.classes, look["scale"])
        made |= {f"{stem}.{kind}": content for kind, content in drawn.items()}
    for name, draw in (("losses", _losses), ("accuracy", _accuracy)):
        if f"{name}.png" in report.outputs(params):
            drawn = draw(results, params, table)
            made |= {f"{name}.{kind}": content for kind, content in drawn.items()}
    return made


def _verified(results: Path, params: dict[str, Any]) -> list[str]:
    """What the verifier sees on the recovered images, as a sentence; none without a verifier."""
    if "verified" not in params:
        return []
    listed = []
    for one in params["verified"]:
        top1 = _metrics(results / one["metrics"], "top1")["top1"]
        listed.append(f"{one['title']}, IPC {one['ipc']}: {top1:.1f} %")
    return [
        f"Recovered images that the {params['verifier']} teacher takes for their class: "
        f"{'; '.join(listed)}."
    ]


def _losses(results: Path, params: dict[str, Any], table: Table) -> dict[str, bytes]:
    squeezes = {
        probe["title"]: _history(results / probe["history"], ["epoch", "loss"])
        for probe in params["probes"]
    }
    recoveries = {
        recovery["title"]: pd.concat(
            [
                _history(results / path, ["iteration", "loss", "ce", "bn"])
                for path in recovery["losses"]
            ]
        )
        for recovery in params["recoveries"]
    }
    return figures.losses(squeezes, recoveries, table.headers(), params["figures"]["dpi"])


def _accuracy(results: Path, params: dict[str, Any], table: Table) -> dict[str, bytes]:
    headers = dict(zip(table.columns, table.headers(), strict=True))
    lines: dict[Row, dict[str, list[pd.DataFrame]]] = {}
    for cell in params["cells"]:
        row, column = _place(cell)
        if row.ipc is not None:
            frame = _history(results / cell["history"], ["epoch", "top1"])
            lines.setdefault(row, {}).setdefault(headers[column], []).append(frame)
    several = len({row[:2] for row in lines}) > 1
    panels = []
    for row in sorted(lines, key=table.rows.index):
        title = f"IPC {row.ipc}" + (f"\n{row.protocol}, {row.student}" if several else "")
        whole = table.whole.get(row)
        panels.append(figures.Panel(title, lines[row], whole and whole.mean))
    return figures.accuracy(panels, table.headers(), params["figures"]["dpi"])


def _place(cell: dict[str, Any]) -> tuple[Row, Column]:
    return (
        Row(cell["protocol"], cell["student"], cell["ipc"]),
        Column(cell["method"], cell["title"], cell["teacher"]),
    )


def _student(results: Path, cell: dict[str, Any]) -> Student:
    metrics = _metrics(results / cell["metrics"], "top1", "epochs", "train_images")
    keys = ("top1", "top5", "epochs", "train_images")
    return Student(*_place(cell), cell["seed"], *(metrics.get(key) for key in keys))


def _metrics(path: Path, *keys: str) -> dict[str, Any]:
    """Raises ScddError where a value is missing or no finite number."""
    metrics = read_json(path)
    for key in keys:
        value = metrics.get(key) if isinstance(metrics, dict) else None
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise damaged(path, f"has no number {key!r}")
    return metrics


def _history(path: Path, columns: list[str] | None) -> pd.DataFrame:
    """These columns, or all there are. Raises ScddError where the file is missing or they are no
    columns of numbers."""
    try:
        return pd.read_csv(path, usecols=columns, dtype=float)
    except FileNotFoundError:
        raise ScddError(f"{path} does not exist. Run snakemake to make it.") from None
    except ValueError as error:  # the parser's own errors too
        raise damaged(
            path, f"is no table of numbers {', '.join(columns or ())} ({error})"
        ) from None


if __name__ == "__main__":
    raise SystemExit(main())
