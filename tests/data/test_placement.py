"""Where images live: the same pixels and order whether they are held or stream."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from test_validate import PARAMS, folder, run  # noqa: F401
from toy import (
    CLASSES,
    as_learned,
    command,
    freeze,
    image_set,
    info,
    learned_labels,
    whitening,
    write,
    write_learned,
)

from scdd.artifacts.dataset import load_info
from scdd.data import placement
from scdd.data.placement import capacity, load_if_room, open_images, whitened_validation
from scdd.data.source import Split
from scdd.errors import ScddError
from scdd.labels import relabel
from scdd.views.pixels import in_bytes, in_unit, normalise

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


# ---- learned images ----------------------------------------------------------------------------


def opened_learned(at: Path, **options: Any) -> tuple[Split, Any]:
    data = at / "data" / "dataset.json"
    path = at / "learned" / "set.json"
    return open_images(path, load_info(data), data, "s2", CPU, **options)[1:]


SPACES = [("normalised", "normalised"), ("zca", "zca"), ("zca", "uint8"), ("normalised", "uint8")]


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(("space", "pixels"), SPACES)
def test_learned_images_are_as_their_students_see_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, space: str, pixels: Any, streams: bool
) -> None:
    write(tmp_path, ipc=2)
    write_learned(tmp_path, space, pixels)
    if streams:
        monkeypatch.setattr(placement, "CPU_BYTES", 0)
    split, scale = opened_learned(tmp_path, whitened=True)
    assert (split.mapped is not None) == streams
    expected = as_learned(space).flatten(0, 1)
    if pixels == "uint8":  # what is left of them in 8 bits
        back = whitening().unwhiten(expected) if space == "zca" else in_unit(expected, info(8))
        shown = in_bytes(back)
        expected = whitening().whiten(shown) if space == "zca" else normalise(shown, info(8))
    order = torch.randperm(30, generator=torch.Generator().manual_seed(0))
    seen = [normalise(images, scale) for _, images in split.batches(order, 7, CPU)]
    torch.testing.assert_close(torch.cat(seen), expected[order], atol=1e-5, rtol=0)
    one = normalise(split.images(order[:1]), scale)
    torch.testing.assert_close(one, expected[order[:1]], atol=1e-5, rtol=0)


def test_floats_need_four_times_the_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, ipc=2)
    for space, pixels, each in (("normalised", "normalised", 4), ("zca", "uint8", 4)):
        write_learned(tmp_path, space, pixels)  # type: ignore[arg-type]
        for most, streams in ((each * 30 * 3 * 64, False), (each * 30 * 3 * 64 - 1, True)):
            monkeypatch.setattr(placement, "CPU_BYTES", most)
            assert (opened_learned(tmp_path, whitened=True)[0].mapped is not None) == streams


@pytest.mark.parametrize("streams", [False, True])
def test_learned_labels_come_with_the_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, streams: bool
) -> None:
    write(tmp_path, ipc=2)
    write_learned(tmp_path, "normalised", "normalised", ipc=5, labels=learned_labels())
    if streams:
        monkeypatch.setattr(placement, "CPU_BYTES", 0)
    split = opened_learned(tmp_path)[0]
    assert split.learned is not None
    assert split.learned.equal(learned_labels()[:, :5].flatten(0, 1))


@pytest.mark.parametrize("pixels", ["zca", "uint8"])
def test_a_whitened_set_is_refused_where_it_cannot_be_used(tmp_path: Path, pixels: Any) -> None:
    write(tmp_path, ipc=2)
    write_learned(tmp_path, "zca", pixels)
    with pytest.raises(ScddError, match=r"learned/set\.json: its students train on whitened"):
        opened_learned(tmp_path)


def test_a_set_whitened_for_another_dataset_is_refused(tmp_path: Path) -> None:
    write(tmp_path, ipc=2)
    write_learned(tmp_path, "zca", "zca")
    path = tmp_path / "data" / "dataset.json"
    path.write_text(path.read_text().replace('"fingerprint": "f"', '"fingerprint": "g"'))
    with pytest.raises(ScddError, match=r"whitening\.safetensors was made of another dataset"):
        opened_learned(tmp_path, whitened=True)


def test_whitened_validation_images_are_the_whole_validation_set(tmp_path: Path) -> None:
    write(tmp_path, ipc=2)
    set_info, data = write_learned(tmp_path, "zca", "zca"), tmp_path / "data" / "dataset.json"
    path = tmp_path / "learned" / "set.json"
    split = whitened_validation(path, set_info, load_info(data), data)
    val = image_set(31, 8, seed=1)
    assert split.labels.equal(val.labels)
    expected = whitening().whiten(val.images(torch.arange(31)))
    assert split.images(torch.arange(31)).equal(expected)
