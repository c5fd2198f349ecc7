"""Where images live: the same pixels and order whether they are held or stream."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from test_validate import PARAMS, folder, run  # noqa: F401
from toy import CLASSES, command, freeze, info, write

from scdd.artifacts.dataset import load_info
from scdd.data import placement
from scdd.data.placement import capacity, load_if_room, open_images
from scdd.data.source import Split
from scdd.errors import ScddError
from scdd.labels import relabel

CPU = torch.device("cpu")


def opened(at: Path) -> Split:
    data = at / "data" / "dataset.json"
    return open_images(at / "images" / "set.json", load_info(data), data, "s1", CPU)[1]


@pytest.fixture
def no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "CPU_BYTES", 0)


def test_a_set_is_held_up_to_the_room_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, ipc=10)
    bytes_of_set = 30 * 3 * 8 * 8
    for most, streams in ((bytes_of_set, False), (bytes_of_set - 1, True)):
        monkeypatch.setattr(placement, "CPU_BYTES", most)
        split = opened(tmp_path)
        assert (split.mapped is not None, split.pixels is None) == (streams, streams)


def test_a_gpus_room_is_a_third_of_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (3000, 10_000))
    assert capacity(torch.device("cuda", 0)) == 1000


@pytest.mark.parametrize("size", [1, 4, 7, 100])
def test_a_streaming_set_has_the_batches_of_a_held_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    write(tmp_path, ipc=10)
    whole = opened(tmp_path)
    monkeypatch.setattr(placement, "CPU_BYTES", 0)
    streaming = opened(tmp_path)
    assert streaming.labels.equal(whole.labels)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(0))
    pair = [split.batches(order, size, CPU) for split in (whole, streaming)]
    made = list(zip(*pair, strict=True))
    assert len(made) == -(-30 // size)
    for (one_index, one), (other_index, other) in made:
        assert one_index.equal(other_index)
        assert one.equal(other)
    assert streaming.images(order[:5]).equal(whole.images(order[:5]))


def test_a_student_of_a_streaming_set_has_the_same_bits(
    folder: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inputs = {"images": folder / "images" / "set.json", "labels": folder / "labels"}
    assert run(folder, "held", {**PARAMS, "labels": "soft"}, **inputs) == 0
    monkeypatch.setattr(placement, "CPU_BYTES", 0)
    assert run(folder, "streaming", {**PARAMS, "labels": "soft"}, **inputs) == 0
    for file in ("metrics.json", "history.csv"):
        assert (folder / "held" / file).read_bytes() == (folder / "streaming" / file).read_bytes()


def test_labels_of_a_streaming_set_have_the_same_bits(
    folder: Path,  # noqa: F811
    no_room: None,
) -> None:
    """Its crops are those that the store keeps, not cut from whole photos as of files."""
    view: dict[str, Any] = {"crop": "resized", "pad": 0, "scale": [0.2, 1.0], "flip": True}
    params = {"view": view, "mix": "cutmix", "alpha": 1.0, "seed": 0, "form": "float16"}
    freeze(folder / "relabel.json", "relabel", params, images="s1", teacher="t1")
    made = []
    for most in (2**30, 0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(placement, "CPU_BYTES", most)
            out = folder / str(most) / "epochs_0000-0001.safetensors"
            options = {"teacher": folder / "probe.safetensors", "epochs": "0:2", "out": out}
            options["images"] = folder / "images" / "set.json"
            assert relabel.main(command(folder, "relabel", **options)) == 0
            made.append(out.read_bytes())
    assert made[0] == made[1]


def test_a_streaming_set_of_another_class_order_is_refused(tmp_path: Path, no_room: None) -> None:
    write(tmp_path, ipc=2)
    other = info(8).__class__(**{**vars(info(8)), "classes": tuple(reversed(CLASSES))})
    path = tmp_path / "images" / "set.json"
    with pytest.raises(ScddError, match=r"set\.json"):
        open_images(path, other, tmp_path / "data" / "dataset.json", None, CPU)


def test_photos_are_decoded_once_where_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = tuple(tmp_path / f"{number}.png" for number in range(5))
    for number, file in enumerate(files):
        Image.fromarray(np.full((9, 12, 3), number, dtype=np.uint8)).save(file)
    photos = Split(torch.arange(5), None, files, 6, short=8)
    whole = load_if_room(photos, CPU)
    assert whole.pixels is not None
    assert whole.pixels[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert whole.labels is photos.labels
    monkeypatch.setattr(placement, "CPU_BYTES", 5 * 3 * 6 * 6 - 1)
    assert load_if_room(photos, CPU) is photos
