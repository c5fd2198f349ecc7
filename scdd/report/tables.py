"""Tables and figures of an experiment: what people read.

main.{csv,md,tex} is laid out as the paper's main table: a row for each IPC (and protocol and
student), a column for each method, the whole training set last. Published values stand apart, with
their source. all.csv has one line a student. The figures are those of scdd.report.figures, the
report on backbones that of scdd.report.backbones.
"""

import argparse
import csv
import math
import re
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from scdd.artifacts.config import Frozen
from scdd.artifacts.dataset import load_info
from scdd.artifacts.files import damaged, read_json, replacing
from scdd.artifacts.frames import load_frames
from scdd.artifacts.images import load_corner
from scdd.artifacts.informativeness import load_informativeness
from scdd.errors import ScddError
from scdd.jobs import arguments, runtime
from scdd.report import ablation, backbones, figures, label_sizes, pages, seconds
from scdd.report.scores import (
    Column,
    Row,
    Score,
    Student,
    Table,
    labels,
    main_table,
    merged,
    number,
    shown,
)
from scdd.report.typeset import bullets, comma_separated, latex, markdown

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


# ---- engine: published values ---------------------------------------------------------------


@dataclass(frozen=True)
class Published:
    """A published method; `values` by IPC, None standing for the whole training set."""

    title: str
    student: str
    source: str
    values: dict[int | None, Score]


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
    epochs: dict[tuple[str, bool], dict[str, set[int]]] = {}
    seeds: dict[tuple[Row, Column], set[int]] = {}
    teachers: dict[Column, dict[str | None, list[str]]] = {}
    for own, one in zip(students, merged(students), strict=True):
        of = epochs.setdefault((one.row.protocol, one.row.ipc is None), {})
        of.setdefault(one.row.student, set()).add(one.epochs)
        seeds.setdefault((one.row, one.column), set()).add(one.seed)
        teachers.setdefault(one.column, {}).setdefault(own.column.teacher, [])
        teachers[one.column][own.column.teacher].append(one.row.protocol)

    alike: dict[tuple[bool, str, str], list[str]] = {}
    for (protocol, whole), of in epochs.items():
        how = whole, " and ".join(of), _span(set.union(*of.values()))
        alike.setdefault(how, []).append(protocol)
    said = [
        f"{'Whole data: p' if whole else 'P'}rotocol{'s' * (len(protocols) > 1)} "
        f"{', '.join(protocols)}, student{'s' * (' and ' in names)} {names}, {span} epochs on the "
        + (
            f"{table.train_images} real training images with their own labels."
            if whole
            else "column's images and labels alone."
        )
        for (whole, names, span), protocols in alike.items()
    ]
    if table.holdout:
        said.append(
            f"Not the test set: top-1 after the last epoch on {100 * table.holdout:g} % of each "
            "class's training images, which nothing was trained on. They are there to choose by. "
            "The test set was not read."
        )
    else:
        said.append("Top-1 on the real validation images after the last epoch; they chose nothing.")
    said += [
        f"{header}: images of method {column.method}, {_labels(teachers[column])}."
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
    if probes:
        listed = "; ".join(f"{title} {top1:.1f} %" for title, top1 in probes.items())
        said.append(f"Linear probes (the teachers), top-1 on the same images: {listed}.")
    return said


def ratio_notes(table: Table) -> list[str]:
    """What the ratios of the main table count."""
    said = [
        f"Ratio %: 100 × IPC × {table.classes} classes / {table.train_images} training images. "
        "A dash stands for not measured."
    ]
    if any(table.label_bytes.values()):
        said.append(
            f"{WITH_LABELS}: by bytes, of images as uint8 pixels with a class index and of the "
            "soft labels of a student's training as they are stored, against the training set as "
            "uint8 pixels with class indices. Hard labels add nothing: their columns' is Ratio %."
        )
    return said


def _labels(by: dict[str | None, list[str]]) -> str:
    """Whose labels a column has; by protocol where that differs."""
    if len(by) == 1:
        return labels(next(iter(by)))
    return ", ".join(
        f"{labels(teacher)} ({', '.join(dict.fromkeys(protocols))})"
        for teacher, protocols in by.items()
    )


def _span(numbers: Collection[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"


# ---- engine: documents ---------------------------------------------------------------------

WITH_LABELS = "Ratio %, with labels"
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
    if any(table.label_bytes.values()):
        leading[WITH_LABELS] = lambda row: with_labels(table, row)
    lines = [
        [
            *(text(row) for text in leading.values()),
            *(shown(table.scores.get((row, column))) for column in table.columns),
            shown(table.whole.get(row)),
        ]
        for row in table.rows
    ]
    words = [name for name in leading if name in ("Dataset", "Protocol", "Student")]
    return [*leading, *table.headers(), "Whole data"], lines, len(words)


def with_labels(table: Table, row: Row) -> str:
    """The row's ratio with its soft labels; from the smallest to the largest form of several."""
    sizes = table.label_bytes[row] or [0]
    ratios = [f"{table.ratio(row.ipc, size):.3g}" for size in (sizes[0], sizes[-1])]
    return " to ".join(dict.fromkeys(ratios))


def published_cells(table: Table, columns: list[Published]) -> Cells:
    """Published values for reading: turned, as there are more methods than IPCs."""
    ipcs = [*sorted({row.ipc for row in table.rows if row.ipc is not None}), None]
    header = ["Method", "Student", "Reported by"]
    header += ["Whole data" if ipc is None else f"IPC {ipc}" for ipc in ipcs]
    lines = [
        [one.title, one.student, one.source, *(shown(one.values.get(ipc)) for ipc in ipcs)]
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


def _where(table: Table) -> str:
    return " on HELD-OUT TRAINING images, not the test set" if table.holdout else ""


def to_markdown(table: Table, columns: list[Published], said: list[str]) -> str:
    parts = [
        f"# {table.dataset}: top-1 accuracy (%){_where(table)}",
        markdown(*main_cells(table)),
        bullets(said),
    ]
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
    caption = (
        f"Top-1 accuracy (%) on {table.dataset}{_where(table)}. Bold: the best method of a row."
    )
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
    header = ["dataset", "protocol", "student", "ipc", "ratio", "ratio with labels"]
    header += [f"{name} {part}" for name in names for part in ("mean", "std")]
    lines = []
    for row in table.rows:
        values = [table.scores.get((row, column)) for column in table.columns]
        values.append(table.whole.get(row))
        # the published whole data has no IPC and stands in each row, as the measured one does
        values += [one.values.get(row.ipc, one.values.get(None)) for one in columns]
        line = [table.dataset, row.protocol, row.student, _ipc(row), f"{table.ratio(row.ipc):.4g}"]
        line.append(f"{table.ratio(row.ipc, max(table.label_bytes[row], default=0)):.4g}")
        for value in values:
            line += ["", ""] if value is None else [number(value.mean), number(value.std)]
        lines.append(line)
    return comma_separated(header, lines)


def to_long_csv(table: Table, students: list[Student]) -> str:
    """One line a student. Empty IPC: the whole training set; empty teacher: hard labels."""
    header = ["dataset", "method", "title", "teacher", "ipc", "ratio", "ratio with labels"]
    header += ["label bytes an image", "protocol", "student", "seed", "top1", "top5", "epochs"]
    header += ["train_images", "measured on"]
    measured = "held-out training images" if table.holdout else "test images"
    lines = [
        [
            table.dataset,
            one.column.method,
            one.column.title,
            one.column.teacher or "",
            _ipc(one.row),
            f"{table.ratio(one.row.ipc):.4g}",
            f"{table.ratio(one.row.ipc, one.label_bytes):.4g}",
            str(one.label_bytes),
            one.row.protocol,
            one.row.student,
            str(one.seed),
            number(one.top1),
            number(one.top5),
            str(one.epochs),
            str(one.train_images),
            measured,
        ]
        for one in students
    ]
    return comma_separated(header, lines)


def _ipc(row: Row) -> str:
    return "" if row.ipc is None else str(row.ipc)


# ---- program -------------------------------------------------------------------------------


def main(argv: list[str] | None = None) -> int:
    parser = arguments.parser(__doc__, out="folder of the report")
    parser.add_argument("--results", type=Path, required=True, help="the results folder")
    return runtime.run("tables", parser, _work, argv)


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
            load_informativeness(results / look["informativeness"]),
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
    holdout = params.get("holdout", 0)
    dataset, classes = params["dataset"], params["classes"]
    table = main_table(dataset, classes, info.train, info.resolution, students, holdout)
    probes = {
        probe["title"]: _metrics(results / probe["metrics"], "top1")["top1"]
        for probe in params["probes"]
    }
    said = notes(table, students, probes) + _verified(results, params) + params["notes"]
    ratios = ratio_notes(table)
    ipcs = {row.ipc for row in table.rows}
    columns = [] if holdout else published(dataset, classes, info.resolution, ipcs)

    spent = seconds.read(results, params["costs"])
    made = {
        "main.csv": to_csv(table, columns).encode(),
        "main.md": (
            to_markdown(table, columns, ratios + said) + seconds.to_markdown(table, spent)
        ).encode(),
        "main.tex": to_latex(table, columns, ratios + said, params["experiment"]).encode(),
        "all.csv": to_long_csv(table, students).encode(),
        "costs.csv": seconds.to_csv(spent).encode(),
    }
    if "ablation" in params:
        made |= _ablation(params, table, students, said)
    if pages.label_sizes(params):
        made |= _label_sizes(params, table, students)
    look = params["figures"]
    for name, path in pages.grids(params).items():
        names, corner = load_corner(results / path, look["grid_classes"], look["grid_columns"])
        made[name] = figures.grid(corner.numpy(), names, look["scale"])
    for stem, path in pages.strips(params).items():
        shot = load_frames(results / path)
        drawn = figures.strip(shot.images.numpy(), shot.iterations, shot.classes, look["scale"])
        made |= {f"{stem}.{kind}": content for kind, content in drawn.items()}
    for name, draw in (("losses", _losses), ("accuracy", _accuracy)):
        if f"{name}.png" in pages.outputs(params):
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


def _ablation(
    params: dict[str, Any], table: Table, students: list[Student], said: list[str]
) -> dict[str, bytes]:
    counts = Counter((one.row, one.column) for one in merged(students))
    lines = ablation.compare(table, counts, params["ablation"])
    base = f"{params['ablation']['method']} by {params['ablation']['protocol']}"
    said, where = ablation.notes(base) + said, _where(table)
    return {
        "ablation.csv": ablation.to_csv(lines).encode(),
        "ablation.md": ablation.to_markdown(table, lines, where, said).encode(),
        "ablation.tex": ablation.to_latex(table, lines, where, said, params["experiment"]).encode(),
    }


def _label_sizes(params: dict[str, Any], table: Table, students: list[Student]) -> dict[str, bytes]:
    points = label_sizes.points(table, students)
    drawn = figures.label_sizes(points, params["figures"]["dpi"])
    made = {f"labels.{kind}": content for kind, content in drawn.items()}
    return {"labels.csv": label_sizes.to_csv(points).encode(), **made}


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
    lines: dict[Row, dict[str, list[pd.DataFrame]]] = {}
    for cell in params["cells"]:
        row, column = _place(cell)
        if row.ipc is not None:
            frame = _history(results / cell["history"], ["epoch", "top1"])
            lines.setdefault(row, {}).setdefault(table.header(column), []).append(frame)
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
    stored = cell["stored"] or {"form": None, "bytes": 0}
    told = (metrics.get(key) for key in keys)
    return Student(*_place(cell), cell["seed"], *told, stored["form"], stored["bytes"])


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
