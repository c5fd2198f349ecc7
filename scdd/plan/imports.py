"""Distilled sets and label folders of others: what can be known of them before the first job,
without torch."""

from collections.abc import Sequence
from pathlib import Path

from scdd.artifacts.files import sha256_of, write_text
from scdd.artifacts.run import RESULTS
from scdd.data.fkd_files import epoch_count, epoch_files
from scdd.data.folders import (
    by_class,
    check_names,
    class_folders,
    image_files,
    set_files,
    tensor_files,
)
from scdd.errors import ScddError
from scdd.plan.identity import digest


def content_of(path: Path, files: Sequence[Path]) -> str:
    """`sha256_of` these files. It is kept in results/contents/ for files of the same names, sizes
    and times, since a plan is made often and such files may be large."""
    seen = [(str(file.absolute()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    kept = RESULTS / "contents" / f"{digest([path.is_dir(), seen])}.txt"
    if not kept.exists():
        write_text(kept, sha256_of(path, files) + "\n")
    return kept.read_text(encoding="utf-8").strip()


def check_set(
    where: str, path: Path, classes: Sequence[str] | None, count: int, ipc: int, *, labelled: bool
) -> str:
    """The content hash of a distilled set at `path`.

    classes: the dataset's, None where only their number `count` is known; labelled: there are FKD
    labels, which are of all images in ImageFolder's order. Raises ScddError, naming the key
    `where`, for what no job could take; of tensors only the job sees more than their names.
    """
    try:
        files = set_files(path)
        if tensor_files(path):
            if labelled:
                raise ScddError(
                    f"{path} is no image folder, and labels are of such in their order."
                )
            return content_of(path, files)
        folders = class_folders(path) if classes is None else by_class(path, classes)
        if len(folders) != count:
            raise ScddError(f"{path} has {len(folders)} class folders, but {count} are needed.")
        if labelled and folders != class_folders(path):
            raise ScddError(
                f"the folders in {path} sort in another order than the dataset's classes, and "
                "labels are in that of the folders. Set dataset.classes to the sorted names."
            )
        for index, folder in enumerate(folders):
            images = image_files(folder)
            if len(images) < ipc:
                raise ScddError(f"{folder} has {len(images)} images, but ipc is {ipc}. Lower ipc.")
            if labelled and len(images) > ipc:
                raise ScddError(
                    f"{folder} has {len(images)} images, but ipc is {ipc}: labels are of all "
                    "images, in their order. Set ipc to their number."
                )
            check_names(images, index)
    except ScddError as error:
        raise ScddError(f"{where}: {error}") from None
    return content_of(path, files)


def check_labels(where: str, folder: Path, images: int, *, batch: int, epochs: int) -> list[str]:
    """The content hashes of the epochs of an FKD folder.

    images: how many it must be of; batch: in files of so many; epochs: how many it must have at
    least. Raises ScddError, naming the key `where`, for what no job could take.
    """
    try:
        found = epoch_count(folder)
        if found < epochs:
            raise ScddError(
                f"{folder} has {found} epochs, but the protocol trains for {epochs}. Lower "
                "protocol.epochs."
            )
        files = [epoch_files(folder, epoch, images, batch) for epoch in range(found)]
    except ScddError as error:
        raise ScddError(f"{where}: {error}") from None
    return [content_of(folder, of_epoch) for of_epoch in files]
