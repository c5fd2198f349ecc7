"""Sealed tensor files, checkpoints and dataset artifacts: what is damaged or foreign is refused."""

import json
import os
import stat
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from scdd.artifacts import tensors
from scdd.artifacts.config import read_frozen
from scdd.artifacts.dataset import DatasetInfo, load_info, load_split, save_info, save_split
from scdd.artifacts.files import replacing, write_json
from scdd.artifacts.network import Checkpoint, load_checkpoint, save_checkpoint
from scdd.artifacts.slots import blocks, range_name, slot_ranges
from scdd.errors import ScddError
from scdd.params.network import Network

RESNET = Network("resnet18", 1.0, "small")
PETS = ("cat", "dog")


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    path = tmp_path / "sealed.safetensors"
    tensors.save(path, {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor(True)}, {"x": 1})
    return path


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "probe.safetensors"
    state = {"fc.weight": torch.ones(2, 3)}
    save_checkpoint(path, Checkpoint("classifier", RESNET, PETS, state, "d1"), {})
    return path


def refusal(path: Path, read: object, **arguments: object) -> str:
    with pytest.raises(ScddError) as caught:
        read(path, **arguments)  # type: ignore[operator]
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_tensors_and_header_come_back(sealed: Path) -> None:
    held, header = tensors.load(sealed)
    assert torch.equal(held["a"], torch.tensor([[0.0, 1, 2], [3, 4, 5]]))
    assert held["b"].item() is True
    assert header == {"x": 1}


def test_equal_input_gives_equal_bytes(sealed: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    tensors.save(other, {"b": torch.tensor(True), "a": torch.arange(6.0).view(2, 3)}, {"x": 1})
    assert other.read_bytes() == sealed.read_bytes()


def test_an_altered_byte_is_found_and_the_way_out_named(sealed: Path) -> None:
    content = bytearray(sealed.read_bytes())
    content[-1] ^= 1
    sealed.write_bytes(content)
    message = refusal(sealed, tensors.load)
    assert "altered" in message
    assert "Delete the file and run snakemake again" in message


def test_an_altered_header_is_found(sealed: Path) -> None:
    sealed.write_bytes(sealed.read_bytes().replace(b'\\"x\\": 1', b'\\"x\\": 2'))
    assert "altered" in refusal(sealed, tensors.load)


def test_a_truncated_file_is_found(sealed: Path) -> None:
    sealed.write_bytes(sealed.read_bytes()[:-3])
    assert "truncated" in refusal(sealed, tensors.load)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "none.safetensors", tensors.load)


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    assert "not written by scdd" in refusal(path, tensors.load)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(OSError), replacing(path) as temporary:
        temporary.write_text("half")
        raise OSError("disk full")
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
    assert path.read_text() == "old"


def test_files_have_the_permissions_of_the_umask(sealed: Path) -> None:
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(sealed.stat().st_mode) == 0o666 & ~mask


def test_a_checkpoint_of_another_artifact_is_refused_naming_both(checkpoint: Path) -> None:
    message = refusal(checkpoint, load_checkpoint, kind="classifier", digest="d2")
    assert "resnet18 (width 1, stem small) of artifact d1" in message
    assert "for artifact d2" in message


def test_a_split_of_another_class_order_is_refused(tmp_path: Path) -> None:
    save_split(tmp_path / "a", torch.tensor([0]), ["cat/1.png"], PETS)
    message = refusal(tmp_path / "a", load_split, classes=PETS[::-1], classes_of="dataset.json")
    assert "class order differs" in message


def test_a_backbone_is_no_classifier(checkpoint: Path) -> None:
    message = refusal(checkpoint, load_checkpoint, kind="backbone")
    assert "'classifier'" in message


@pytest.mark.parametrize(
    ("classes", "difference"),
    [(("dog", "cat"), "has 'cat' as class 0"), (("cat", "dog", "owl"), "has missing as class 2")],
)
def test_a_checkpoint_of_other_classes_is_refused_naming_both(
    checkpoint: Path, classes: tuple[str, ...], difference: str
) -> None:
    message = refusal(
        checkpoint, load_checkpoint, kind="classifier", classes=classes, classes_of="my-data"
    )
    assert difference in message
    assert "my-data" in message


def test_weights_that_are_not_finite_are_not_written(tmp_path: Path) -> None:
    path = tmp_path / "bad.safetensors"
    state = {"fc.weight": torch.tensor([1.0, float("nan")])}
    with pytest.raises(ScddError, match=r"fc\.weight has values that are not finite"):
        save_checkpoint(path, Checkpoint("classifier", RESNET, PETS, state, "d"), {})
    assert not path.exists()


def test_a_split_holds_pixels_or_file_names(tmp_path: Path) -> None:
    labels, pixels = torch.tensor([0, 1]), torch.arange(24, dtype=torch.uint8).view(2, 3, 2, 2)
    save_split(tmp_path / "a", labels, pixels, PETS)
    assert torch.equal(load_split(tmp_path / "a", PETS, "x")[1], pixels)  # type: ignore[arg-type]
    save_split(tmp_path / "b", labels, ["train/cat/1.png", "train/dög/2.png"], PETS)
    assert load_split(tmp_path / "b", PETS, "x")[1] == ["train/cat/1.png", "train/dög/2.png"]


def test_an_edited_class_list_of_a_dataset_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "dataset.json"
    info = DatasetInfo("x", PETS, 8, (0.5,) * 3, (0.5,) * 3, 2, 2, "f", "d")
    save_info(path, info, {})
    assert load_info(path) == info
    path.write_text(path.read_text().replace('"cat"', '"cow"'))
    assert "class list" in refusal(path, load_info)


def test_the_config_of_another_stage_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    content = {"stage": "probe", "version": 1, "label": "x", "digest": "d"}
    write_json(path, {**content, "params": {}, "parents": {}})
    assert "of stage 'probe', not of 'recover'" in refusal(path, read_frozen, stage="recover")
    path.write_text(json.dumps(content))
    assert "is not a frozen config" in refusal(path, read_frozen, stage="probe")


@pytest.mark.parametrize(
    ("ipc", "ranges"),
    [
        (1, [(0, 1)]),
        (2, [(0, 1), (1, 10)]),
        (20, [(0, 1), (1, 10), (10, 20)]),
        (60, [(0, 1), (1, 10), (10, 20), (20, 30), (30, 40), (40, 50), (50, 100)]),
        (201, [(0, 1), (1, 10), (10, 20), (20, 30), (30, 40), (40, 50), (50, 100)]
         + [(100, 150), (150, 200), (200, 300)]),
    ],
)  # fmt: skip
def test_slot_ranges_are_cut_at_fixed_points(ipc: int, ranges: list[tuple[int, int]]) -> None:
    assert slot_ranges(ipc) == ranges


def test_the_last_block_may_be_short() -> None:
    assert blocks(10, 4) == [(0, 4), (4, 8), (8, 10)]
    assert range_name((8, 10)) == "0008-0009"
