"""An artifact's frozen config.json: all that a job reads of the configuration."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scdd.artifacts.files import read_json
from scdd.errors import ScddError


@dataclass(frozen=True)
class Frozen:
    """An artifact's identity. `params` has every default filled in; `parents`: digests by role."""

    stage: str
    version: int
    label: str
    digest: str
    params: dict[str, Any]
    parents: dict[str, str]


def read_frozen(path: Path, stage: str) -> Frozen:
    """Raises ScddError where the config.json at `path` is missing, damaged or another stage's."""
    content = read_json(path)
    try:
        frozen = Frozen(**content)
    except TypeError as error:
        raise ScddError(f"{path} is not a frozen config of scdd ({error}).") from None
    if frozen.stage != stage:
        raise ScddError(f"{path} is the config of stage {frozen.stage!r}, not of {stage!r}.")
    return frozen


def numbered(role: str, parents: Iterable[str]) -> list[str]:
    """Of an artifact's parents those in `role`, in order: 'teacher', then 'teacher_2', ..."""
    names = (name for name in parents if name == role or name.startswith(f"{role}_"))
    return sorted(names, key=lambda name: (len(name), name))


def teacher_roles(parents: Iterable[str]) -> list[str]:
    """Of a recovery's parents its teachers: its own, then the committee's."""
    return numbered("teacher", parents)
