"""Reading configurations: one clear message for a wrong key or value."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, get_args, get_origin

from pydantic import TypeAdapter, ValidationError

from scdd.errors import ScddError, nearest
from scdd.params.base import Section, hints, key_of, parameters, sections_in
from scdd.params.experiment import Experiment, Method, Overrides
from scdd.params.paper import Part
from scdd.plan.presets import merge

S = TypeVar("S", bound=Section)
# of a method: the sections whose keys can be swept
SWEPT = {name for name, hint in hints(Method).items() if hint == Overrides} - {"sweep"}
# pydantic's errors of what is a list, or a section, by right
NO_VALUE = ("value_error", "too_long", "too_short", "dataclass_type")


def parse(section: type[S], values: Mapping[str, Any], where: str) -> S:
    """`values` as a checked section. Raises ScddError naming `where` and the key.

    A part of a nested section keeps the rest of the default that this section has for it.
    """
    values = _prepared(section, values, (where,) if where else ())
    try:
        checked: S = _adapter(section).validate_python(values)
        return checked
    except ValidationError as error:
        problems = [dict(problem) for problem in error.errors()]
        shown = [problem for problem in problems if not _is_beside(problem, problems)] or problems
        lines = [_explain(section, problem, where) for problem in shown]
        raise ScddError("\n".join(dict.fromkeys(lines))) from None


_ADAPTERS: dict[type[Any], TypeAdapter[Any]] = {}


def _adapter(section: type[Any]) -> TypeAdapter[Any]:
    """Made once for each section, since that takes time."""
    if section not in _ADAPTERS:
        _ADAPTERS[section] = TypeAdapter(section)
    return _ADAPTERS[section]


def _prepared(section: type[Section], values: Any, place: tuple[str, ...]) -> Any:
    """The values of a section before they are checked: bare names become mappings, and a nested
    section gets what it leaves out from the default that `section` has for it."""
    if not isinstance(values, Mapping):
        bare = section.BARE if isinstance(values, str) else None
        return values if bare is None else {bare: values}
    prepared = dict(values)
    names = {key_of(parameter): parameter for parameter in parameters(section).values()}
    for key in values:
        where = ".".join((*place, str(key)))
        renamed = section.RENAMED.get(key)
        if renamed in names and (key not in names or isinstance(values[key], str)):
            raise ScddError(f"{where} is called {renamed} now.")
        if key not in names:
            if key in parameters(section):  # its name in Python alone, which pydantic would take
                raise ScddError(f"unknown key {where}. {nearest(key, names)}")
            continue
        parameter, hint = names[key], hints(section)[names[key].name]
        value = prepared.pop(key)
        _refuse_truth(where, hint, value)
        default = parameter.default
        if isinstance(default, Section) and isinstance(value, Mapping):
            value = merge(default.dump(), value)
        for inner in sections_in(hint)[:1]:
            value = _all_prepared(inner, hint, value, (*place, str(key)))
        if hint in LISTED and isinstance(value, str):
            value = (value,)
        prepared[parameter.name] = value
    return prepared


def _all_prepared(section: type[Section], hint: Any, value: Any, place: tuple[str, ...]) -> Any:
    """A value that is a section, or a list or mapping of sections."""
    if isinstance(value, list | tuple):
        return [_prepared(section, v, (*place, str(i))) for i, v in enumerate(value)]
    if get_origin(hint) is dict and isinstance(value, Mapping):
        return {key: _prepared(section, v, (*place, str(key))) for key, v in value.items()}
    return _prepared(section, value, place)


# what may be a bare name in place of a list of names
LISTED = (hints(Method)["teacher"], hints(Experiment)["ranking"], hints(Part)["show"])


def _refuse_truth(where: str, hint: Any, value: Any) -> None:
    """YAML reads `no` and `off` as false, which is not the number 0."""
    if hint is bool or bool in get_args(hint):
        return
    for each in value if isinstance(value, list | tuple) else (value,):
        if isinstance(each, bool):
            raise ScddError(
                f"{where} cannot be {str(each).lower()}. YAML also reads yes, no, on and off as "
                'true and false: quote such a name, as "no".'
            )


def _is_beside(problem: dict[str, Any], problems: list[dict[str, Any]]) -> bool:
    """Whether pydantic reports it only because of another problem: a list with wrong items is also
    too short, and a value that may be of several types is wrong for each of them."""
    kind, place = problem["type"], _place(problem)
    others = [p for p in problems if p is not problem and _place(p)[: len(place)] == place]
    if kind == "literal_error":  # a wrong number is also not the word in place of a number
        return str(problem["loc"][-1]).startswith("literal[")
    is_type = kind == "int_type" or (kind == "tuple_type" and not isinstance(problem["input"], str))
    return kind == "too_short" or (is_type and bool(others))


def _place(problem: dict[str, Any]) -> list[Any]:
    """The keys of a problem, without pydantic's names of the types in a union."""
    return [part for part in problem["loc"] if not re.match(r"constrained-|[\w-]+\[", str(part))]


def _explain(section: type[Section], problem: dict[str, Any], where: str) -> str:
    place = _place(problem)
    keys = _sections_at(section, place)
    shown = [_shown(keys[i] if i < len(keys) else None, part) for i, part in enumerate(place)]
    path = ".".join(([where] if where else []) + shown)
    if problem["type"] == "unexpected_keyword_argument":
        known = map(key_of, parameters(keys[len(place) - 1] or section).values())
        return f"unknown key {path}. {nearest(place[-1], known)}"
    if problem["type"] == "missing":
        return f"{path} is missing."
    if problem["type"] == "string_type" and not isinstance(problem["input"], list | dict):
        value = problem["input"]
        return f'{path}: text is needed, and {value} is not. Quote it: "{value}".'
    message = problem["msg"].removeprefix("Value error, ")
    message = re.sub("tuple", "list", message, flags=re.IGNORECASE)
    message = re.sub(r" or an instance of \w+", "", message)
    got = "" if problem["type"] == "value_error" else f" (got {problem['input']!r})"
    sentence = f"{path + ': ' if path else ''}{message[0].lower()}{message[1:]}{got}."
    return sentence + _sweep(where, shown, problem)


def _sweep(where: str, keys: Sequence[str], problem: dict[str, Any]) -> str:
    """Where a list stands for a value that can be swept: how to write that."""
    value, part = problem["input"], where.partition(".")[0]
    is_of_list = problem["type"] in NO_VALUE or any(key.isdigit() for key in keys)
    if not isinstance(value, list) or is_of_list or not keys:
        return ""
    if part in SWEPT:
        return f" To try each value, set a method's sweep: {_nested([part, *keys], value)}."
    if part == "protocol" and where != "protocol.whole":
        return f" To try each value, set {where}.sweep: {_nested(keys, value)}."
    return ""


def _nested(keys: Sequence[str], value: list[Any]) -> str:
    """As `{recover: {lr: [0.2, 0.4]}}`."""
    text = str(value)
    for key in reversed(keys):
        text = f"{{{key}: {text}}}"
    return text


def _sections_at(section: type[Section], place: Sequence[Any]) -> list[type[Section] | None]:
    """The section in which each part of a place is a key; None where it is in a mapping or list."""
    at: list[type[Section] | None] = []
    current: type[Section] | None = section
    hint: Any = section
    for part in place:
        at.append(current if current and part in parameters(current) else None)
        if at[-1] is not None:
            hint = hints(at[-1])[part]
        elif current is not None and not isinstance(part, int):
            at[-1] = current  # an unknown key
        inner = sections_in(hint)
        current = inner[0] if inner else None
    return at


def _shown(section: type[Section] | None, part: Any) -> str:
    parameter = None if section is None else parameters(section).get(part)
    return str(part) if parameter is None else key_of(parameter)
