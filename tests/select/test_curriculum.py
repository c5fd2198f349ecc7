"""One curriculum of CCFS: its choice by hand, and its programs from an image set to the next."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TINY, new_checkout
from torch import Tensor, nn
from toy import CLASSES, TEACHER, VIEW, command, freeze, image_set, info, write

from scdd import imageset
from scdd.artifacts import tensors
from scdd.artifacts.images import load_set, open_set
from scdd.artifacts.order import load_order, save_order
from scdd.labels import relabel
from scdd.select import __main__ as choose
from scdd.select import curriculum
from scdd.select.curriculum import in_order, right

CPU = torch.device("cpu")
PARAMS = {
    "student": vars(TEACHER),
    "labels": "soft",
    "label_epochs": 2,
    "batch": 4,
    "epochs": 2,
    "optimizer": "adamw",
    "lr": 0.01,
    "momentum": 0.9,
    "weight_decay": 0.01,
    "warmup_epochs": 0,
    "eta": 1.0,
    "precision": "float32",
    "loss": "kl",
    "temperature": 4.0,
    "seed": 0,
}


def test_the_simplest_come_first_of_what_the_student_misses_and_the_teacher_knows() -> None:
    simplest = torch.tensor([7, 3, 9, 1, 5, 0])
    missed = torch.zeros(10, dtype=torch.bool)
    known = torch.ones(10, dtype=torch.bool)
    missed[[9, 5, 0, 3]] = True
    known[[3, 1]] = False
    had = torch.tensor([9])
    # 9 is there already; 5 and 0 are missed and known; 7 is not missed; 3 and 1 are not known
    assert in_order(simplest, had, missed, known).tolist() == [9, 5, 0, 7, 3, 1]


class Fixed(nn.Module):
    """Gives each image the logits of a table, by its number, which is its first pixel."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, x: Tensor) -> Tensor:
        assert not self.training
        first = x[:, 0, 0, 0] * info(8).std[0] + info(8).mean[0]
        return self.logits[(first * 255).round().long()]


def test_an_image_is_right_by_the_mean_of_the_networks_logits() -> None:
    split = image_set(6, 8)
    assert split.pixels is not None
    split.pixels[:, 0, 0, 0] = torch.arange(6)
    one, other = torch.zeros(6, 3), torch.zeros(6, 3)
    one[torch.arange(6), split.labels] = 1.0
    other[4, 0] = 3.0  # of class 1
    assert right([Fixed(one)], split, info(8), CPU).tolist() == [True] * 6
    found = right([Fixed(one), Fixed(other)], split, info(8), CPU)
    assert found.tolist() == [True] * 4 + [False, True]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A set of two distilled images a class with soft labels; the order of the training images, of
    which the last of each class are the simplest."""
    write(tmp_path, ipc=2)
    store = {"view": VIEW, "mix": "none", "alpha": 1.0, "seed": 0, "form": "float16"}
    params = {**store, "epochs_per_shard": 2}
    freeze(tmp_path / "relabel.json", "relabel", params, images="s1", teacher="t1")
    options = {
        "images": tmp_path / "images" / "set.json",
        "teacher": tmp_path / "probe.safetensors",
        "epochs": "0:2",
        "out": tmp_path / "labels" / "epochs_0000-0001.safetensors",
    }
    assert relabel.main(command(tmp_path, "relabel", **options)) == 0
    save_order(tmp_path / "difficulty", torch.arange(60) // 3, CLASSES, "f1", {})
    return tmp_path


def run(folder: Path, name: str, taken: int = 0, **parents: str) -> int:
    params = {**PARAMS, "taken": taken}
    given = {"labels": "relabel", "teacher": "t1", "difficulty": "f1", **parents}
    freeze(folder / "curriculum.json", "curriculum", params, **given)
    options: dict[str, Any] = {
        "root": folder,
        "images": folder / "images" / "set.json",
        "labels": folder / "labels",
        "teacher": folder / "probe.safetensors",
        "difficulty": folder / "difficulty",
        "out": folder / name,
    }
    if "before" in parents:
        options["before"] = folder / "before"
    return curriculum.main(command(folder, "curriculum", **options))


def orders(folder: Path, name: str, digest: str = "curriculum") -> list[Tensor]:
    return load_order(
        folder / name,
        digest=digest,
        labels=image_set(60, 8).labels,
        classes=CLASSES,
        classes_of=folder / "data" / "dataset.json",
    )


def test_the_program_orders_by_what_its_student_and_the_teacher_say(folder: Path) -> None:
    for name in ("one", "two"):
        assert run(folder, name) == 0
    assert (folder / "one").read_bytes() == (folder / "two").read_bytes()
    reasons = tensors.load(folder / "one")[0]
    missed, known = reasons["missed"], reasons["known"]
    assert 0 < missed.sum() < 60
    for label, order in enumerate(orders(folder, "one")):
        simplest = torch.arange(label, 60, 3).flip(0)
        expected = in_order(simplest, simplest[:0], missed, known)
        assert order.equal(expected)
    # what it says of the teacher is what the teacher sees
    (network, _), *_ = curriculum.load_teachers(
        [folder / "probe.safetensors"],
        curriculum.Frozen("", 1, "", "", {}, {"teacher": "t1"}),
        CLASSES,
        folder / "data" / "dataset.json",
    )
    assert known.equal(right([network], image_set(60, 8), info(8), CPU))


def test_what_an_earlier_curriculum_took_stays_in_its_place(folder: Path) -> None:
    save_order(folder / "before", torch.arange(60).roll(9) // 3, CLASSES, "c1", {})
    before = orders(folder, "before", "c1")
    assert run(folder, "later", taken=4, before="c1") == 0
    for old, new in zip(before, orders(folder, "later"), strict=True):
        assert new[:4].equal(old[:4])
        assert sorted(new.tolist()) == sorted(old.tolist())


def test_the_validation_images_are_not_read(folder: Path) -> None:
    (folder / "data" / "val.safetensors").unlink()
    assert run(folder, "order") == 0


def test_another_teacher_than_that_of_the_labels_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, "order", teacher="t2") == 1
    assert "made for artifact t2" in capsys.readouterr().err


def test_the_next_set_has_the_distilled_images_and_then_the_chosen_ones(folder: Path) -> None:
    assert run(folder, "order") == 0
    freeze(folder / "select.json", "select", {"method": "ccfs"}, data="d", order="curriculum")
    given = {"config": "select.json", "data": "data/dataset.json", "root": "", "out": "real"}
    given |= {"order": "order"}
    arguments = [f"--{key}={folder / value}" for key, value in given.items()]
    for slots in ("0:1", "1:10"):
        assert choose.main([*arguments, f"--slots={slots}"]) == 0
    params = {"method": "ccfs", "ipc": 5, "pixels": "uint8", "distilled": 2}
    freeze(folder / "imageset.json", "imageset", params, source="r1", last="select")
    given = {"config": "imageset.json", "data": "data/dataset.json", "source": "recover"}
    given |= {"last": "real", "out": "both/set.json"}
    assert imageset.main([f"--{key}={folder / value}" for key, value in given.items()]) == 0
    both = load_set(folder / "both" / "set.json").images.unflatten(0, (3, 5))
    distilled = load_set(folder / "images" / "set.json").images.unflatten(0, (3, 2))
    assert both[:, :2].equal(distilled)
    train = image_set(60, 8)
    for label, order in enumerate(orders(folder, "order")):
        assert both[label, 2:].equal(train.images(order[:3]))
    assert open_set(folder / "both" / "set.json").method == "ccfs"


def test_the_workflow_hands_over_each_curriculum_to_the_next(tmp_path: Path) -> None:
    """Of four images one is distilled; two curricula add two real ones and one."""
    checkout = new_checkout(tmp_path / "planned")
    checkout.configure({**TINY, "methods": ["scdd", "ccfs"], "ipc": [4], "ccfs": {"curricula": 2}})
    printed = checkout.run("-n", "-p")
    first, second = re.findall(r"exec python -m scdd.select.curriculum .*", printed)
    if "--before" in first:
        first, second = second, first
    assert "--before" not in first
    assert re.search(r"--before results/curriculum/\S*-ipc1-\S*/order.safetensors", second)
    assert re.search(r"--labels results/relabel/\S*-ccfs-ipc3-\S*", second)
    sets = re.findall(r"exec python -m scdd.imageset .*", printed)
    lasts = [re.findall(r"--last results/select/(\S*)", command) for command in sets]
    assert sorted(map(len, lasts)) == [0, 0, 1, 1]  # of one and four recovered images; both kinds
