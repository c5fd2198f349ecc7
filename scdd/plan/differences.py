"""By which values artifacts differ: their own, and those of all that they are made of."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from scdd.plan.plan import Node, Plan

# of a student: they have columns of their own wherever students are listed
SHOWN = ("imageset.ipc", "imageset.method", "validate.seed", "validate.student.")

Settings = dict[str, Any]


def settings(plan: Plan, nodes: Iterable[Node]) -> list[Settings]:
    """Of each artifact its values, and those of all that it descends from, as `recover.lr`. Of a
    further teacher the stages are `probe_2`, `squeeze_2`, …"""

    @cache
    def of(key: str) -> Settings:
        node = plan.nodes[key]
        values: Settings = {}
        for role, parent in node.parents.items():
            number = re.search(r"_\d+$", role)
            for name, value in of(parent).items():
                stage, _, rest = name.partition(".")
                values.setdefault(f"{stage}{number[0]}.{rest}" if number else name, value)
        return values | {f"{node.stage}.{name}": v for name, v in _flat(node.params).items()}

    return [of(node.key) for node in nodes]


def _flat(values: Mapping[str, Any]) -> Settings:
    """Nested mappings with keys as `view.flip`."""
    flat: Settings = {}
    for key, value in values.items():
        inner = _flat(value) if isinstance(value, Mapping) else {}
        flat |= {f"{key}.{name}": each for name, each in inner.items()} or {key: value}
    return flat


def differing(items: Sequence[Settings]) -> list[Settings]:
    """Of each its values of the keys of which some of the others have another value."""
    seen: dict[str, Any] = {}
    differ: dict[str, None] = {}  # in order
    for values in items:
        for key, value in values.items():
            if seen.setdefault(key, value) != value:
                differ[key] = None
    return [{key: values[key] for key in differ if key in values} for values in items]


def unusual(items: Sequence[Settings]) -> list[Settings]:
    """Of each the values that at most half of all have."""
    counts = Counter((key, repr(value)) for values in items for key, value in values.items())
    return [
        {key: v for key, v in values.items() if 2 * counts[key, repr(v)] <= len(items)}
        for values in items
    ]


def among_namesakes(plan: Plan) -> dict[str, Settings]:
    """By key, of each artifact whose label others of its stage have: how it differs from most of
    them."""
    namesakes: dict[tuple[str, str], list[Node]] = {}
    for node in plan.nodes.values():
        namesakes.setdefault((node.stage, node.label), []).append(node)
    differences: dict[str, Settings] = {}
    for nodes in namesakes.values():
        if len(nodes) > 1:
            values = unusual(differing(settings(plan, nodes)))
            differences |= {node.key: own for node, own in zip(nodes, values, strict=True)}
    return differences


def origins(plan: Plan, cells: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Of each student of a table: the folder of its soft labels (None: it has none), and the values
    by which it differs from other students."""
    students = [plan.nodes[str(Path(cell["metrics"]).parent)] for cell in cells]
    found = differing(settings(plan, students))
    return [
        {
            "labels": student.parents.get("labels"),
            "values": {key: v for key, v in values.items() if not key.startswith(SHOWN)},
        }
        for student, values in zip(students, found, strict=True)
    ]
