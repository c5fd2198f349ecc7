"""Hashes of what others made: kept between plans, and checked by the jobs that read it."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from scdd.artifacts.files import sha256_of
from scdd.artifacts.run import RESULTS
from scdd.errors import ScddError


def kept_path(path: Path, files: Sequence[Path]) -> Path:
    """Where the plan keeps `sha256_of` these files, as long as names, sizes and times stay."""
    seen = [(str(file.absolute()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    told = json.dumps([path.is_dir(), seen], separators=(",", ":"))
    return RESULTS / "contents" / f"{hashlib.sha256(told.encode()).hexdigest()[:12]}.txt"


def require_planned(path: Path, files: Sequence[Path], planned: str, what: Path) -> None:
    """Raises ScddError, naming `what`, where the files in `path` have another hash than `planned`.

    Files that changed in content alone, not in size or time, keep the hash of before.
    """
    if sha256_of(path, files) != planned:
        kept = kept_path(path, files)
        first = f"Delete {kept}, the hash kept of it, and run" if kept.exists() else "Run"
        raise ScddError(
            f"{what} is not what it was when this run was planned. {first} snakemake again."
        )
