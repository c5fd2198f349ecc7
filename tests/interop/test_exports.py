"""Exports: read back by the programs they are for, pixel by pixel."""

import json
import sys
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
import toy
import webdataset
from PIL import Image
from timm.data import create_dataset
from torch import Tensor
from torchvision.datasets import ImageFolder

from scdd import cli
from scdd.artifacts.images import load_set, make_set
from scdd.artifacts.shards import save_shard
from scdd.data.exported import folder_names, image_root
from scdd.data.folders import by_class
from scdd.errors import ScddError
from scdd.interop import exports
from scdd.plan.load import plan_of
from scdd.views.pixels import in_unit

IPC = 4


def write_set(folder: Path, classes: tuple[str, ...]) -> Path:
    """A set of noise, 4 images of 8 pixels for each class."""
    draw = torch.Generator().manual_seed(0)
    for slots in ((0, 1), (1, 10)):
        for index in range(len(classes)):
            shape = (slots[1] - slots[0], 3, 8, 8)
            images = torch.randint(256, shape, generator=draw).byte()
            record = {"digest": "r1", "seed": 0, "env": {}}
            save_shard(folder / "made", slots, classes, index, images, record=record)
    path = folder / "set.json"
    make_set(
        path,
        folder / "made",
        classes,
        ipc=IPC,
        resolution=8,
        method="toy",
        digest="s1",
        sources={"r1"},
        mean=toy.MEAN,
        std=toy.STD,
    )
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_set(tmp_path, ("cat", "ant", "bee"))


def pixels(image: Any) -> Tensor:
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)


def command(path: Path, to: str, *more: str) -> int:
    return cli.main(["export", str(path), "--to", to, "--out", str(path.parent / "out"), *more])


def same(found: list[tuple[Tensor, int]], path: Path) -> bool:
    """Whether images and labels are the set's, in its order."""
    held = load_set(path)
    images, labels = zip(*found, strict=True)
    return torch.equal(torch.stack(images), held.images) and list(labels) == held.labels.tolist()


@pytest.mark.parametrize("classes", [("cat", "ant", "bee"), ("a", "b", "c")])
def test_torchvision_reads_the_image_folder(tmp_path: Path, classes: tuple[str, ...]) -> None:
    path = write_set(tmp_path, classes)
    assert command(path, "imagefolder") == 0
    read = ImageFolder(str(tmp_path / "out" / "train"))
    assert same([(pixels(image), label) for image, label in read], path)
    assert [name.split("_")[-1] for name in read.classes] == list(classes)
    assert (tmp_path / "out" / "classes.txt").read_text().splitlines() == list(classes)


@pytest.mark.parametrize(
    ("classes", "folders"),
    [
        (("ant", "bee"), ["ant", "bee"]),
        (("bee", "ant"), ["0_bee", "1_ant"]),
        (("a/b", "c"), ["a_b", "c"]),
        (("a/b", "a_b"), ["0_a_b", "1_a_b"]),
        (tuple(map(str, range(11))), [f"{i:02d}_{i}" for i in range(11)]),
    ],
)
def test_folders_sort_in_class_order(classes: tuple[str, ...], folders: list[str]) -> None:
    assert folder_names(classes) == folders
    assert sorted(folders) == folders


# class names that some reader would take for something else, or sort otherwise
ODD = [
    ("test", "train"),
    ("apple", "test", "train", "val"),
    ("dev", "eval", "evaluation", "testing", "training", "valid", "validation"),
    ("my-test-x", "no val", "pre_dev", "test2", "val.png"),
    ("data", "metadata", "metadata.csv"),
    ("a b", "c  d"),
    ("a/b", "c"),
    ("a/b", "a_b"),
    ("a\\b", "a::b", "x[1]", "y*", "z?", "b%20c", "a#b", "http://x", "a\nb"),
    ("é", "ü", "日本"),
    ("e\u0301", "\u00e9"),
    (".hidden", "__private", "b"),
    ("Cat", "cat"),
    ("B", "a"),
    ("9", "10"),
    ("1", "01", "1.0"),
    (" x", "y.", "--z"),
    ("x" * 300, "日" * 120),
]


def read_by_torchvision(out: Path) -> Any:
    return ImageFolder(str(out / "train"))


def read_by_torchvision_of_timm(out: Path) -> Any:
    return create_dataset("torch/image_folder", root=str(out), split="train")


def read_by_timm(out: Path) -> Any:
    return create_dataset("", root=str(out), split="train")


def read_by_timm_inside(out: Path) -> Any:
    return create_dataset("", root=str(out / "train"), split="train")


def rows(*path: str, **more: Any) -> Any:
    read = datasets.load_dataset(*path, split="train", **more)
    return [(row["image"], row["label"]) for row in read]


def read_by_datasets(out: Path) -> Any:
    return rows(str(out), cache_dir=str(out.parent / "cache"))


def read_by_datasets_imagefolder(out: Path) -> Any:
    return rows("imagefolder", data_dir=str(out), cache_dir=str(out.parent / "cache"))


def read_by_datasets_inside(out: Path) -> Any:
    data = str(out / "train")
    return rows("imagefolder", data_dir=data, cache_dir=str(out.parent / "cache"))


READERS = [
    read_by_torchvision,
    read_by_torchvision_of_timm,
    read_by_timm,
    read_by_timm_inside,
    read_by_datasets,
    read_by_datasets_imagefolder,
    read_by_datasets_inside,
]


@pytest.mark.parametrize("classes", ODD, ids=lambda classes: ascii(classes)[:40])
def test_every_reader_reads_the_whole_image_folder(
    tmp_path: Path, classes: tuple[str, ...]
) -> None:
    path = write_set(tmp_path, classes)
    assert command(path, "imagefolder") == 0
    for read in READERS:
        found = [(pixels(image), label) for image, label in read(tmp_path / "out")]
        assert same(found, path), read.__name__
    root = image_root(tmp_path / "out")  # and an import finds the classes again
    assert [folder.name for folder in by_class(root, classes)] == folder_names(classes)


@pytest.mark.parametrize("name", ["test", "val-set", "train"])
def test_the_exports_own_name_tells_no_reader_of_a_split(tmp_path: Path, name: str) -> None:
    path = write_set(tmp_path / "validation", ("ant", "train"))
    for to in ("imagefolder", "parquet"):
        out = tmp_path / to / name
        exports.export_set(path, to, out, "png")
        assert same([(pixels(image), label) for image, label in read_by_datasets(out)], path)


def test_the_folder_that_an_import_reads(tmp_path: Path) -> None:
    (tmp_path / "export" / "train" / "train").mkdir(parents=True)
    assert image_root(tmp_path / "export") == tmp_path / "export" / "train"
    assert image_root(tmp_path / "export" / "train") == tmp_path / "export" / "train"
    (tmp_path / "plain" / "train").mkdir(parents=True)
    (tmp_path / "plain" / "train" / "0.png").touch()
    assert image_root(tmp_path / "plain") == tmp_path / "plain"
    (tmp_path / "export" / "val").mkdir()
    assert image_root(tmp_path / "export") == tmp_path / "export"
    assert image_root(tmp_path / "gone") == tmp_path / "gone"


@pytest.mark.parametrize("to", ["webdataset", "parquet"])
def test_class_names_are_kept_by_the_other_forms(tmp_path: Path, to: str) -> None:
    path = write_set(tmp_path, ("train", "a/b", "test", "日本", ".x"))
    assert command(path, to) == 0
    if to == "webdataset":
        tars = sorted(map(str, tmp_path.glob("out/*.tar")))
        read = list(webdataset.WebDataset(tars, shardshuffle=False).decode("pil"))
        assert same([(pixels(sample["png"]), sample["cls"]) for sample in read], path)
        found = rows_of_webdataset(tmp_path / "out")
    else:
        found = read_by_datasets(tmp_path / "out")
    assert same([(pixels(image), label) for image, label in found], path)


def rows_of_webdataset(out: Path) -> Any:
    files, cache = f"{out}/*.tar", str(out.parent / "cache")
    read = datasets.load_dataset("webdataset", data_files=files, split="train", cache_dir=cache)
    return [(row["png"], row["cls"]) for row in read]


def test_jpeg_is_near_the_pixels_and_says_so_by_its_name(path: Path) -> None:
    assert command(path, "imagefolder", "--format", "jpeg") == 0
    file = path.parent / "out" / "train" / "0_cat" / "00000.jpg"
    with Image.open(file) as image:
        assert image.format == "JPEG"
        difference = pixels(image).float() - load_set(path).images[0].float()
    assert difference.abs().mean() < 4


def test_webdataset_reads_the_tars(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "PER_FILE", 5)  # 12 images: three files
    assert command(path, "webdataset") == 0
    tars = sorted(map(str, path.parent.glob("out/*.tar")))
    assert len(tars) == 3
    read = list(webdataset.WebDataset(tars, shardshuffle=False).decode("pil"))
    assert same([(pixels(sample["png"]), sample["cls"]) for sample in read], path)
    content = load_set(path).content
    assert read[5]["json"] == {"class": "ant", "slot": 1, "set": content}


def test_datasets_reads_parquet(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "PER_FILE", 7)
    monkeypatch.setattr(exports, "ROWS", 2)
    assert command(path, "parquet") == 0
    out = path.parent / "out"
    names = ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"]
    assert sorted(file.name for file in out.iterdir()) == names
    cache = str(path.parent / "cache")
    read = datasets.load_dataset(str(out), split="train", cache_dir=cache)
    assert read.features["label"] == datasets.ClassLabel(names=["cat", "ant", "bee"])
    assert same([(pixels(row["image"]), row["label"]) for row in read], path)


def test_an_experiments_names_stand_for_a_path(
    path: Path, tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(path.parent)
    (images,) = plan_of(tiny).of("imageset")
    images.folder.parent.mkdir(parents=True)
    images.folder.symlink_to(path.parent)
    Path("my.yaml").write_text(json.dumps(tiny))
    names = ["--method", "scdd", "--ipc", "1", "--configfile", "my.yaml"]
    export = ["export", "--to", "imagefolder", "--out", "out"]
    assert cli.main([*export, *names]) == 0
    assert same([(pixels(i), label) for i, label in ImageFolder("out/train")], path)
    assert cli.main(export) == 1
    assert cli.main([*export, str(path), *names]) == 1
    told = "error: name either a set.json or its folder, or --method and --ipc.\n"
    assert capsys.readouterr().err.endswith(2 * told)


def test_two_exports_have_the_same_bytes(path: Path) -> None:
    for out in ("one", "two"):
        exports.export_set(path, "webdataset", path.parent / out, "png")
    one, two = ((path.parent / out / "shard-000000.tar").read_bytes() for out in ("one", "two"))
    assert one == two


def test_a_folder_that_exists_is_left_alone(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (path.parent / "out").mkdir()
    assert command(path, "imagefolder") == 1
    assert "out exists already" in capsys.readouterr().err
    assert not list((path.parent / "out").iterdir())


def test_an_export_that_breaks_off_leaves_no_folder(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shard = path.parent / "made" / "slots_0001-0009" / "class_0002.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1])
    before = sorted(path.parent.iterdir())
    assert command(path, "imagefolder") == 1
    assert "class_0002.safetensors is truncated" in capsys.readouterr().err
    assert sorted(path.parent.iterdir()) == before


def test_without_pyarrow_parquet_says_what_to_install(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ScddError, match=r"pip install pyarrow"):
        exports.export_set(path, "parquet", path.parent / "out", "png")
    assert not (path.parent / "out").exists()


def test_the_commands_choices_are_all_there_are() -> None:
    with pytest.raises(SystemExit):
        cli.main(["export", "set.json", "--to", "zip", "--out", "x"])
    assert set(exports.FORMS) == {"imagefolder", "webdataset", "parquet"}


@pytest.mark.parametrize("space", ["normalised", "zca"])
def test_of_learned_images_the_8_bit_ones_are_written_and_it_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], space: Any
) -> None:
    toy.write(tmp_path, ipc=2)
    toy.write_learned(tmp_path, space, space, ipc=3, labels=toy.learned_labels())
    path = tmp_path / "learned" / "set.json"
    assert command(path, "imagefolder") == 0
    said = capsys.readouterr().err.partition("its 8-bit images are written, not its ")[2]
    assert "float32" in said
    assert "learned labels" in said
    assert ("whitening" in said) == (space == "zca")
    read = ImageFolder(str(path.parent / "out" / "train"))
    shown = toy.as_learned(space)[:, :3].flatten(0, 1)
    back = toy.whitening().unwhiten(shown) if space == "zca" else in_unit(shown, toy.info(8))
    expected = (back.clamp(0, 1) * 255).round().byte()
    assert torch.equal(torch.stack([pixels(image) for image, _ in read]), expected)


def test_nothing_is_said_of_a_set_that_is_written_whole(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(path, "imagefolder") == 0
    assert "8-bit" not in capsys.readouterr().err
