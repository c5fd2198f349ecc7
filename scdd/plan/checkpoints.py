"""Public checkpoints: what is checked before the first job, without torch."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from scdd.artifacts.files import sha256
from scdd.errors import ScddError
from scdd.params.squeeze import Source

WHERE = "squeeze.imported.source"
SAME_COLOUR = 0.01  # published means and deviations of one dataset differ by less


def read_source(source: Source, data: Mapping[str, Any]) -> tuple[Source, str]:
    """The source with its class names read from their file, and the checkpoint's sha256.

    data: the dataset's parameters. Raises ScddError where a file is missing, or the network was
    trained on other colours than the dataset's.
    """
    file = Path(source.file)
    if not file.is_file():
        raise ScddError(f"{WHERE}.file: there is no file {file}.")
    for name in ("mean", "std"):
        theirs, ours = getattr(source, name), data[name]
        if any(abs(a - b) > SAME_COLOUR for a, b in zip(theirs, ours, strict=True)):
            raise ScddError(
                f"{WHERE}.{name}: {list(theirs)}, but dataset.{name} is {list(ours)}. Set both to "
                "what the checkpoint was trained with."
            )
    if isinstance(source.classes, str):
        source = replace(source, classes=_lines(source.classes))
    return source, sha256(file)


def _lines(file: str) -> tuple[str, ...]:
    """The class names in a text file."""
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ScddError(f"{WHERE}.classes: {file} cannot be read: {error}") from None
    return tuple(line.strip() for line in lines if line.strip())
