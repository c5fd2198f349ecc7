"""Files that were damaged at random are read, or refused in words: no traceback, and nothing is
left that was half written."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import toy
from mutations import damaged
from PIL import Image
from safetensors.torch import save_file

from scdd.artifacts.images import load_set
from scdd.artifacts.labels import Origin, open_store, save_shard
from scdd.artifacts.network import load_checkpoint
from scdd.data import __main__ as data_program
from scdd.data.source import open_dataset
from scdd.errors import ScddError
from scdd.interop.checkpoints import find, fitted
from scdd.interop.distilled_sets import class_images
from scdd.interop.fkd import read_batch
from scdd.networks.resnet import build
from scdd.params.network import Network
from scdd.params.select import Import
from scdd.rng import generator

Read = Callable[[Path], object]
TIMES = 60


def dataset(folder: Path) -> Read:
    toy.write(folder, 2)
    return lambda path: open_dataset(path / "data" / "dataset.json", path).train


def image_set(folder: Path) -> Read:
    toy.write(folder, 2)
    return lambda path: load_set(path / "images" / "set.json", toy.CLASSES)


def probe(folder: Path) -> Read:
    toy.write(folder, 2)
    return lambda path: load_checkpoint(path / "probe.safetensors", kind="classifier")


def labels(folder: Path) -> Read:
    draw = torch.Generator().manual_seed(0)
    tensors = {
        "crop": torch.zeros(2, 6, 4, dtype=torch.int16),
        "flip": torch.zeros(2, 6, dtype=torch.bool),
        "partner": torch.zeros(2, 6, dtype=torch.int32),
        "lam": torch.rand(2, 6, generator=draw),
        "box": torch.zeros(2, 6, 4, dtype=torch.int16),
        "logits": torch.randn(2, 6, 3, generator=draw).half(),
    }
    origin = Origin("d", "i", toy.CLASSES, "t", {"mix": "none"}, "float16", 0)
    save_shard(folder / "epochs_0000-0001.safetensors", tensors, origin, (0, 2), {})
    return lambda path: open_store(path, epochs=2, images="i", classes=toy.CLASSES).epoch(1)


def image_folder(folder: Path) -> Read:
    draw = random.Random(0)
    for name in toy.CLASSES:
        (folder / name).mkdir()
        for number, suffix in enumerate(("png", "bmp")):
            image = Image.frombytes("RGB", (8, 8), draw.randbytes(192))
            image.save(folder / name / f"{number}.{suffix}")
    return lambda path: list(class_images(path, toy.info(8), (0, 1), Import("")))


def tensors(folder: Path) -> Read:
    images = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.save({"data": [[images, torch.arange(3).repeat(2)]]}, folder / "res.pt")
    return lambda path: list(class_images(path / "res.pt", toy.info(8), (0, 1), Import("")))


def checkpoint(folder: Path) -> Read:
    network = Network("resnet18", 1 / 16, "small")
    state = build(network, 3, generator(0)).state_dict()
    torch.save(
        {"state_dict": {f"module.{key}": value for key, value in state.items()}}, folder / "a.pth"
    )
    save_file(state, folder / "b.safetensors")

    def read(path: Path) -> None:
        for file in ("a.pth", "b.safetensors"):
            found = find(path / file)
            fitted(found, network, path / file)

    return read


def fkd(folder: Path) -> Read:
    head = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)).half()
    content = [torch.zeros(4, 4), torch.zeros(4), None, None, None, head]
    torch.save(content, folder / "batch_0.tar")
    return lambda path: read_batch(path / "batch_0.tar")


@pytest.mark.parametrize(
    "kind",
    [dataset, image_set, probe, labels, image_folder, tensors, checkpoint, fkd],
    ids=lambda kind: kind.__name__,
)
def test_a_damaged_file_is_read_or_refused(tmp_path: Path, kind: Callable[[Path], Read]) -> None:
    read = kind(tmp_path)
    read(tmp_path)
    draw = random.Random(kind.__name__)
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    for _ in range(TIMES):
        file = draw.choice(files)
        content = file.read_bytes()
        file.write_bytes(damaged(draw, content))
        try:
            read(tmp_path)
        except ScddError as error:
            assert str(error)
        file.write_bytes(content)


def test_a_dataset_of_damaged_images_is_made_whole_or_not_at_all(tmp_path: Path) -> None:
    draw = random.Random(0)
    for split in ("train", "val"):
        for name in ("ant", "bee"):
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            for number in range(2):
                image = Image.frombytes("RGB", (9, 8), draw.randbytes(216))
                image.save(folder / f"{number}.png")
    params = {"name": "imagefolder", "folder": "f", "classes": ["ant", "bee"], "resolution": 8}
    params |= {"mean": [0.5] * 3, "std": [0.2] * 3, "holdout": 0.0}
    toy.freeze(tmp_path / "config.json", "data", params)
    files = sorted(tmp_path.rglob("*.png"))
    ends = set()
    for number in range(30):
        file, out = draw.choice(files), tmp_path / f"out{number}"
        content = file.read_bytes()
        file.write_bytes(damaged(draw, content))
        out.mkdir()
        call = ["--config", tmp_path / "config.json", "--root", tmp_path, "--device", "cpu"]
        code = data_program.main([*map(str, call), "--out", str(out / "dataset.json")])
        left = {path.name for path in out.iterdir() if path.is_file()}
        whole = {"dataset.json", "train.safetensors", "val.safetensors"}
        assert left == (whole if code == 0 else set()) or (code and "dataset.json" not in left)
        assert not any(name.startswith(".") for name in left)
        ends.add(code)
        file.write_bytes(content)
    assert ends == {0, 1}
