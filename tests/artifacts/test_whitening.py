"""A whitening's files and their guards."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toy import CLASSES, image_set, info

from scdd.artifacts.whitening import (
    load_validation,
    load_whitening,
    save_validation,
    save_whitening,
)
from scdd.errors import ScddError
from scdd.views.zca import Whitening, fit

DATASET = info(4)
IMAGES = image_set(30, 4).images(torch.arange(30))
LABELS = torch.arange(30) % 3


def fitted(eps: float = 0.1) -> Whitening:
    return fit([IMAGES], eps).to(torch.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    whitening = fitted()
    save_whitening(tmp_path / "whitening.safetensors", whitening, DATASET, "w1", {})
    images = whitening.whiten(IMAGES)
    save_validation(tmp_path / "val.safetensors", images, LABELS, whitening, DATASET)
    return tmp_path


def test_both_are_read_back(folder: Path) -> None:
    found = load_whitening(folder / "whitening.safetensors", DATASET, "dataset.json", "w1")
    expected = fitted()
    for name in ("mean", "transform", "inverse"):
        assert torch.equal(getattr(found, name), getattr(expected, name))
    images, labels = load_validation(folder / "val.safetensors", found, DATASET, "dataset.json")
    assert torch.equal(images, expected.whiten(IMAGES))
    assert torch.equal(labels, LABELS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": tuple(reversed(CLASSES))}, "class order differs: .*whitening.safetensors"),
        ({"fingerprint": "g"}, r"whitening\.safetensors was made of another dataset .*dataset\.js"),
        ({"resolution": 5}, r"\(fingerprint f, 4 pixels\) than dataset.json \(f, 5 pixels\)"),
    ],
)
def test_a_whitening_of_another_dataset_is_refused(
    folder: Path, change: dict[str, object], message: str
) -> None:
    other = replace(DATASET, **change)  # type: ignore[arg-type]
    with pytest.raises(ScddError, match=message):
        load_whitening(folder / "whitening.safetensors", other, "dataset.json")
    with pytest.raises(ScddError, match=message.replace("whitening", "val")):
        load_validation(folder / "val.safetensors", fitted(), other, "dataset.json")


def test_a_whitening_of_another_artifact_is_refused(folder: Path) -> None:
    with pytest.raises(ScddError, match=r"is of artifact w1, but .* for artifact w2"):
        load_whitening(folder / "whitening.safetensors", DATASET, "dataset.json", "w2")


def test_validation_images_of_another_space_are_refused(folder: Path) -> None:
    with pytest.raises(ScddError, match=r"val\.safetensors is in the space of another whitening"):
        load_validation(folder / "val.safetensors", fitted(0.2), DATASET, "dataset.json")


def test_the_two_files_are_not_taken_for_each_other(folder: Path) -> None:
    with pytest.raises(ScddError, match="is a 'whitened' file, but 'whitening' is needed"):
        load_whitening(folder / "val.safetensors", DATASET, "dataset.json")


def test_an_altered_whitening_is_refused(folder: Path) -> None:
    path = folder / "whitening.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ScddError, match="was altered after it was written"):
        load_whitening(path, DATASET, "dataset.json")
