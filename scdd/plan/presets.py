"""The published parameters of published/*.yaml, each with its source, and how layers of parameters
merge."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from scdd.plan.yaml_files import load

BY_IPC = "by_ipc"  # of a preset: what some IPCs have in addition


def merge(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Later layers win; nested mappings merge key by key."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            old = merged.get(key)
            both = isinstance(old, Mapping) and isinstance(value, Mapping)
            merged[key] = merge(old, value) if both else value  # type: ignore[arg-type]
    return merged


def flatten(values: Mapping[str, Any]) -> list[str]:
    """The keys of nested mappings, as `view.flip`."""
    keys: list[str] = []
    for key, value in values.items():
        inner = flatten(value) if isinstance(value, Mapping) else []
        keys += [f"{key}.{name}" for name in inner] or [key]
    return keys


@dataclass(frozen=True)
class Marked:
    """A preset's value and its source: 'paper', 'code' or 'assumed'."""

    value: Any
    source: str


# in C, where PyYAML has that: every driver reads these files, and Python takes a second for them
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):  # type: ignore[misc]
    pass


def _marked(loader: Any, source: str, node: yaml.Node) -> Marked:
    if isinstance(node, yaml.SequenceNode):
        return Marked(loader.construct_sequence(node), source)
    tag = loader.resolve(yaml.ScalarNode, node.value, (True, False))
    return Marked(loader.construct_object(yaml.ScalarNode(tag, node.value)), source)


_Loader.add_multi_constructor("!", _marked)


@dataclass(frozen=True)
class Preset:
    """Published parameters of one thing for one dataset family, with their sources by key."""

    values: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)


@cache
def _presets() -> dict[str, Any]:
    loaded: dict[str, Any] = {}
    for file in sorted((Path(__file__).parent / "published").glob("*.yaml")):
        loaded |= load(file.read_text(encoding="utf-8"), _Loader)
    return loaded


def preset_names(section: str) -> list[str]:
    return list(_presets()[section])


def preset(*path: str, ipc: int | None = None) -> Preset:
    """The preset at e.g. ('recover', 'scdd-paper', 'cifar'); empty where there is none.

    ipc: adds what is published for this IPC alone.
    """
    marked = _at(path)
    values, sources = _split({**marked, **marked.get(BY_IPC, {}).get(ipc, {})})
    return Preset(values, sources)


def published_ipcs(*path: str) -> list[int]:
    """The IPCs for which the preset has values of their own."""
    return list(_at(path).get(BY_IPC, {}))


def from_ipc(known: Iterable[int], ipc: int | None) -> int | None:
    """Of IPCs with values of their own that whose values `ipc` has: the largest up to it; None
    where there is none, or no IPC is meant."""
    return None if ipc is None else max((each for each in known if each <= ipc), default=None)


def _at(path: tuple[str, ...]) -> dict[str, Any]:
    marked: Any = _presets()
    for part in path:
        marked = marked.get(part, {})
    return dict(marked)


def _split(marked: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for key, item in marked.items():
        if key == BY_IPC:
            continue
        if isinstance(item, Marked):
            values[key], sources[key] = item.value, item.source
        else:
            values[key], inner = _split(item)
            sources |= {f"{key}.{name}": source for name, source in inner.items()}
    return values, sources
