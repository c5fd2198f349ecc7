"""Random changes of valid inputs, from a seed."""

import copy
import random
from collections.abc import Iterator
from datetime import date
from typing import Any

# values that people write by mistake, and values that no key takes
VALUES: list[Any] = [
    *(None, True, False, 0, 1, -1, 2, 1e9, 10**30, -0.5, 0.5, 1e-300, float("nan"), float("inf")),
    *("", "a", "x" * 300, "é\n\t", "../x", "\x00", "1e3", "010", "auto", "digits", "resnet18"),
    *("timm:x", "topk:0", "topk:9999999", "scdd", "imported", b"x", date(2020, 1, 1)),
    *([], [[]], [1], ["a"], ["a", "a"], [None], [{}], {}, {"a": 1}, {1: 2}, {None: 1}),
    *({"name": "scdd"}, {"like": "scdd-paper"}, {"arch": "timm:x"}),
]

Place = tuple[Any, ...]


def places(value: Any, place: Place = ()) -> Iterator[Place]:
    """The places of all values in nested mappings and lists, the whole first."""
    yield place
    inner = value.items() if isinstance(value, dict) else []
    inner = enumerate(value) if isinstance(value, list) else inner
    for key, part in inner:
        yield from places(part, (*place, key))


def at(value: Any, place: Place) -> Any:
    for key in place:
        value = value[key]
    return value


def changed(draw: random.Random, config: dict[str, Any], keys: list[str]) -> dict[str, Any]:
    """A copy of a configuration with one to three changes: a value replaced, deleted or added, a
    key misspelt, or one of `keys` set anywhere."""
    config = copy.deepcopy(config)
    for _ in range(draw.choice([1, 1, 1, 2, 3])):
        place = draw.choice(list(places(config)))
        value = copy.deepcopy(draw.choice(VALUES))
        here, parent = at(config, place), at(config, place[:-1])
        match draw.randrange(5):
            case 0 if place:
                parent[place[-1]] = value
            case 1 if place:
                del parent[place[-1]]
            case 2 if isinstance(here, dict):
                here[draw.choice(keys)] = value
            case 3 if isinstance(here, list):
                here.append(value)
            case 4 if place and isinstance(parent, dict):
                parent[f"{place[-1]}{draw.choice('ab_ ')}"] = parent.pop(place[-1])
    return config


def damaged(draw: random.Random, content: bytes) -> bytes:
    """A file's content with bytes flipped, cut out, repeated or cut off."""
    data = bytearray(content)
    for _ in range(draw.choice([1, 1, 2, 5, 20])):
        if not data:
            break
        start = draw.randrange(len(data))
        end = min(len(data), start + draw.choice([1, 1, 4, 16, 64]))
        match draw.randrange(5):
            case 0:
                data[start] ^= 1 << draw.randrange(8)
            case 1:
                del data[start:end]
            case 2:
                data[start:start] = data[start:end]
            case 3:
                data[start:end] = draw.randbytes(end - start)
            case 4:
                del data[start:]
    return bytes(data)
