"""A distilled set and its soft labels in forms that other programs read (docs/exports.md).

An export is a folder that appears when it is complete. It has the set's order: class by class, slot
by slot.
"""

import io
import json
import tarfile
from collections.abc import Callable, Iterable, Iterator
from itertools import count, groupby
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from PIL import Image
from torch import Tensor

from scdd.artifacts.files import filling, write_text
from scdd.artifacts.images import SetInfo, class_images, open_set
from scdd.artifacts.labels import Origin, open_store, stored_epochs
from scdd.data.exported import TRAIN, folder_names
from scdd.errors import ScddError
from scdd.interop.fkd import SEED, TEACHER, to_batches
from scdd.interop.fkd_files import batch_path
from scdd.jobs.progress import say, track
from scdd.labels.order import sampler_orders
from scdd.labels.replay import replay

PER_FILE = 5000  # images in one tar or Parquet file: below 1 GB at 224 pixels
ROWS = 100  # images in one of Parquet's row groups, which readers decode as a whole
SUFFIX = {"png": "png", "jpeg": "jpg"}
JPEG = {"quality": 95, "subsampling": 0}

T = TypeVar("T")


class Item(NamedTuple):
    """An encoded image, and its class index and slot in the set."""

    label: int
    slot: int
    content: bytes

    @property
    def stem(self) -> str:
        return f"{self.label:05d}_{self.slot:05d}"


def encode(image: Tensor, form: str) -> bytes:
    """uint8 [3, R, R] as the content of a file: 'png', lossless, or 'jpeg'."""
    file = io.BytesIO()
    options: dict[str, Any] = JPEG if form == "jpeg" else {}
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(file, form.upper(), **options)
    return file.getvalue()


def items(path: Path, info: SetInfo, form: str) -> Iterator[Item]:
    """All images of the set.json at `path`, one class in memory at a time."""
    for label, name in enumerate(track(info.classes, "classes")):
        for slot, image in enumerate(class_images(path, info, name)):
            yield Item(label, slot, encode(image, form))


def parts(stream: Iterable[T], size: int) -> Iterator[Iterator[T]]:
    """`stream` in runs of `size`; use up each run before taking the next."""
    place = count()
    for _, part in groupby(stream, lambda _: next(place) // size):
        yield part


def to_imagefolder(folder: Path, path: Path, info: SetInfo, form: str) -> None:
    """`train/<class>/<slot>.png`, as torchvision, timm and datasets read it, and classes.txt.

    Without the folder `train`, timm and datasets would search the class folders for a split.
    """
    places = [folder / TRAIN / name for name in folder_names(info.classes)]
    for place in places:
        place.mkdir(parents=True)
    for item in items(path, info, form):
        (places[item.label] / f"{item.slot:05d}.{SUFFIX[form]}").write_bytes(item.content)
    write_text(folder / "classes.txt", "".join(f"{name}\n" for name in info.classes))


def to_webdataset(folder: Path, path: Path, info: SetInfo, form: str) -> None:
    """Tar files of samples: the image, `cls` (the class index) and `json`; and classes.txt."""
    for number, part in enumerate(parts(items(path, info, form), PER_FILE)):
        with tarfile.open(folder / f"shard-{number:06d}.tar", "w") as tar:
            for item in part:
                facts = {"class": info.classes[item.label], "slot": item.slot, "set": info.content}
                members = {
                    SUFFIX[form]: item.content,
                    "cls": str(item.label).encode(),
                    "json": json.dumps(facts).encode(),
                }
                for suffix, content in members.items():
                    member = tarfile.TarInfo(f"{item.stem}.{suffix}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
    write_text(folder / "classes.txt", "".join(f"{name}\n" for name in info.classes))


def to_parquet(folder: Path, path: Path, info: SetInfo, form: str) -> None:
    """Parquet files whose `image` and `label` Hugging Face's `datasets` decodes by itself."""
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError:
        raise ScddError("Parquet needs pyarrow: pip install pyarrow.") from None
    features = {
        "image": {"_type": "Image"},
        "label": {"names": list(info.classes), "_type": "ClassLabel"},
    }
    image = arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])
    schema = arrow.schema(
        [("image", image), ("label", arrow.int64())],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )
    files = -(-len(info.classes) * info.ipc // PER_FILE)
    for number, part in enumerate(parts(items(path, info, form), PER_FILE)):
        name = f"train-{number:05d}-of-{files:05d}.parquet"
        with parquet.ParquetWriter(folder / name, schema) as writer:
            for rows in parts(part, ROWS):
                table_rows = [
                    {
                        "image": {"bytes": item.content, "path": f"{item.stem}.{SUFFIX[form]}"},
                        "label": item.label,
                    }
                    for item in rows
                ]
                writer.write_table(arrow.Table.from_pylist(table_rows, schema=schema))


FORMS: dict[str, Callable[[Path, Path, SetInfo, str], None]] = {
    "imagefolder": to_imagefolder,
    "webdataset": to_webdataset,
    "parquet": to_parquet,
}


def export_set(path: Path, to: str, out: Path, form: str) -> None:
    """Write the 8-bit images of the set.json at `path` to the folder `out`.

    to: one of FORMS; form: of the images, 'png' or 'jpeg'. Raises ScddError, leaving no new `out`,
    where `out` exists, or the set or a shard is missing or damaged.
    """
    info = open_set(path)
    if left := [
        *["images as they were learned, float32"] * (info.pixels != "uint8"),
        *["their whitening"] * (info.whitening is not None),
        *["learned labels"] * info.labelled,
    ]:
        say(f"{path}: its 8-bit images are written, not its {', '.join(left)} (see scdd.load)")
    with filling(out) as folder:
        FORMS[to](folder, path, info, form)


def export_labels(labels: Path, images: Path, out: Path, batch: int) -> None:
    """Write the soft labels in the folder `labels` as SRe2L's FKD files of `batch` images to `out`.

    images: their set.json. Raises ScddError, leaving no new `out`, where `out` exists, files are
    missing or damaged, or FKD files cannot hold the views.
    """
    if batch < 1:
        raise ScddError(f"--batch {batch}: a batch must have at least 1 image.")
    info, epochs = open_set(images), stored_epochs(labels)
    store = open_store(labels, epochs=epochs, images=info.content, classes=info.classes)
    n = len(info.classes) * info.ipc
    _require_batches(store.origin, labels, n, batch)
    orders = sampler_orders(n, SEED)
    with filling(out) as folder:
        for epoch, order in track(zip(range(epochs), orders, strict=False), "epochs", total=epochs):
            labelled, mix = replay(store, epoch, torch.device("cpu")), store.origin.transform["mix"]
            logits = labelled.logits(torch.arange(len(order)))
            contents = to_batches(labelled.draws, logits, order, batch, mix, info.resolution)
            for number, content in enumerate(contents):
                path = batch_path(folder, epoch, number)
                path.parent.mkdir(exist_ok=True)
                torch.save(content, path)


def _require_batches(origin: Origin, labels: Path, n: int, batch: int) -> None:
    """Raises ScddError where labels of `n` images depend on other batches than the files have."""
    fixed = origin.transform.get("batch")
    if fixed is None:
        return
    if (fixed, origin.seed) != (batch, SEED):
        raise ScddError(
            f"{labels} holds labels that depend on batches of {fixed} images in the order of seed "
            f"{origin.seed}, but the files are of {batch} in that of seed {SEED}. Export with "
            f"--batch {fixed}, and label with seed: {SEED}."
        )
    if origin.teacher != TEACHER and n % batch == 1 and n > batch:
        raise ScddError(
            f"{labels} holds labels that depend on batches, and the last of its {n} images "
            f"joined the batch before, which then has {batch + 1}: FKD files hold {batch} and then "
            "1. Label with a batch that does not leave one image."
        )
