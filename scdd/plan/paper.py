"""A paper: the experiments that it shows, and which of their tables and figures."""

from collections.abc import Mapping
from typing import Any

from scdd.artifacts.run import RESULTS
from scdd.errors import ScddError, nearest
from scdd.params.paper import Paper, Part
from scdd.plan.plan import Node, Plan
from scdd.report import sections
from scdd.report.paper.files import is_printed

# the targets of Snakemake that make a paper, and its configuration if no other is given
TARGETS = {"paper": "experiments/paper.yaml", "paper_mini": "experiments/paper-mini.yaml"}


def add_paper(plan: Plan, paper: Paper) -> Node:
    """Add a paper to the plan of its experiments.

    Raises ScddError where a part names no experiment of the plan, or what its report does not have.
    """
    tables = {node.label: node for node in plan.of("tables")}
    parts = [_part(tables, part, f"paper.parts.{place}") for place, part in enumerate(paper.parts)]
    shown = [tables[name] for name in dict.fromkeys(part.experiment for part in paper.parts)]
    params = {
        "title": paper.title,
        "experiments": {node.label: _experiment(plan, node) for node in shown},
        "parts": parts,
    }
    roles = ["tables", *(f"tables_{number}" for number in range(2, len(shown) + 1))]
    return plan.add("paper", paper.name, params, dict(zip(roles, shown, strict=True)))


def _experiment(plan: Plan, tables: Node) -> dict[str, Any]:
    """Where the report of an experiment is, and what says of which benchmark it is, if of one."""
    return {
        "folder": str(tables.folder.relative_to(RESULTS)),
        **{key: tables.params[key] for key in ("dataset", "classes", "holdout")},
        "resolution": plan.data_of(tables).params["resolution"],
    }


def _part(tables: Mapping[str, Node], part: Part, where: str) -> dict[str, Any]:
    if part.experiment not in tables:
        hint = nearest(part.experiment, tables)
        raise ScddError(f"{where}.experiment: no experiment {part.experiment!r}. {hint}")
    params = tables[part.experiment].params
    known = {
        section.entry.name: section
        for section in sections.shown(params)
        if any(map(is_printed, section.files(params)))
    }
    for name in part.show:
        if name not in known:
            raise ScddError(
                f"{where}.show: {part.experiment} has no {name!r} to print. {nearest(name, known)}"
            )
    shown = [
        {"name": name, "page": known[name].entry.file, "files": known[name].files(params)}
        for name in part.show
    ]
    return {
        "number": part.number,
        "title": part.title,
        "experiment": part.experiment,
        "sections": shown,
    }
