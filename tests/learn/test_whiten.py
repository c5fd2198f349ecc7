"""The program that fits a whitening, on pixels in memory and on image files."""

from pathlib import Path

import numpy as np
import pytest
import torch
import toy
from PIL import Image

from scdd.artifacts.dataset import load_info, save_split
from scdd.artifacts.whitening import load_validation, load_whitening
from scdd.learn import whiten
from scdd.views.zca import fit

# as toy.write has them
TRAIN = toy.image_set(60, 8).images(torch.arange(60))
VAL = toy.image_set(31, 8, seed=1).images(torch.arange(31))


def as_files(folder: Path) -> None:
    """The same dataset, but its training images are in files."""
    names = [f"{number}.png" for number in range(60)]
    for name, pixels in zip(names, TRAIN, strict=True):
        Image.fromarray(np.asarray(pixels.permute(1, 2, 0))).save(folder / name)
    labels = torch.arange(60) % 3
    save_split(folder / "data" / "train.safetensors", labels, names, toy.CLASSES)


@pytest.mark.parametrize("files", [False, True])
def test_it_is_fitted_on_all_training_images_and_validation_images_are_whitened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: bool
) -> None:
    monkeypatch.setattr(whiten, "BATCH", 25)
    toy.write(tmp_path, ipc=2)
    if files:
        as_files(tmp_path)
    toy.freeze(tmp_path / "config.json", "whiten", {"eps": 0.2}, data="d")
    data = tmp_path / "data" / "dataset.json"
    out, val = tmp_path / "w" / "whitening.safetensors", tmp_path / "w" / "val.safetensors"
    options = {"config": tmp_path / "config.json", "data": data, "root": tmp_path}
    options |= {"out": out, "val": val}
    call = [f"--{name}={value}" for name, value in options.items()]
    assert whiten.main([*call, "--device=cpu"]) == 0

    found, dataset = load_whitening(out, load_info(data), data, "whiten"), load_info(data)
    expected = fit([TRAIN], 0.2)
    assert found.transform.dtype == torch.float32
    torch.testing.assert_close(found.transform.double(), expected.transform, atol=1e-6, rtol=0)
    torch.testing.assert_close(found.inverse.double(), expected.inverse, atol=1e-6, rtol=0)
    images, labels = load_validation(val, found, dataset, data)
    whitened = expected.whiten(VAL)
    torch.testing.assert_close(images.double(), whitened, atol=1e-5, rtol=0)
    assert torch.equal(labels, torch.arange(31) % 3)
