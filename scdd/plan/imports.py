"""Distilled sets and label folders of others: what is checked before the first job."""

from collections.abc import Sequence
from pathlib import Path

from scdd.artifacts.files import sha256_of, write_text
from scdd.data.decoding import size_of
from scdd.data.folders import (
    by_class,
    by_index_alone,
    check_names,
    class_folders,
    image_files,
    left_out,
    look,
    set_files,
    size_differs,
    tensor_files,
)
from scdd.errors import ScddError
from scdd.interop.buffer_files import buffer_files
from scdd.interop.contents import stored_hash as stored_path
from scdd.interop.fkd_files import epoch_count, epoch_files
from scdd.jobs.progress import say

MUCH = 2**30  # bytes; hashing more takes seconds, and the log says so


def contents_of(path: Path, groups: Sequence[Sequence[Path]]) -> list[str]:
    """`sha256_of` each group of files.

    It is stored in results/contents/ for files of the same names, sizes and times: a plan is made
    often, and such files may be large.
    """
    stored = [stored_path(path, files) for files in groups]
    new = [(at, files) for at, files in zip(stored, groups, strict=True) if not at.exists()]
    size = sum(file.stat().st_size for _, files in new for file in files)
    if size >= MUCH:
        say(f"{path}: hashing {size / 2**30:.0f} GiB, once")
    for at, files in new:
        write_text(at, sha256_of(path, files) + "\n")
    return [at.read_text(encoding="utf-8").strip() for at in stored]


def check_set(
    where: str,
    path: Path,
    classes: Sequence[str] | None,
    count: int,
    ipc: int,
    *,
    resolution: int,
    in_order: bool,
    labelled: bool,
) -> str:
    """The content hash of a distilled set at `path`.

    classes: the dataset's, None where only their number `count` is known; in_order: class i is
    also the dataset's own class i; labelled: there are FKD labels, which are of all images in
    ImageFolder's order. Raises ScddError, naming the key `where`, for what no job could use. Of
    tensor files only the names are looked at, of images only the size of the first.
    """
    try:
        files = set_files(path)
        if tensor_files(path):
            if labelled:
                raise ScddError(
                    f"{path} is not an image folder, and labels are of the images of one, in "
                    "their order."
                )
            return contents_of(path, [files])[0]
        if not in_order and by_index_alone(path, classes):
            raise ScddError(
                f"{class_folders(path)[0]} tells its class by an index alone, but dataset.classes "
                "is a list in which an index is another class than in the dataset. Give the "
                "folders the names of the classes."
            )
        folders = class_folders(path) if classes is None else by_class(path, classes)
        if len(folders) != count:
            raise ScddError(f"{path} has {len(folders)} class folders, but {count} are needed.")
        if labelled and folders != class_folders(path):
            raise ScddError(
                f"the folders in {path} sort in another order than the dataset's classes, and "
                "labels are in that of the folders. Set dataset.classes to the sorted names."
            )
        for index, folder in enumerate(folders):
            found = look(folder)
            images = found.images
            if len(images) < ipc:
                raise ScddError(
                    f"{folder} has {len(images)} images{left_out(found.others)}, but ipc is {ipc}. "
                    "Lower ipc."
                )
            if labelled and len(images) > ipc:
                raise ScddError(
                    f"{folder} has {len(images)} images, but ipc is {ipc}: labels are of all "
                    "images, in their order. Set ipc to their number."
                )
            check_names(images, index)
        check_size(image_files(folders[0])[0], resolution)
    except ScddError as error:
        raise ScddError(f"{where}: {error}") from None
    return contents_of(path, [files])[0]


def check_size(file: Path, resolution: int) -> None:
    """Raises ScddError, naming the file, if it is not an image of this size."""
    size = size_of(file)
    if size != (resolution, resolution):
        raise size_differs(file, *size, resolution)


def check_labels(where: str, folder: Path, images: int, *, batch: int, epochs: int) -> list[str]:
    """The content hashes of the first `epochs` epochs of an FKD folder.

    images: how many its labels are of; batch: how many images a file is of. Raises ScddError,
    naming the key `where`, for what no job could use.
    """
    try:
        count = epoch_count(folder)
        if count < epochs:
            raise ScddError(
                f"{folder} has {count} epochs, but the protocol trains for {epochs}. Lower "
                "protocol.epochs."
            )
        files = [epoch_files(folder, epoch, images, batch) for epoch in range(epochs)]
    except ScddError as error:
        raise ScddError(f"{where}: {error}") from None
    return contents_of(folder, files)


def check_file(where: str, path: Path) -> str:
    """The content hash of a file. Raises ScddError, naming the key `where`, if it is not there."""
    if not path.is_file():
        raise ScddError(f"{where}: {path} is not a file.")
    return contents_of(path, [[path]])[0]


def check_buffers(where: str, path: Path, zca: bool) -> str:
    """The content hash of MTT's replay buffers: a folder of them, or one file.

    zca: whether images are whitened; MTT's folders say so by their names. Raises ScddError, naming
    the key `where`, where there are none, or they are of the other pixel space.
    """
    files = buffer_files(path)
    if not files:
        raise ScddError(f"{where}: {path} has no files replay_buffer_<n>.pt.")
    unwhitened = any(part.endswith("_NO_ZCA") for part in path.parts)
    whitened = not unwhitened and any(part.startswith("CIFAR") for part in path.parts)
    if (unwhitened and zca) or (whitened and not zca):
        theirs, ours = ("whitened", "not") if whitened else ("not whitened", "are")
        raise ScddError(
            f"{where}: the experts in {path} are of images that are {theirs} by its name, but "
            f"those of this method {ours}. Set zca to {str(whitened).lower()}, or name others."
        )
    return contents_of(path, [files])[0]
