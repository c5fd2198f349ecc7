"""Digests: what makes two artifacts the same."""

import hashlib
import json
from typing import Any

DIGITS = 12  # of hexadecimal: 48 bits, no collision in any one results folder
ARTIFACT = "*-" + DIGITS * "[0-9a-f]"  # the folders of artifacts, as `Path.glob` takes it


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces. Equal values give equal text: 1 and 1.0 are equal."""
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


def digest(value: Any) -> str:
    """The first hex digits of the sha256 of the canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:DIGITS]
