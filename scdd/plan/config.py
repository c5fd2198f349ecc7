"""Reading configurations: one clear message for a wrong key or value, presets filled in."""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from scdd.errors import ScddError
from scdd.plan.schema import Section

S = TypeVar("S", bound=Section)


def nearest(word: object, known: Iterable[str]) -> str:
    """A hint for a message: the nearest known name, or all of them."""
    known = sorted(known)
    close = difflib.get_close_matches(str(word), known, n=1)
    return f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(known)}."


def parse(model: type[S], values: Mapping[str, Any], where: str) -> S:
    """`values` as a checked `model`. Raises ScddError naming `where` and the key.

    A part of a nested section keeps the rest of the default that this model has for it.
    """
    nested = {
        name: field.default.model_dump()
        for name, field in model.model_fields.items()
        if isinstance(field.default, Section) and isinstance(values.get(name), Mapping)
    }
    try:
        return model.model_validate(merge(nested, values))
    except ValidationError as error:
        problems = [dict(problem) for problem in error.errors()]
        # a list whose items are wrong is also reported as too short, and a number that is wrong
        # as no 'auto'
        shown = [p for p in problems if p["type"] != "too_short" and not _or_word(p)] or problems
        lines = [_explain(model, problem, where) for problem in shown]
        raise ScddError("\n".join(dict.fromkeys(lines))) from None


def _or_word(problem: dict[str, Any]) -> bool:
    """Whether it tells that a value is not the word that may stand in place of a number."""
    return problem["type"] == "literal_error" and str(problem["loc"][-1]).startswith("literal[")


def _explain(model: type[Section], problem: dict[str, Any], where: str) -> str:
    # pydantic's names of types in a union are no keys of the user's
    place = [part for part in problem["loc"] if not re.match(r"constrained-|[\w-]+\[", str(part))]
    path = ".".join(str(part) for part in ([where] if where else []) + place)
    if problem["type"] == "extra_forbidden":
        return f"unknown key {path}. {nearest(place[-1], _fields(model, place[:-1]))}"
    if problem["type"] == "missing":
        return f"{path} is missing."
    told = problem["msg"].removeprefix("Value error, ")
    told = re.sub("tuple", "list", told, flags=re.IGNORECASE)
    got = "" if problem["type"] == "value_error" else f" (got {problem['input']!r})"
    return f"{path + ': ' if path else ''}{told[0].lower()}{told[1:]}{got}."


def _fields(model: Any, place: list[Any]) -> list[str]:
    """The field names of the model found by walking `place` from `model`."""
    for part in place:
        fields = keys_of(model)
        if part in fields:  # otherwise the key of a mapping, or a place in a list
            model = fields[part].annotation
        model = next(kind for kind in _models(model))
    return list(keys_of(model))


def keys_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """A model's fields by the names that they have in a configuration."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _models(annotation: Any) -> Iterable[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def read_yaml(path: Path) -> dict[str, Any]:
    """Raises ScddError, naming the file, where it is missing or no YAML mapping."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ScddError(f"{path} does not exist.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ScddError(f"{path} cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise ScddError(f"{path} is no valid YAML: {error}") from None
    if not isinstance(content, dict):
        raise ScddError(f"{path} holds no keys: see config.yaml for an example.")
    return content


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


class _Loader(yaml.SafeLoader):
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
    text = (Path(__file__).parent / "presets.yaml").read_text(encoding="utf-8")
    loaded: dict[str, Any] = yaml.load(text, Loader=_Loader)
    return loaded


def preset_names(section: str) -> list[str]:
    return list(_presets()[section])


def preset(*path: str) -> Preset:
    """The preset at e.g. ('recover', 'scdd-paper', 'cifar'); empty where there is none."""
    found: Any = _presets()
    for part in path:
        found = found.get(part, {})
    values, sources = _split(found)
    return Preset(values, sources)


def _split(marked: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for key, item in marked.items():
        if isinstance(item, Marked):
            values[key], sources[key] = item.value, item.source
        else:
            values[key], inner = _split(item)
            sources |= {f"{key}.{name}": source for name, source in inner.items()}
    return values, sources
