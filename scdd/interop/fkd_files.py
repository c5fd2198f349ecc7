"""Names and numbers of SRe2L's label files (FKD). Pure Python: the plan uses them too."""

from pathlib import Path

from scdd.errors import ScddError


def batch_path(folder: Path, epoch: int, batch: int) -> Path:
    """The file of a batch of an epoch, both counted from 0."""
    return folder / f"epoch_{epoch}" / f"batch_{batch}.tar"


def epoch_count(folder: Path) -> int:
    """How many epochs `folder` holds. Raises ScddError, naming the first that is missing."""
    if not folder.is_dir():
        raise ScddError(f"there is no folder {folder}.")
    names = {entry.name for entry in folder.glob("epoch_*")}
    for epoch in range(len(names)):
        if f"epoch_{epoch}" not in names:
            raise ScddError(f"{folder / f'epoch_{epoch}'} is missing.")
    if not names:
        raise ScddError(f"{folder} has no epoch_0: it is not an FKD folder.")
    return len(names)


def epoch_files(folder: Path, epoch: int, images: int, batch: int) -> list[Path]:
    """The files of one epoch of `images` images in batches of `batch`, the last one shorter.

    Raises ScddError, naming the file, where one is missing, or there are too many.
    """
    files = [batch_path(folder, epoch, number) for number in range(-(-images // batch))]
    names = {file.name for file in (folder / f"epoch_{epoch}").glob("batch_*.tar")}
    for file in files:
        if file.name not in names:
            raise ScddError(
                f"{file} is missing: {images} images in batches of {batch} are {len(files)} files "
                "an epoch."
            )
    if len(names) > len(files):
        raise ScddError(
            f"{files[0].parent} has {len(names)} files, but {images} images in batches of {batch} "
            f"are {len(files)}."
        )
    return files
