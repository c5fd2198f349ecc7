"""Atomic writes, hashes and JSON."""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from scdd.errors import FULL, ScddError


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary sibling of `path` that takes its place if, and only if, the block succeeds.

    Raises ScddError where the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.chmod(0o666 & ~_umask())  # some writers leave files that only their owner reads
        with temporary.open("rb") as file:
            os.fsync(file.fileno())  # on the disk before it has its name
        temporary.replace(path)
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise ScddError(
            f"{path} was not written: {error.strerror}. Make room, then run snakemake again."
        ) from None
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def filling(folder: Path) -> Iterator[Path]:
    """An empty temporary sibling of `folder` that takes its place if, and only if, the block
    succeeds. Raises ScddError where `folder` exists."""
    if folder.exists():
        raise ScddError(f"{folder} exists already. Name a new folder.")
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """The value of a JSON file. Raises ScddError, naming it, where it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ScddError(f"{path} does not exist. Run snakemake to make it.") from None
    except IsADirectoryError:
        raise ScddError(f"{path} is a folder. Name the file in it.") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise damaged(path, f"is not valid JSON ({error})") from None


def sha256(path: Path) -> str:
    """The hash of a file's content, as `sha256sum` prints it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of(path: Path, files: Iterable[Path]) -> str:
    """One hash of several files: of their names below the folder `path` and their contents; where
    `path` is a file itself, of the contents alone."""
    digest = hashlib.sha256()
    for file in files:
        name = file.relative_to(path).as_posix() if path.is_dir() else ""
        digest.update(f"{name}:{sha256(file)};".encode())
    return digest.hexdigest()


def require_digest(
    path: Path, digest: str, expected: str | None, what: str = "is of artifact"
) -> None:
    """Raises ScddError where a file is of artifact `digest`, not `expected`; None accepts any."""
    if expected not in (None, digest):
        needed = f"this configuration was made for artifact {expected}"
        raise damaged(path, f"{what} {digest}, but {needed}")


def damaged(path: Path, what: str) -> ScddError:
    """The error that `what` is wrong with a file of ours."""
    return ScddError(f"{path} {what}. Delete the file and run snakemake again: it will be remade.")
