"""The parameters of an experiment beside the published ones, as its report shows them."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from scdd.params.base import Section
from scdd.plan.presets import Preset, flatten


class Setting(NamedTuple):
    """A key of a part of an experiment, as it would stand in the YAML file, beside the published
    value: who states it (paper, code, or assumed), and of what data.

    remark: 'differs' from what is published, 'set here' where nothing is, 'assumed', or empty.
    """

    part: str
    key: str
    value: str
    published: str = ""
    source: str = ""
    of: str = ""
    remark: str = ""


def settings(
    part: str, values: Section, published: Preset, of: str, own: Collection[str]
) -> list[Setting]:
    """One for each key of a section. of: what the published values are for; own: the keys that the
    experiment sets."""
    lines = []
    dumped = values.dump()
    for key in flatten(dumped):
        value = at(dumped, key)
        if key not in published.sources:
            remark = "set here" if key in own else ""
            lines.append(Setting(part, key, in_a_cell(value), remark=remark))
            continue
        source, there = published.sources[key], at(published.values, key)
        if _plain(value) != _plain(there):
            remark = "differs"
        else:
            remark = "assumed" if source == "assumed" else ""
        cells = in_a_cell(value), in_a_cell(there)
        lines.append(Setting(part, key, *cells, source, of, remark))
    return lines


def merged(lines: Collection[Setting]) -> list[Setting]:
    """One for each key of a part; values that differ, by IPC say, beside each other."""
    by_key: dict[tuple[str, str], list[Setting]] = {}
    for line in lines:
        by_key.setdefault(line[:2], []).append(line)
    return [_together(same) for same in by_key.values()]


def _together(same: Collection[Setting]) -> Setting:
    texts = ["; ".join(dict.fromkeys(filter(None, column))) for column in zip(*same, strict=True)]
    differs = any(line.remark == "differs" for line in same)
    return Setting(*texts)._replace(**({"remark": "differs"} if differs else {}))


def at(values: Mapping[str, Any], key: str) -> Any:
    """The value at a key as `view.flip`; None where a section on the way is left out."""
    value: Any = values
    for part in key.split("."):
        value = (value or {}).get(part)
    return value


def in_a_cell(value: Any) -> str:
    """As it would stand in the YAML file."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(in_a_cell, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def _plain(value: Any) -> Any:
    return [*map(_plain, value)] if isinstance(value, list | tuple) else value
