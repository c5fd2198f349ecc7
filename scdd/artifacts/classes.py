"""The class list and its order: the guard against the field's most frequent silent error."""

import hashlib
import json
from collections.abc import Sequence

from scdd.errors import ScddError


def class_hash(names: Sequence[str]) -> str:
    """A hash of the class names in their order, 16 hex digits."""
    return hashlib.sha256(json.dumps(list(names)).encode()).hexdigest()[:16]


def places(names: Sequence[str], classes: Sequence[str]) -> list[int]:
    """The index in `classes` of each of the names, which must be among them."""
    place = {name: index for index, name in enumerate(classes)}
    return [place[name] for name in names]


def require_same_classes(
    first: Sequence[str], first_source: object, second: Sequence[str], second_source: object
) -> None:
    """Raises ScddError, naming both sources and the first difference, where the lists differ."""
    if list(first) == list(second):
        return
    place = next(
        (i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b),
        min(len(first), len(second)),
    )
    a, b = (repr(names[place]) if place < len(names) else "missing" for names in (first, second))
    raise ScddError(
        f"class order differs: {first_source} ({len(first)} classes, {class_hash(first)}) has {a} "
        f"as class {place}, {second_source} ({len(second)} classes, {class_hash(second)}) has {b}. "
        "Make both from the same dataset and class subset."
    )
