"""The files that a paper is made of, and those that it leaves. Parameters are the frozen ones of
stage 'paper'. The plan and the rules import this module: it imports nothing heavy."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scdd.errors import ScddError
from scdd.report.published import is_benchmark

Params = Mapping[str, Any]

SUMMARY = "summary.md"  # shown on the screen
MARKDOWN, PAGE, LATEX = "index.md", "index.html", "paper.tex"
COMPARED = "main"  # the section whose numbers are compared with published ones
STUDENTS = "all.csv"  # of a report: a line for each student
IN_LATEX, IN_BROWSERS = (".pdf", ".png"), (".svg", ".png")  # figures, the best first


def read(file: Path) -> bytes:
    """A file of a report. Raises ScddError where it is missing."""
    try:
        return file.read_bytes()
    except FileNotFoundError:
        raise ScddError(f"{file} does not exist. Run snakemake to make it.") from None


def is_printed(file: str) -> bool:
    """Whether a file of a report is one that a paper shows."""
    return Path(file).suffix in {".md", ".tex", *IN_LATEX, *IN_BROWSERS}


def slug(number: str) -> str:
    """`Table 1` as `table_1`, for the names of files."""
    return number.lower().replace(" ", "_")


def figures(files: Sequence[str], kinds: Sequence[str]) -> list[str]:
    """Of a section's files one for each figure: of the first of these kinds that it has."""
    stems = dict.fromkeys(Path(file).stem for file in files if Path(file).suffix in kinds)
    return [next(s + kind for kind in kinds if s + kind in files) for s in stems]


def copied(params: Params) -> dict[str, str]:
    """The figures that lie beside the page: their names, and where they are copied from, relative
    to the results folder."""
    return {
        f"{slug(part['number'])}_{file}": f"{_folder(params, part)}/{file}"
        for part in params["parts"]
        for section in part["sections"]
        for kinds in (IN_LATEX, IN_BROWSERS)
        for file in figures(section["files"], kinds)
    }


def outputs(params: Params) -> list[str]:
    """All files of a paper, relative to its folder."""
    return [SUMMARY, MARKDOWN, PAGE, LATEX, *copied(params)]


def inputs(params: Params) -> list[str]:
    """All files that a paper is made of, relative to the results folder."""
    paths: dict[str, None] = {}
    for part in params["parts"]:
        folder = _folder(params, part)
        for section in part["sections"]:
            texts = [file for file in section["files"] if Path(file).suffix in (".md", ".tex")]
            paths |= dict.fromkeys(f"{folder}/{file}" for file in [section["page"], *texts])
        if shows_accuracies(part) and is_comparable(params, part):
            paths[f"{folder}/{STUDENTS}"] = None
    return [*paths, *dict.fromkeys(copied(params).values())]


def shows_accuracies(part: Params) -> bool:
    """Whether published values could stand beside those of a part."""
    return COMPARED in (section["name"] for section in part["sections"])


def is_comparable(params: Params, part: Params) -> bool:
    """Whether a part is of a whole published benchmark, on its test images."""
    facts = params["experiments"][part["experiment"]]
    return not facts["holdout"] and is_benchmark(
        facts["dataset"], facts["classes"], facts["resolution"]
    )


def _folder(params: Params, part: Params) -> str:
    folder: str = params["experiments"][part["experiment"]]["folder"]
    return folder
