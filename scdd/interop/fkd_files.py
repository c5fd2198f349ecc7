"""Where SRe2L's label files (FKD) lie. Pure Python: the plan asks too."""

from pathlib import Path

from scdd.errors import ScddError


def batch_path(folder: Path, epoch: int, batch: int) -> Path:
    return folder / f"epoch_{epoch}" / f"batch_{batch}.tar"


def epoch_count(folder: Path) -> int:
    """How many epochs `folder` holds. Raises ScddError, naming the first that is missing."""
    if not folder.is_dir():
        raise ScddError(f"there is no folder {folder}.")
    found = {entry.name for entry in folder.glob("epoch_*")}
    for epoch in range(len(found)):
        if f"epoch_{epoch}" not in found:
            raise ScddError(f"{folder / f'epoch_{epoch}'} is missing.")
    if not found:
        raise ScddError(f"{folder} holds no epoch_0: it is no FKD folder.")
    return len(found)


def epoch_files(folder: Path, epoch: int, images: int, batch: int) -> list[Path]:
    """The files of one epoch of so many images in batches of that size, the last one shorter.

    Raises ScddError, naming the file, where one is missing, or there are more.
    """
    files = [batch_path(folder, epoch, number) for number in range(-(-images // batch))]
    found = {file.name for file in (folder / f"epoch_{epoch}").glob("batch_*.tar")}
    for file in files:
        if file.name not in found:
            raise ScddError(
                f"{file} is missing: {images} images in batches of {batch} are {len(files)} files "
                "an epoch."
            )
    if len(found) > len(files):
        raise ScddError(
            f"{files[0].parent} has {len(found)} files, but {images} images in batches of {batch} "
            f"are {len(files)}."
        )
    return files
