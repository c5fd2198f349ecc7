"""What a parameter is: a field of a `Section` with type, range, default, meaning, and whether it is
in the digest."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import PurePosixPath
from typing import (
    Annotated,
    Any,
    ClassVar,
    Literal,
    Self,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
)

from annotated_types import Ge, Gt, Le, Lt

_NOTHING: Any = object()


class Matches:
    """Of a text: the regular expression that it must match, and its largest length."""

    def __init__(self, pattern: str, max_length: int | None = None) -> None:
        self.pattern, self.max_length = pattern, max_length

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core.core_schema import str_schema

        return str_schema(pattern=self.pattern, max_length=self.max_length)


class Checked:
    """A check of a value that has the right type; it raises ValueError or returns the value."""

    def __init__(self, check: Callable[[Any], Any]) -> None:
        self.check = check

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core.core_schema import no_info_after_validator_function

        return no_info_after_validator_function(self.check, handler(source))


def _distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"{getattr(value, 'label', value)} appears twice")
    return values


Distinct = Checked(_distinct)
Share = Annotated[float, Ge(0), Le(1)]
BelowOne = Annotated[float, Ge(0), Lt(1)]
Positive = Annotated[float, Gt(0)]
NotNegative = Annotated[float, Ge(0)]
MOST = 10**7  # of anything that is counted; more is a slip, and would fill the memory
Count = Annotated[int, Ge(1), Le(MOST)]
CountOrZero = Annotated[int, Ge(0), Le(MOST)]
Seed = Annotated[int, Ge(0), Lt(2**31)]
Name = Annotated[str, Matches(r"^[a-z0-9][a-z0-9._-]*$", max_length=60)]
Pair = tuple[Share, Share]


def _is_below(folder: str) -> str:
    path = PurePosixPath(folder)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ValueError(f"{folder!r} is not the name of a folder below the root")
    return str(path)


FolderBelow = Annotated[str, Checked(_is_below)]


def _is_mean(mean: tuple[float, ...]) -> tuple[float, ...]:
    if not all(0 <= value <= 1 for value in mean):
        raise ValueError(f"{list(mean)} is not within 0 and 1; of levels, divide by 255")
    return mean


def _is_std(std: tuple[float, ...]) -> tuple[float, ...]:
    if not all(0 < value <= 1 for value in std):
        raise ValueError(f"{list(std)} is not above 0 and up to 1; of levels, divide by 255")
    return std


# by channel, of pixels in [0, 1]
Mean = Annotated[tuple[float, float, float], Checked(_is_mean)]
Std = Annotated[tuple[float, float, float], Checked(_is_std)]
Precision = Literal["float32", "bf16"]


def param(
    default: Any = MISSING,
    meaning: str = "",
    *,
    in_digest: bool = True,
    in_config: bool = True,
    as_before: Any = _NOTHING,
    key: str | None = None,
) -> Any:
    """A parameter: its default (none: it must be given) and its meaning.

    in_digest: False for what changes no result. in_config: False for what is not even written to an
    artifact's config.json, a path say. as_before: for a parameter that came after a release, the
    value under which results are what they were without it; while it has that value it is left out
    of the digest, and files of before that lack it are read as if they had it. key: its name in a
    configuration where that is not a name in Python.
    """
    marks = {"meaning": meaning, "in_digest": in_digest, "in_config": in_config}
    marks |= {"as_before": as_before, "key": key}
    if isinstance(default, dict):
        return field(default_factory=dict, metadata=marks)
    return field(default=default, metadata=marks)


@dataclass(frozen=True)
class Section:
    """A section of parameters. What is read from a configuration is checked by the plan; values are
    fixed from then on. A subclass may refuse combinations in `__post_init__`, by ValueError.

    BARE: the key for which a bare value stands. RENAMED: the new names of keys that were renamed;
    where a key's old name has another meaning now, text has the old one.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "allow_inf_nan": False}
    BARE: ClassVar[str | None] = None
    RENAMED: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> Self:
        """From the parameters of a frozen config.json, of which other keys are left aside."""
        given: dict[str, Any] = {}
        for name, parameter in parameters(cls).items():
            if name in params:
                given[name] = _read(hints(cls)[name], params[name])
            elif parameter.metadata["as_before"] is not _NOTHING:
                given[name] = parameter.metadata["as_before"]
        return cls(**given)

    def dump(self) -> dict[str, Any]:
        """As JSON has it: all but what is in no config.json."""
        return {
            name: _written(getattr(self, name))
            for name, parameter in parameters(type(self)).items()
            if parameter.metadata["in_config"]
        }

    def identity(self) -> dict[str, Any]:
        """Of `dump` what is in the digest: all that changes results, but for later parameters that
        are 'as before'."""
        kept: dict[str, Any] = {}
        for name, parameter in parameters(type(self)).items():
            value, marks = getattr(self, name), parameter.metadata
            if marks["in_digest"] and marks["in_config"] and value != marks["as_before"]:
                kept[name] = value.identity() if isinstance(value, Section) else _written(value)
        return kept


def parameters(section: type[Any]) -> dict[str, Field[Any]]:
    """A section's parameters by their names in Python."""
    return {each.name: each for each in fields(section)}


def key_of(parameter: Field[Any]) -> str:
    """A parameter's name in a configuration."""
    return str(parameter.metadata["key"] or parameter.name)


def default_of(parameter: Field[Any]) -> Any:
    """A parameter's default; MISSING where it must be given."""
    return parameter.default if parameter.default_factory is MISSING else {}


def required(section: type[Any]) -> list[str]:
    """The names of the parameters that must be given."""
    return [name for name, each in parameters(section).items() if default_of(each) is MISSING]


_HINTS: dict[type[Any], dict[str, Any]] = {}


def hints(section: type[Any]) -> dict[str, Any]:
    """The types of a section's parameters, by their names in Python."""
    if section not in _HINTS:
        _HINTS[section] = get_type_hints(section)
    return _HINTS[section]


def sections_in(hint: Any) -> list[type[Section]]:
    """The sections that a value with this type may be or hold."""
    if isinstance(hint, type) and issubclass(hint, Section):
        return [hint]
    return [section for part in get_args(hint) for section in sections_in(part)]


S = TypeVar("S", bound=Section)


def require_mean_and_std(mean: Any, std: Any) -> None:
    """Raises ValueError where only one of the two is given."""
    for name, value, other_name, other in (("mean", mean, "std", std), ("std", std, "mean", mean)):
        if value is not None and other is None:
            raise ValueError(f"{name} {list(value)} has no {other_name}; set both or neither")


def pick(section: type[S], values: Section) -> S:
    """A section of those of the parameters of `values` that are its own."""
    return section(**{name: getattr(values, name) for name in parameters(section)})


def _read(hint: Any, value: Any) -> Any:
    """A value of a config.json as the parameter has it: sections, and tuples for lists."""
    if isinstance(value, list):
        return tuple(_read(hint, item) for item in value)
    if isinstance(value, Mapping) and (inner := sections_in(hint)):
        if get_origin(hint) is dict:
            return {key: inner[0].of(item) for key, item in value.items()}
        return inner[0].of(value)
    return value


def _written(value: Any) -> Any:
    if isinstance(value, Section):
        return value.dump()
    if isinstance(value, tuple | list):
        return [_written(item) for item in value]
    if isinstance(value, dict):
        return {key: _written(item) for key, item in value.items()}
    return value
