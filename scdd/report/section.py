"""What a table or figure tells the workflow and the program that makes it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from scdd.report.measured import Measured

Params = Mapping[str, Any]


def nothing(params: Params) -> list[str]:
    return []


@dataclass(frozen=True)
class Section:
    """A table or figure. Parameters are the frozen ones of stage 'tables'.

    files: the names of the files that it writes, relative to the report's folder; none where the
    experiment has nothing to show in it. inputs: the files that it reads, relative to the results
    folder; make: the content of each file. Both are called only where there are files.
    caption: the text beside it in Snakemake's report, a file of rules/report/.
    pages: those of its files that are shown on the screen at the end of a run.
    """

    files: Callable[[Params], list[str]]
    inputs: Callable[[Params], list[str]]
    make: Callable[[Measured], dict[str, bytes]]
    caption: str
    pages: Callable[[Params], list[str]] = nothing
