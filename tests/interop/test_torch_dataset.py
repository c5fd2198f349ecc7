"""`scdd.load`: a distilled set as a torch Dataset, with and without its soft labels."""

import json
import pickle
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
import toy
from safetensors.torch import load_file
from torch.utils.data import DataLoader

import scdd
from scdd.artifacts.dataset import load_info
from scdd.artifacts.images import load_set
from scdd.artifacts.labels import Origin, read_shard_header, save_shard
from scdd.data.batches import views
from scdd.data.placement import open_images
from scdd.data.source import Split
from scdd.errors import ScddError
from scdd.interop.torch_dataset import Images, Views
from scdd.params.views import Transform, View
from scdd.plan.load import plan_of
from scdd.views.mixing import draw_epoch

IPC, EPOCHS = 3, 3
TRANSFORM = Transform(View("resized", 0, (0.3, 1.0), True), "cutmix", 1.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An image set of nine images, and labels of three epochs in two shards."""
    toy.write(tmp_path, ipc=IPC)
    content = load_set(tmp_path / "images" / "set.json").content
    transform = {"view": {}, "mix": TRANSFORM.mix, "alpha": TRANSFORM.alpha}
    origin = Origin("d1", content, toy.CLASSES, "t1", transform, "float16", 0)
    for epochs in ((0, 2), (2, 3)):
        made: dict[str, list[torch.Tensor]] = {}
        for epoch in range(*epochs):
            logits = torch.randn(9, 3, generator=torch.Generator().manual_seed(epoch)).half()
            drawn = draw_epoch(TRANSFORM, 9, 8, 0, epoch).stored()
            for name, tensor in {**drawn, "logits": logits}.items():
                made.setdefault(name, []).append(tensor)
        path = tmp_path / "labels" / f"epochs_{epochs[0]:04d}-{epochs[1] - 1:04d}.safetensors"
        stacked = {name: torch.stack(parts) for name, parts in made.items()}
        save_shard(path, stacked, origin, epochs, {})
    return tmp_path


def labelled(folder: Path) -> Views:
    made = scdd.load(str(folder / "images" / "set.json"), labels=str(folder / "labels"))
    assert isinstance(made, Views)
    return made


def test_images_and_their_classes(folder: Path) -> None:
    dataset = scdd.load(folder / "images" / "set.json")
    held = load_set(folder / "images" / "set.json")
    assert (dataset.classes, dataset.ipc, len(dataset)) == (toy.CLASSES, IPC, 9)
    image, label = dataset[4]
    assert torch.equal(image, held.images[4])
    assert (label, image.dtype) == (1, torch.uint8)
    batches = list(DataLoader(dataset, batch_size=4, num_workers=2))
    assert torch.equal(torch.cat([images for images, _ in batches]), held.images)
    assert torch.equal(torch.cat([labels for _, labels in batches]), held.labels)


@pytest.mark.parametrize("epoch", range(EPOCHS))
def test_views_and_logits_are_those_of_the_epoch(folder: Path, epoch: int) -> None:
    held = load_set(folder / "images" / "set.json")
    split = Split(held.labels, held.images, (), 8)
    drawn = draw_epoch(TRANSFORM, 9, 8, 0, epoch)
    ((_, seen),) = views(split, torch.arange(9), 9, drawn, "cutmix", toy.info(8))
    logits = torch.randn(9, 3, generator=torch.Generator().manual_seed(epoch)).half()
    dataset = labelled(folder)
    dataset.set_epoch(epoch)
    assert (len(dataset), dataset.epochs) == (9, EPOCHS)
    for index in (0, 5):
        assert torch.equal(dataset[index][0], seen[index])
        assert torch.equal(dataset[index][1], logits[index])


def test_workers_give_the_epoch_that_was_set(folder: Path) -> None:
    dataset = labelled(folder)
    loader = DataLoader(dataset, batch_size=4, num_workers=1)
    for epoch in (2, 1):
        dataset.set_epoch(epoch)
        found = [torch.cat(parts) for parts in zip(*loader, strict=True)]
        for part, expected in zip(found, zip(*dataset, strict=True), strict=True):
            assert torch.equal(part, torch.stack(expected))


@pytest.mark.parametrize("epoch", [-1, EPOCHS])
def test_an_epoch_that_is_not_there_is_refused(folder: Path, epoch: int) -> None:
    with pytest.raises(ScddError, match=f"epoch {epoch} has no labels: choose one of 0 to 2"):
        labelled(folder).set_epoch(epoch)


def test_what_a_spawned_worker_gets_has_the_epoch_but_cannot_change_it(folder: Path) -> None:
    dataset = labelled(folder)
    dataset.set_epoch(1)
    copy = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(copy[5][0], dataset[5][0])
    with pytest.raises(ScddError, match="not in a worker"):
        copy.set_epoch(1)


def test_labels_of_other_images_are_refused(folder: Path) -> None:
    toy.write(folder, ipc=2)
    with pytest.raises(ScddError, match="holds labels for images"):
        labelled(folder)


def test_a_folder_without_labels_is_refused(folder: Path) -> None:
    with pytest.raises(ScddError, match="holds no soft labels"):
        scdd.load(folder / "images" / "set.json", labels=folder)


def test_a_set_that_does_not_tell_its_colours_gives_images_but_no_views(folder: Path) -> None:
    path = folder / "images" / "set.json"
    fields = json.loads(path.read_text())
    path.write_text(json.dumps({k: v for k, v in fields.items() if k not in ("mean", "std")}))
    assert len(scdd.load(path)) == 9
    with pytest.raises(ScddError, match="does not state mean and std"):
        labelled(folder)


def test_a_file_that_is_no_set_json_is_not_to_be_deleted(folder: Path) -> None:
    (folder / "README.md").write_text("mine")
    with pytest.raises(ScddError, match=r"README.md is not a set.json") as caught:
        scdd.load(folder / "README.md")
    assert "Delete" not in str(caught.value)


def test_a_folder_stands_for_its_only_set(folder: Path) -> None:
    assert len(scdd.load(folder / "images")) == 9
    assert len(scdd.load(folder)) == 9
    with pytest.raises(ScddError, match="labels has none"):
        scdd.load(folder / "labels")


def test_an_experiments_names_stand_for_its_files(
    folder: Path, tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    plan = plan_of(tiny)
    (images,), (labels,) = plan.of("imageset"), plan.of("relabel")
    for node, made in ((images, "images"), (labels, "labels")):
        node.folder.parent.mkdir(parents=True)
        node.folder.symlink_to(folder / made)
    Path("my.yaml").write_text(json.dumps(tiny))
    dataset = scdd.load(method="scdd", ipc=1, configfile="my.yaml")
    assert isinstance(dataset, Images)
    named = scdd.load(method="scdd", protocol="scdd-paper", configfile="my.yaml")
    assert isinstance(named, Views)


# ---- learned images ----------------------------------------------------------------------------


@pytest.mark.parametrize("space", ["normalised", "zca"])
def test_learned_images_are_given_as_they_were_learned(folder: Path, space: Any) -> None:
    labels = toy.learned_labels()
    toy.write_learned(folder, space, space, labels=labels)
    dataset = scdd.load(folder / "learned" / "set.json")
    assert isinstance(dataset, Images)
    assert torch.equal(dataset.images, toy.as_learned(space).flatten(0, 1))
    assert torch.equal(dataset[4][0], toy.as_learned(space)[0, 4])
    assert dataset.learned_labels is not None
    assert torch.equal(dataset.learned_labels, labels.flatten(0, 1))
    assert (dataset.pixels, dataset.student_lr) == (space, 0.03)
    assert (dataset.whitening is not None) == (space == "zca")
    assert dataset.whitening is None or dataset.whitening.name == "whitening.safetensors"


def test_views_of_learned_images_are_cut_of_their_pixels(folder: Path) -> None:
    """Also of those beyond black and white, as the teacher sees them."""
    path = folder / "learned" / "set.json"
    content = toy.write_learned(folder, "normalised", "normalised", ipc=IPC).content
    for file in (folder / "labels").iterdir():
        header = read_shard_header(file)
        told = {field.name: header[field.name] for field in fields(Origin)}
        told |= {"images": content, "classes": tuple(told["classes"])}
        save_shard(file, load_file(file), Origin(**told), tuple(header["epochs"]), {})
    dataset = scdd.load(path, labels=folder / "labels")
    data = folder / "data" / "dataset.json"
    _, split, scale = open_images(path, load_info(data), data, "s2", torch.device("cpu"))
    drawn = draw_epoch(TRANSFORM, 9, 8, 0, 0)
    ((_, seen),) = views(split, torch.arange(9), 9, drawn, "cutmix", scale)
    assert torch.equal(dataset[5][0], seen[5])


def test_soft_labels_of_a_whitened_set_are_refused(folder: Path) -> None:
    toy.write_learned(folder, "zca", "zca", ipc=IPC)
    with pytest.raises(ScddError, match=r"learned/set\.json: its students train on whitened"):
        scdd.load(folder / "learned" / "set.json", labels=folder / "labels")


def test_importing_the_package_does_not_import_torch() -> None:
    code = "import sys, scdd; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
