"""Datasets: from files to the artifact that every later stage reads."""

import json
import math
import os
import pickle
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT
from PIL import Image
from torchvision.transforms import CenterCrop, Compose, Resize
from torchvision.transforms.v2.functional import pil_to_tensor, resized_crop

from scdd.data.__main__ import main
from scdd.data.folders import class_folders, image_files
from scdd.data.sets import module, names
from scdd.data.source import Split, decode, open_dataset
from scdd.errors import ScddError
from scdd.rng import generator
from scdd.views.geometry import draw_chances
from scdd.views.pixels import normalise

SHARED = Path(os.environ.get("SCDD_TEST_DATA", ROOT.parent / "shared" / "data"))
NORMAL = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}


def make(folder: Path, root: Path, **params: Any) -> int:
    """Run the stage program into `folder`; returns its exit code."""
    folder.mkdir(exist_ok=True)
    content = {"stage": "data", "version": 1, "label": "x", "digest": "d", "parents": {}}
    params = {"classes": None, **NORMAL, **params}
    (folder / "config.json").write_text(json.dumps({**content, "params": params}))
    return main(
        ["--config", str(folder / "config.json"), "--root", str(root), "--device", "cpu"]
        + ["--out", str(folder / "dataset.json")]
    )


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes in train and val; image k of class c has the colour (c, k, 0) and is 12x8."""
    root = tmp_path / "photos"
    for split in ("train", "val"):
        for c, name in enumerate(("cat", "dog")):
            (root / split / name).mkdir(parents=True)
            for k in range(3):
                image = np.zeros((8, 12, 3), dtype=np.uint8) + np.array([c, k, 0], dtype=np.uint8)
                Image.fromarray(image).save(root / split / name / f"{k}.png")
    return root


def test_digits_are_all_there(tmp_path: Path) -> None:
    assert make(tmp_path / "a", tmp_path, name="digits", resolution=16) == 0
    dataset = open_dataset(tmp_path / "a" / "dataset.json", tmp_path)
    assert (len(dataset.train), len(dataset.val)) == (1437, 360)
    assert dataset.train.labels.bincount().min() == module("digits").FACTS.per_class
    pixels = dataset.train.images(torch.arange(1437))
    assert pixels.shape == (1437, 3, 16, 16)
    seen = normalise(pixels, dataset.info)
    facts = module("digits").FACTS
    assert (seen * torch.tensor(0.5) + 0.5).mean().item() == pytest.approx(facts.mean[0], abs=2e-3)
    assert (seen * torch.tensor(0.5) + 0.5).std().item() == pytest.approx(facts.std[0], abs=2e-3)


def test_a_dataset_has_the_files_that_an_imported_folder_has(photos: Path) -> None:
    """Also .pgm, which torchvision's ImageFolder reads too."""
    Image.new("L", (12, 8)).save(photos / "train" / "cat" / "3.pgm")
    (photos / "train" / "cat" / "note.txt").write_text("no image")
    _, files = module("imagefolder").load(photos, False).splits["train"]
    found = [file for folder in class_folders(photos / "train") for file in image_files(folder)]
    assert len(files) == 7
    assert files == [file.relative_to(photos).as_posix() for file in found]


def test_a_class_subset_keeps_the_order_that_was_asked_for(tmp_path: Path) -> None:
    assert make(tmp_path / "a", tmp_path, name="digits", resolution=16, classes=["7", "2"]) == 0
    dataset = open_dataset(tmp_path / "a" / "dataset.json", tmp_path)
    assert dataset.info.classes == ("7", "2")
    whole = module("digits").load(tmp_path, False).splits["train"][0]
    assert dataset.train.labels.bincount().tolist() == [whole.count(7), whole.count(2)]


def test_a_folder_of_images_is_read_in_sorted_order(photos: Path, tmp_path: Path) -> None:
    assert make(tmp_path / "a", photos, name="imagefolder", resolution=8) == 0
    train = open_dataset(tmp_path / "a" / "dataset.json", photos).train
    assert train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    corner = train.images(torch.arange(6))[:, :2, 0, 0]
    assert corner.tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]


def test_files_that_do_not_fit_in_memory_are_decoded_when_used(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "packed", photos, name="imagefolder", resolution=8)
    monkeypatch.setattr("scdd.data.reading.IN_MEMORY", 0)
    make(tmp_path / "files", photos, name="imagefolder", resolution=8)
    packed, files = (
        open_dataset(tmp_path / name / "dataset.json", photos).train for name in ("packed", "files")
    )
    assert files.pixels is None
    order = torch.tensor([5, 0, 3, 1])
    cpu = torch.device("cpu")
    for one, other in zip(packed.batches(order, 3, cpu), files.batches(order, 3, cpu), strict=True):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])


def test_decoding_takes_the_centre_of_the_shorter_side(tmp_path: Path) -> None:
    image = np.zeros((4, 8, 3), dtype=np.uint8)
    image[:, 2:6] = 200
    Image.fromarray(image).save(tmp_path / "wide.png")
    assert torch.equal(decode(tmp_path / "wide.png", 4), torch.full((3, 4, 4), 200).byte())


@pytest.mark.parametrize("shape", [(375, 500), (500, 333), (224, 224), (100, 91), (257, 1201)])
def test_validation_images_are_cut_as_torchvision_cuts_them(
    tmp_path: Path, shape: tuple[int, int]
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "photo.png")
    cut = Compose([Resize(256), CenterCrop(224)])
    expected = pil_to_tensor(cut(Image.open(tmp_path / "photo.png")))
    found = decode(tmp_path / "photo.png", 224, 256)
    assert (found.int() - expected.int()).abs().max() <= 1


@pytest.mark.parametrize("packed", [True, False])
def test_a_validation_split_may_be_cut_anew_from_its_files(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    """12x8 photos with a bright frame: a square of 8 has it above and below, its centre has not."""
    frame = np.full((8, 12, 3), 255, dtype=np.uint8)
    frame[1:-1, 1:-1] = 100
    for file in (photos / "val").rglob("*.png"):
        Image.fromarray(frame).save(file)
    if not packed:
        monkeypatch.setattr("scdd.data.reading.IN_MEMORY", 0)
    make(tmp_path / "a", photos, name="imagefolder", resolution=6)
    dataset = open_dataset(tmp_path / "a" / "dataset.json", photos)
    assert (dataset.val.pixels is not None) == packed
    index = torch.arange(6)
    assert dataset.validation(None).images(index).max() > 200
    cut = dataset.validation(8)
    assert cut.labels.equal(dataset.val.labels)
    assert cut.images(index).equal(torch.full((6, 3, 6, 6), 100).byte())


def test_a_packed_validation_split_without_its_files_says_what_to_do(tmp_path: Path) -> None:
    make(tmp_path / "a", tmp_path, name="digits", resolution=16)
    dataset = open_dataset(tmp_path / "a" / "dataset.json", tmp_path)
    with pytest.raises(ScddError, match=r"val_resize.*rm -f .*val\.safetensors"):
        dataset.validation(18)


def naive_box(chances: list[float], height: int, width: int) -> list[int]:
    """torchvision's RandomResizedCrop in plain numbers: top, left, height, width."""
    *tries, down, right = chances
    for share, aspect in zip(tries[:10], tries[10:], strict=True):
        w = round(math.sqrt(height * width * share * aspect))
        h = round(math.sqrt(height * width * share / aspect))
        if 0 < w <= width and 0 < h <= height:
            return [int(down * (height - h + 1)), int(right * (width - w + 1)), h, w]
    if width / height < 3 / 4:
        w, h = width, round(width / (3 / 4))
    elif width / height > 4 / 3:
        w, h = round(height * 4 / 3), height
    else:
        w, h = width, height
    return [(height - h) // 2, (width - w) // 2, h, w]


def test_random_crops_are_cut_from_the_whole_of_a_file(tmp_path: Path) -> None:
    shapes = [(30, 20), (20, 30), (9, 64), (64, 9), (24, 24)]  # nothing large fits in the narrow
    files = tuple(tmp_path / f"{number}.png" for number in range(len(shapes)))
    for number, (file, shape) in enumerate(zip(files, shapes, strict=True)):
        noise = np.random.default_rng(number).integers(0, 256, (*shape, 3), dtype=np.uint8)
        Image.fromarray(noise).save(file)
    split = Split(torch.zeros(len(files), dtype=torch.long), None, files, 16)
    chances = torch.stack([draw_chances(5, s, generator(0)) for s in ((0.5, 1.0), (0.1, 0.4))], 1)
    order = torch.tensor([2, 0, 4, 3, 1])
    made = list(split.crops(order, 3, [16, 7], chances, torch.device("cpu")))
    assert [len(views[0]) for views in made] == [3, 2]
    for view, size in enumerate((16, 7)):
        found = torch.cat([views[view] for views in made])
        for row, index in enumerate(order.tolist()):
            box = naive_box(chances[row, view].tolist(), *shapes[index])
            expected = resized_crop(Image.open(files[index]), *box, [size, size])
            assert torch.equal(found[row], pil_to_tensor(expected))


def halves(folder: Path, root: Path, share: float, **params: Any) -> tuple[Split, Split]:
    assert make(folder, root, holdout=share, **params) == 0
    dataset = open_dataset(folder / "dataset.json", root)
    return dataset.train, dataset.val


def images_of(split: Split) -> list[tuple[int, bytes]]:
    assert split.pixels is not None
    return [
        (int(label), image.numpy().tobytes())
        for label, image in zip(split.labels, split.pixels, strict=True)
    ]


def test_a_held_out_part_is_of_every_class_and_of_the_training_images_alone(
    tmp_path: Path,
) -> None:
    digits = {"name": "digits", "resolution": 8}
    assert make(tmp_path / "whole", tmp_path, **digits) == 0
    whole = open_dataset(tmp_path / "whole" / "dataset.json", tmp_path).train
    train, val = halves(tmp_path / "a", tmp_path, 0.1, **digits)
    counts = whole.labels.bincount().tolist()
    assert val.labels.bincount().tolist() == [round(0.1 * count) for count in counts]
    assert sorted(images_of(train) + images_of(val)) == sorted(images_of(whole))
    again = halves(tmp_path / "again", tmp_path, 0.1, **digits)
    assert images_of(again[1]) == images_of(val)


def test_a_subset_of_classes_holds_out_the_same_images(tmp_path: Path) -> None:
    digits = {"name": "digits", "resolution": 8}
    _, val = halves(tmp_path / "a", tmp_path, 0.2, **digits)
    _, some = halves(tmp_path / "b", tmp_path, 0.2, classes=["7", "2"], **digits)
    assert {image for label, image in images_of(val) if label == 7} == {
        image for label, image in images_of(some) if label == 0
    }


def test_with_a_held_out_part_the_test_set_is_not_read(photos: Path, tmp_path: Path) -> None:
    shutil.rmtree(photos / "val")
    train, val = halves(tmp_path / "a", photos, 0.1, name="imagefolder", resolution=8)
    assert (len(train), len(val)) == (4, 2)  # one of a class at least
    assert set(images_of(train)).isdisjoint(images_of(val))


def test_a_held_out_part_leaves_an_image_of_each_class(
    photos: Path, tmp_path: Path, capsys: Any
) -> None:
    assert make(tmp_path / "a", photos, name="imagefolder", resolution=8, holdout=0.9) == 1
    assert "dataset.holdout: 0.9 of class 'cat', which has 3" in capsys.readouterr().err


def test_an_empty_class_is_named(photos: Path, tmp_path: Path, capsys: Any) -> None:
    for file in (photos / "train" / "dog").iterdir():
        file.unlink()
    assert make(tmp_path / "a", photos, name="imagefolder", resolution=8) == 1
    assert f"{photos / 'train' / 'dog'} has no images" in capsys.readouterr().err


def test_a_class_without_validation_images_is_named(
    photos: Path, tmp_path: Path, capsys: Any
) -> None:
    (photos / "val" / "cat").rename(photos / "val" / "cow")
    assert make(tmp_path / "a", photos, name="imagefolder", resolution=8) == 1
    assert f"{photos / 'val' / 'cat'} has no images" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"no image at all"])
def test_an_unreadable_image_is_named(
    photos: Path, tmp_path: Path, capsys: Any, content: bytes
) -> None:
    bad = photos / "train" / "cat" / "1.png"
    bad.write_bytes(content)
    assert make(tmp_path / "a", photos, name="imagefolder", resolution=8) == 1
    assert f"{bad} is not a readable image" in (printed := capsys.readouterr().err)
    assert "Traceback" not in printed


def test_missing_cifar_files_are_named(tmp_path: Path, capsys: Any) -> None:
    assert make(tmp_path / "a", tmp_path / "none", name="cifar100", resolution=32) == 1
    assert "cifar-100-python is missing" in capsys.readouterr().err


def test_every_dataset_has_facts_and_a_loader() -> None:
    for name in names():
        facts, load = module(name).FACTS, module(name).load
        assert facts.resolution > 0
        assert callable(load)
    assert {"digits", "cifar10", "cifar100", "tiny-imagenet", "imagenet1k"} < set(names())


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"the real data sets are not in {SHARED}")
def test_tiny_imagenets_images_are_read(tmp_path: Path) -> None:
    (tmp_path / "tiny").mkdir()
    for part in ("train-00-of-04.tar", "val.tar"):
        archive = SHARED / "tiny-imagenet" / part
        subprocess.run(["tar", "-xf", archive, "-C", tmp_path / "tiny"], check=True)
    wnids = sorted(folder.name for folder in (tmp_path / "tiny" / "train").iterdir())
    for folder in (tmp_path / "tiny" / "val").iterdir():
        if folder.name not in wnids:
            folder.rename(tmp_path / folder.name)
    params = {"name": "tiny-imagenet", "resolution": 64, "classes": wnids[:2]}
    assert make(tmp_path / "a", tmp_path / "tiny", **params) == 0
    dataset = open_dataset(tmp_path / "a" / "dataset.json", tmp_path)
    assert dataset.info.classes == tuple(wnids[:2])
    assert dataset.train.labels.bincount().tolist() == [500, 500]
    assert dataset.train.images(torch.arange(2)).shape == (2, 3, 64, 64)


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"the real data sets are not in {SHARED}")
def test_cifar_100_has_the_classes_that_the_plan_expects(tmp_path: Path) -> None:
    import io
    import tarfile

    parts = sorted((SHARED / "cifar100").glob("*.tar.xz.part*"))
    raw = io.BytesIO(b"".join(part.read_bytes() for part in parts))
    with tarfile.open(fileobj=raw, mode="r:xz") as tar:
        meta = next(member for member in tar if member.name.endswith("meta"))
        held = pickle.load(tar.extractfile(meta))  # type: ignore[arg-type]
    assert tuple(held["fine_label_names"]) == module("cifar100").FACTS.classes
