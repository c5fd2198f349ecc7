"""The tables and figures of a paper, as the reports of its experiments have them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scdd.report import html, seconds
from scdd.report.paper import files
from scdd.report.paper.compare import Comparison, compare, read_students
from scdd.report.paper.files import Params


@dataclass(frozen=True)
class Shown:
    """A section of a report. page: its HTML, below the title; markdown: its tables, empty without
    any; latex: its tables, then their notes; in_browsers, in_latex: its figures, by the names that
    they have beside the page."""

    page: str
    markdown: str
    latex: str
    in_browsers: Sequence[str]
    in_latex: Sequence[str]


@dataclass(frozen=True)
class Part:
    """A table or figure. images: what it is of, in words; is_comparable: whether that is a
    benchmark with published values. comparisons: with them; None where no accuracies are shown."""

    number: str
    title: str
    shown: Sequence[Shown]
    images: str
    is_comparable: bool
    comparisons: Sequence[Comparison] | None

    @property
    def slug(self) -> str:
        return files.slug(self.number)

    @property
    def name(self) -> str:
        return f"{self.number}. {self.title}"


def words(name: str, part: Part) -> str:
    """What a figure is of, by its name beside the page, where a part has several."""
    return name.removeprefix(f"{part.slug}_").rpartition(".")[0].replace("_", " ")


def read(results: Path, params: Params) -> list[Part]:
    """Raises ScddError where a file of a report is missing or damaged."""
    return [_part(results, params, part) for part in params["parts"]]


def _part(results: Path, params: Params, part: Mapping[str, Any]) -> Part:
    facts = params["experiments"][part["experiment"]]
    folder, is_comparable = results / facts["folder"], files.is_comparable(params, part)
    dataset, classes, resolution = facts["dataset"], facts["classes"], facts["resolution"]
    held_out = ", held-out training images" if facts["holdout"] else ""
    comparisons = None
    if files.shows_accuracies(part):
        students = read_students(folder / files.STUDENTS) if is_comparable else []
        comparisons = compare(students, dataset, classes, resolution)
    return Part(
        part["number"],
        part["title"],
        [_shown(folder, section, files.slug(part["number"])) for section in part["sections"]],
        f"{dataset}, {classes} classes of {resolution} pixels a side{held_out}",
        is_comparable,
        comparisons,
    )


def _shown(folder: Path, section: Mapping[str, Any], prefix: str) -> Shown:
    names = section["files"]

    def texts(suffix: str) -> list[str]:
        return [files.read(folder / name).decode() for name in names if name.endswith(suffix)]

    return Shown(
        html.inside(files.read(folder / section["page"]).decode()),
        "\n".join(text.partition(seconds.HEADING)[0] for text in texts(".md")),
        "\n".join(texts(".tex")),
        [f"{prefix}_{name}" for name in files.figures(names, files.IN_BROWSERS)],
        [f"{prefix}_{name}" for name in files.figures(names, files.IN_LATEX)],
    )
