"""Hashes of imported files: stored between plans, and checked by the jobs that read the files."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from scdd.artifacts.files import sha256_of
from scdd.artifacts.run import RESULTS
from scdd.errors import ScddError


def stored_hash(path: Path, files: Sequence[Path]) -> Path:
    """The file in which the plan stores `sha256_of(path, files)`; another one when names, sizes or
    times change."""
    stats = [(str(file.absolute()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    text = json.dumps([path.is_dir(), stats], separators=(",", ":"))
    return RESULTS / "contents" / f"{hashlib.sha256(text.encode()).hexdigest()[:12]}.txt"


def require_planned(path: Path, files: Sequence[Path], planned: str, what: Path) -> None:
    """Raises ScddError, naming `what`, where the files in `path` have another hash than `planned`.

    Where a file's content changed but not its size or time, the plan still has its old hash.
    """
    if sha256_of(path, files) != planned:
        stored = stored_hash(path, files)
        first = f"Delete {stored}, its stored hash, and run" if stored.exists() else "Run"
        raise ScddError(f"{what} has changed since this run was planned. {first} snakemake again.")
