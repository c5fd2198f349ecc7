"""What a table or figure tells the workflow and the program that makes it."""

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scdd.report import html
from scdd.report.measured import Measured
from scdd.report.typeset import Cells

Params = Mapping[str, Any]
Contents = Mapping[str, bytes]
Body = Callable[[Measured, Contents], list[str]]

# categories of Snakemake's report, which sorts them by name
TABLES, FIGURES, IMAGES = "1 Tables", "2 Figures", "3 Images"
RECOVERIES, COSTS, SETTINGS = "4 Recoveries in motion", "5 Costs", "6 Configuration"
HELD_OUT = "\nAccuracies are on held-out training images, not on the test set.\n"
CAPTIONS = Path(__file__).parent / "captions"
FORMATS = ("png", "svg", "pdf")  # of a figure


def nothing(params: Params) -> list[str]:
    return []


def figure_files(stem: str) -> list[str]:
    return [f"{stem}.{kind}" for kind in FORMATS]


def figures(measured: Measured, contents: Contents) -> list[str]:
    """The body of a page: the section's figures."""
    return [
        html.figure(content, Path(name).stem)
        for name, content in contents.items()
        if name.endswith(".svg")
    ]


def lines_of_csv(words: int) -> Body:
    """The body of a page: the section's CSV as a table, whose first columns are words."""

    def body(measured: Measured, contents: Contents) -> list[str]:
        (content,) = (content for name, content in contents.items() if name.endswith(".csv"))
        header, *lines = csv.reader(io.StringIO(content.decode()))
        return [html.table(Cells(header, lines, words))]

    return body


@dataclass(frozen=True)
class Entry:
    """A page of Snakemake's report.

    name: its file is <name>.html, and its caption captions/<name>.rst. body: the HTML below the
    caption, of what was measured and of the files that the section made of it.
    """

    name: str
    title: str
    category: str
    body: Body = figures

    @property
    def file(self) -> str:
        return f"{self.name}.html"

    @property
    def caption(self) -> Path:
        return CAPTIONS / f"{self.name}.rst"

    def page(self, measured: Measured, contents: Contents) -> bytes:
        title = f"{measured.params['experiment']}: {self.title}"
        caption = self.caption.read_text(encoding="utf-8")
        if measured.params["holdout"]:
            caption += HELD_OUT
        return html.page(title, caption, *self.body(measured, contents))


@dataclass(frozen=True)
class Section:
    """A table or figure. Parameters are the frozen ones of stage 'tables'.

    files: the names of the files that it writes, relative to the report's folder; none where the
    experiment has nothing to show in it. inputs: the files that it reads, relative to the results
    folder; make: the content of each file. Both are called only where there are files.
    entry: its page in Snakemake's report, which is one file more.
    pages: those of its files that are shown on the screen at the end of a run.
    """

    files: Callable[[Params], list[str]]
    inputs: Callable[[Params], list[str]]
    make: Callable[[Measured], dict[str, bytes]]
    entry: Entry
    pages: Callable[[Params], list[str]] = nothing
