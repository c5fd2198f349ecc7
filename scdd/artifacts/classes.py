"""The class list and its order: the guard against the field's most frequent silent failure."""

import hashlib
import json
from collections.abc import Sequence

from scdd.errors import ScddError


def class_hash(names: Sequence[str]) -> str:
    """A short hash of the class names in their order."""
    return hashlib.sha256(json.dumps(list(names)).encode()).hexdigest()[:16]


def require_same_classes(
    one: Sequence[str], of_one: object, other: Sequence[str], of_other: object
) -> None:
    """Raises ScddError, naming both files and the first difference, where the lists differ."""
    if list(one) == list(other):
        return
    where = next(
        (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
        min(len(one), len(other)),
    )
    a, b = (repr(names[where]) if where < len(names) else "missing" for names in (one, other))
    raise ScddError(
        f"class order differs: {of_one} ({len(one)} classes, {class_hash(one)}) has {a} as class "
        f"{where}, {of_other} ({len(other)} classes, {class_hash(other)}) has {b}. "
        "Make both from the same dataset and class subset."
    )
