"""A job's finished outputs, kept until the whole run has ended well.

When the driver dies, Snakemake deletes finished outputs of jobs that it had not recorded. A job
therefore puts them below its folder in work/ first and links them to their places; when it is
started again, it only links them.
"""

import errno
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from scdd.artifacts.files import read_json, replacing, sha256, write_json
from scdd.artifacts.run import RESULTS, WORK
from scdd.errors import ScddError

STAGING = "staging"  # what an attempt is writing
DONE = "done"
MANIFEST = "manifest.json"
NO_LINKS = (errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.EACCES)


def start(folder: Path) -> Path:
    """An empty folder for the outputs of a new attempt."""
    staging = folder / STAGING
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    return staging


def commit(folder: Path, key: Mapping[str, Any], places: Mapping[str, Path]) -> list[Path]:
    """Take what is in staging as the outputs of the job that `key` identifies.

    places: where each file or folder in staging belongs. Returns the files, relative to staging, in
    the order in which they were written.
    """
    staging, done = folder / STAGING, folder / DONE
    files = [file for file in staging.rglob("*") if file.is_file()]
    files.sort(key=lambda file: (file.stat().st_mtime_ns, str(file)))  # as they were written
    hashes = {file.relative_to(staging).as_posix(): sha256(file) for file in files}
    wanted = [str(_place(Path(file), places)) for file in hashes]
    write_json(staging / MANIFEST, {"key": dict(key), "files": hashes, "places": wanted})
    shutil.rmtree(done, ignore_errors=True)
    staging.rename(done)
    return [Path(file) for file in hashes]


def finished(folder: Path, key: Mapping[str, Any]) -> list[Path]:
    """The files that `commit` left, relative to its staging; none if they have another key, are
    missing or were changed."""
    done = folder / DONE
    try:
        manifest = read_json(done / MANIFEST)
        intact = manifest["key"] == dict(key) and all(
            sha256(done / file) == digest for file, digest in manifest["files"].items()
        )
    except (ScddError, KeyError, TypeError, AttributeError, OSError):
        return []
    return [Path(file) for file in manifest["files"]] if intact else []


def _place(file: Path, places: Mapping[str, Path]) -> Path:
    name, *rest = file.parts
    return places[name].joinpath(*rest)


def deliver(folder: Path, files: Iterable[Path], places: Mapping[str, Path]) -> None:
    """Link `files` to their places. Their time is set to now: their inputs may have been linked a
    moment ago, too."""
    for file in files:
        with replacing(_place(file, places)) as temporary:
            try:
                os.link(folder / DONE / file, temporary)
            except OSError as error:
                if error.errno not in NO_LINKS:
                    raise
                shutil.copyfile(folder / DONE / file, temporary)
            os.utime(temporary)


def tidy(keys: Iterable[str]) -> None:
    """After a run that ended well: for the artifacts `<stage>/<name>`, remove the folders of jobs
    whose outputs are in place, and temporary files that killed processes left.

    States of jobs that were not part of the run are kept.
    """
    for key in keys:
        for manifest in list((WORK / key).rglob(f"{DONE}/{MANIFEST}")):
            if all(Path(place).exists() for place in read_json(manifest)["places"]):
                shutil.rmtree(manifest.parents[1])
        for folder in (WORK / key, (WORK / key).parent, WORK):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        for temporary in (RESULTS / key).rglob(".*.tmp"):
            temporary.unlink(missing_ok=True)
