"""A plan of what was made: the artifacts in results/, by the config.json that each has."""

from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

from scdd.artifacts.config import read_frozen
from scdd.artifacts.files import read_json
from scdd.artifacts.run import RESULTS
from scdd.errors import ScddError, warn
from scdd.plan.identity import ARTIFACT
from scdd.plan.plan import Node, Plan
from scdd.plan.stages import STAGES


def made(stage: str, file: str) -> tuple[Plan, list[Node], set[str]]:
    """The artifacts of a stage that have such a file; a plan of them and of all that they were made
    of; and the keys of those of which something is gone. An artifact whose config.json is gone or
    damaged is left out, with a warning."""
    folders = {
        folder.name.rpartition("-")[2]: folder
        for each in STAGES
        for folder in (RESULTS / each).glob(ARTIFACT)
    }
    plan, torn = Plan(), set[str]()

    @cache
    def add(digest: str) -> Node | None:
        folder = folders.get(digest)
        if folder is None:
            return None
        try:
            frozen = read_frozen(folder / "config.json", folder.parent.name)
            if frozen.stage == "data":
                plan.classes[f"data/{folder.name}"] = len(
                    read_json(folder / "dataset.json")["classes"]
                )
        except ScddError as error:
            warn(f"{folder} is left out: {error}")
            return None
        parents = {role: add(parent) for role, parent in frozen.parents.items()}
        present = {role: parent.key for role, parent in parents.items() if parent is not None}
        node = Node(frozen.stage, frozen.label, frozen.digest, frozen.params, present)
        plan.nodes[node.key] = node
        if len(present) < len(parents) or torn & set(present.values()):
            torn.add(node.key)
        return node

    paths = sorted((RESULTS / stage).glob(f"{ARTIFACT}/{file}"))
    nodes = [add(path.parent.name.rpartition("-")[2]) for path in paths]
    return plan, [node for node in nodes if node is not None], torn


def shown_in_tables() -> dict[str, list[dict[str, Any]]]:
    """By the key of a student: what tables of experiments say of it, the newest first: the cells of
    scdd.plan.evaluation with their `experiment`."""
    configs = (RESULTS / "tables").glob(f"{ARTIFACT}/config.json")
    shown: dict[str, list[dict[str, Any]]] = {}
    for file in sorted(configs, key=lambda file: -file.stat().st_mtime):
        try:
            params = read_frozen(file, "tables").params
        except ScddError as error:
            warn(f"{file.parent} is left out: {error}")
            continue
        more = (params.get(name, ()) for name in ("snapshots", "ranking", "continual"))
        for cell in chain(params["cells"], *more):
            key = str(Path(cell["metrics"]).parent)
            shown.setdefault(key, []).append({**cell, "experiment": params["experiment"]})
    return shown
