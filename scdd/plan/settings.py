"""The parameters of an experiment beside the published ones, as its report shows them."""

from collections.abc import Collection, Mapping
from typing import Any

from scdd.params.base import Section
from scdd.plan.presets import Preset, flatten

Setting = dict[str, str]


def settings(
    part: str, values: Section, published: Preset, of: str, own: Collection[str]
) -> list[Setting]:
    """A line for each key of a section.

    of: what the published values are for; own: the keys that the experiment sets. remark: 'differs'
    from what is published, 'set here' where nothing is, 'assumed', or empty.
    """
    lines = []
    dumped = values.dump()
    for key in flatten(dumped):
        value, source = at(dumped, key), published.sources.get(key, "")
        there = at(published.values, key) if source else None
        if source and _plain(value) != _plain(there):
            remark = "differs"
        elif not source and key in own:
            remark = "set here"
        else:
            remark = "assumed" if source == "assumed" else ""
        line = {"part": part, "key": key, "value": in_a_cell(value), "remark": remark}
        lines.append(
            {
                **line,
                "published": in_a_cell(there) if source else "",
                "source": source,
                "of": of if source else "",
            }
        )
    return lines


def merged(lines: Collection[Setting]) -> list[Setting]:
    """One line for each key of a part; values that differ, by IPC say, beside each other."""
    by_key: dict[tuple[str, str], list[Setting]] = {}
    for line in lines:
        by_key.setdefault((line["part"], line["key"]), []).append(line)
    return [
        {
            name: "; ".join(dict.fromkeys(line[name] for line in same if line[name]))
            if name != "remark" or all(line[name] != "differs" for line in same)
            else "differs"
            for name in same[0]
        }
        for same in by_key.values()
    ]


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
