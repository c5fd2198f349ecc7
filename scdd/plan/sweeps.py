"""Sweeps: a method or a protocol with lists of values stands for its variants, one for each value.

From configuration to configuration, before anything is planned: what is planned knows no sweep, so
that a variant shares its artifacts with whatever else has the same values.
"""

import itertools
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from scdd.errors import ScddError, nearest
from scdd.params.experiment import Experiment, Method
from scdd.params.network import Network
from scdd.plan.config import parse
from scdd.plan.methods import kind_of
from scdd.plan.methods.base import title_of
from scdd.plan.presets import merge, preset_names
from scdd.plan.protocols import WHOLE

# of a method, whose keys can be swept: its network, and its overrides
BACKBONE = "backbone"
OVERRIDES = ("squeeze", "probe", "recover", "patches", "learn", "ccfs")
SECTIONS = (BACKBONE, *OVERRIDES)
OF_TEACHER = {BACKBONE, "squeeze", "probe"}
MOST = 100  # variants of one sweep
LONGEST = 60  # characters of a name, as of every method's

Values = dict[str, Any]  # by key, as `recover.lr`


@dataclass(frozen=True)
class Sweep:
    """What was swept, and the variants in its place.

    kind: whether they are methods or protocols; title: in the figure; keys: as short as they can be
    told apart; variants: by name, a value for each key; one_teacher: whether the variants are
    methods whose own teacher is the same.
    """

    kind: Literal["method", "protocol"]
    name: str
    title: str
    keys: tuple[str, ...]
    variants: dict[str, tuple[Any, ...]]
    one_teacher: bool = False


def expand(config: Experiment) -> tuple[Experiment, list[Sweep]]:
    """The configuration with the variants in place of what is swept, and its sweeps. Raises
    ScddError for a sweep that is not one."""
    config, of_protocols = _with_protocols(config)
    sweeps, methods = [], []
    for method in config.methods:
        if not method.sweep:
            methods.append(method)
            continue
        sweep, variants = _of_method(method, method.backbone or config.backbone)
        sweeps.append(sweep)
        methods += variants
    return replace(config, methods=tuple(methods)), sweeps + of_protocols


def _of_method(method: Method, backbone: Network) -> tuple[Sweep, list[Method]]:
    """backbone: the method's own, or the experiment's."""
    where, plain = f"methods.{method.name}.sweep", replace(method, sweep={})
    kind = kind_of(plain)
    for section in method.sweep:
        if section not in SECTIONS:
            raise ScddError(f"unknown key {where}.{section}. {nearest(section, SECTIONS)}")
        if section not in kind.keys(method):
            raise ScddError(f"{where}.{section}: this method has no use for it.")
    title, variants, methods = title_of(plain, kind), {}, []
    axes = _axes(where, method.sweep)
    keys = _short(axes)
    for values in _product(where, axes):
        name = _name(where, method.name, keys, values.values())
        variants[name] = tuple(values.values())
        nested = _nested(values)
        network = nested.pop(BACKBONE, None)
        own = merge({key: getattr(method, key) for key in OVERRIDES}, nested)
        if network is not None:
            whole = merge(backbone.dump(), network)
            own[BACKBONE] = parse(Network, whole, f"{where}.{BACKBONE}")
        methods.append(
            replace(
                plain,
                name=name,
                title=f"{title}, {_words(keys, values.values())}",
                like=None if method.imported else method.like or method.name,
                **own,
            )
        )
    shared = not OF_TEACHER & set(method.sweep)
    return Sweep("method", method.name, title, keys, variants, shared), methods


def _with_protocols(config: Experiment) -> tuple[Experiment, list[Sweep]]:
    """The configuration with the variants in place of the protocols that are swept."""
    protocol: dict[str, Any] = {}
    sweeps: dict[str, Sweep] = {}
    for name, values in config.protocol.items():
        if "sweep" not in values:
            protocol[name] = values
            continue
        base = {key: value for key, value in values.items() if key != "sweep"}
        sweep, variants = _of_protocol(name, values["sweep"], base)
        sweeps[name] = sweep
        if _is_published(name, base):  # the variants are like it
            protocol[name] = base
        for variant, own in variants.items():
            if variant in protocol or variant in config.protocol:
                raise ScddError(
                    f"protocol.{variant}: {name}'s sweep has a variant of this name. Rename it."
                )
            protocol[variant] = own

    def swept(names: Iterable[str]) -> tuple[str, ...]:
        """Names of protocols, with the variants in place of those that are swept."""
        listed = ([*sweeps[name].variants] if name in sweeps else [name] for name in names)
        return tuple(itertools.chain.from_iterable(listed))

    methods = tuple(
        replace(method, protocols=swept(method.protocols)) if method.protocols else method
        for method in config.methods
    )
    used = [sweep for name, sweep in sweeps.items() if name in config.protocols]
    protocols = swept(config.protocols)
    return replace(config, methods=methods, protocols=protocols, protocol=protocol), used


def _of_protocol(name: str, lists: Any, base: Mapping[str, Any]) -> tuple[Sweep, dict[str, Any]]:
    where = f"protocol.{name}.sweep"
    if name == WHOLE:
        raise ScddError(f"{where}: training on the whole data is not a protocol. Remove it.")
    if not isinstance(lists, Mapping) or not lists:
        raise ScddError(f"{where}: keys with lists of values are needed, as {{lr: [0.1, 0.2]}}.")
    axes = _axes(where, lists)
    keys, variants, protocols = _short(axes), {}, {}
    like = {"like": name} if _is_published(name, base) else base
    for values in _product(where, axes):
        variant = _name(where, name, keys, values.values())
        variants[variant] = tuple(values.values())
        protocols[variant] = merge(like, _nested(values))
    return Sweep("protocol", name, name, keys, variants), protocols


def _is_published(name: str, values: Mapping[str, Any]) -> bool:
    return "like" not in values and name in preset_names("protocol")


def _axes(where: str, lists: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The lists of values by their keys, as `recover.lr`. A list always is one of values, also
    where a value is a list itself."""
    axes: dict[str, list[Any]] = {}
    for key, values in lists.items():
        at = f"{where}.{key}"
        if isinstance(values, Mapping) and values:
            axes |= {f"{key}.{inner}": each for inner, each in _axes(at, values).items()}
            continue
        if not isinstance(values, list) or not values:
            raise ScddError(f"{at}: a list of values is needed (got {values!r}).")
        if _holds_mapping(values):
            raise ScddError(f"{at}: a mapping is not a value. Sweep the keys in it.")
        words = [_word(value) for value in values]
        for word in words:
            if words.count(word) > 1:
                raise ScddError(f"{at}: {word} appears twice.")
        axes[str(key)] = values
    return axes


def _holds_mapping(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(_holds_mapping, value))
    return isinstance(value, Mapping)


def _product(where: str, axes: Mapping[str, list[Any]]) -> Iterable[Values]:
    """Every combination of the values, the last key's changing fastest."""
    if (count := math.prod(map(len, axes.values()))) > MOST:
        raise ScddError(f"{where}: {count} variants, and {MOST} are the most.")
    for values in itertools.product(*axes.values()):
        yield dict(zip(axes, values, strict=True))


def _nested(values: Values) -> dict[str, Any]:
    """`{'view.flip': False}` as `{'view': {'flip': False}}`."""
    nested: dict[str, Any] = {}
    for key, value in values.items():
        *outer, last = key.split(".")
        layer: dict[str, Any] = {last: value}
        for part in reversed(outer):
            layer = {part: layer}
        nested = merge(nested, layer)
    return nested


def _short(axes: Iterable[str]) -> tuple[str, ...]:
    """The last part of each key; the whole key where another has the same last part."""
    keys = list(axes)
    last = [key.rpartition(".")[2] for key in keys]
    return tuple(
        short if last.count(short) == 1 else key for key, short in zip(keys, last, strict=True)
    )


def _word(value: Any) -> str:
    """A value as a configuration has it."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _words(keys: Iterable[str], values: Iterable[Any]) -> str:
    """`lr 0.2, iterations 100`"""
    pairs = zip(keys, values, strict=True)
    return ", ".join(f"{key} {_word(value)}" for key, value in pairs)


def _name(where: str, name: str, keys: Iterable[str], values: Iterable[Any]) -> str:
    """A variant's name, which file names can have: `scdd-lr-0.2`."""
    own = re.sub(r"[^a-z0-9._-]+", "-", _words(keys, values).lower()).strip("-")
    if len(longer := f"{name}-{own}") > LONGEST:
        raise ScddError(
            f"{where}: {longer} is longer than the {LONGEST} characters of a name. Give {name} a "
            "shorter one, by name and like."
        )
    return longer
