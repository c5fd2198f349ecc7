"""Memories of continual learning: the programs against a naive loop over steps, and killed."""

import csv
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from toy import (
    CLASSES,
    MEAN,
    STD,
    TEACHER,
    VIEW,
    command,
    freeze,
    image_set,
    learned_labels,
    whitening,
    write,
    write_learned,
)

from scdd import imageset
from scdd.artifacts.dataset import load_info
from scdd.artifacts.images import load_set, open_set
from scdd.artifacts.network import Checkpoint, save_checkpoint
from scdd.data import placement
from scdd.data.source import Split
from scdd.errors import ScddError
from scdd.evaluate import validate
from scdd.jobs import runtime
from scdd.jobs.saved import SavedState, Snapshot
from scdd.labels import relabel
from scdd.networks.resnet import build
from scdd.params.views import Transform
from scdd.rng import generator
from scdd.views.mixing import draw_epoch

CPU = torch.device("cpu")
IPC, EPOCHS, BATCH, LR, TEMPERATURE = 6, 6, 6, 0.02, 2.0
STORE = {"view": {**VIEW, "crop": "none"}, "mix": "mixup", "alpha": 0.8, "seed": 0}
TRAINING = {
    "batch": BATCH,
    "epochs": EPOCHS,
    "optimizer": "sgd",
    "lr": LR,
    "momentum": 0.9,
    "weight_decay": 0.0,
    "temperature": TEMPERATURE,
    "labels": "soft",
    "student": vars(TEACHER),
}


@dataclass
class Memory:
    """What is in memory after a step, and how its student is made. folder: of the toy problem;
    source: of its shards."""

    folder: Path
    order: int
    seen: int
    source: str = "recover"

    @property
    def path(self) -> Path:
        return self.folder / f"{self.order}-{self.seen}"

    @property
    def set(self) -> Path:
        return self.path / "set.json"

    def collect(self, parents: dict[str, str] | None = None, **more: Any) -> None:
        params: dict[str, Any] = {"method": "toy", "ipc": IPC, "pixels": "uint8", **more}
        if self.seen < len(CLASSES):
            params |= {"order": self.order, "seen": self.seen}
        parents = parents or {"source": "r1"}
        freeze(self.folder / "imageset.json", "imageset", params, **parents)
        options = {"config": self.folder / "imageset.json"}
        options |= {"data": self.folder / "data" / "dataset.json", "out": self.set}
        options |= {"source": self.folder / self.source}
        if "whitening" in parents:
            options["whitening"] = self.folder / "whiten" / "whitening.safetensors"
        assert imageset.main([f"--{key}={value}" for key, value in options.items()]) == 0

    def label(self, **job: Any) -> int:
        params = {**STORE, "form": "float16", "epochs_per_shard": EPOCHS}
        freeze(self.folder / "relabel.json", "relabel", params, images="imageset", teacher="t1")
        options = {
            "images": self.set,
            "teacher": self.folder / "probe.safetensors",
            "epochs": f"0:{EPOCHS}",
            "out": self.path / "labels" / f"epochs_0000-{EPOCHS - 1:04d}.safetensors",
        }
        return relabel.main(command(self.folder, "relabel", **options, **job))

    def train(self, params: dict[str, Any], name: str = "student", **job: Any) -> int:
        soft = params["labels"] == "soft"
        parents = {"labels": "relabel"} if soft else {"images": "imageset"}
        freeze(self.folder / "validate.json", "validate", params, **parents)
        options = {
            "root": self.folder,
            "images": self.set,
            "out": self.path / name / "metrics.json",
        }
        options |= {"history": self.path / name / "history.csv"}
        options |= {"labels": self.path / "labels"} if soft else {}
        return validate.main(command(self.folder, "validate", **options, **job))

    def outcome(self, name: str = "student") -> tuple[list[float], float]:
        """The mean loss of each epoch, and the last top-1."""
        rows = csv.DictReader((self.path / name / "history.csv").open())
        metrics = json.loads((self.path / name / "metrics.json").read_text())
        return [float(row["loss"]) for row in rows], metrics["top1"]


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """Of a teacher that tells the toy's classes apart."""
    train, network = image_set(60, 8), build(TEACHER, 3, generator(1))
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    for _ in range(20):
        assert train.pixels is not None
        optimizer.zero_grad()
        functional.cross_entropy(network(normal(train.pixels)), train.labels).backward()
        optimizer.step()
    return network.state_dict()


@pytest.fixture
def folder(tmp_path: Path, state: dict[str, Tensor]) -> Path:
    write(tmp_path, ipc=IPC)
    checkpoint = Checkpoint("classifier", TEACHER, CLASSES, state, "t1")
    save_checkpoint(tmp_path / "probe.safetensors", checkpoint, {})
    return tmp_path


def normal(pixels: Tensor) -> Tensor:
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    return (pixels.float() / 255 - mean) / std


def naive(seen: list[int], seed: int, state: dict[str, Tensor]) -> tuple[list[float], float]:
    """A step as one would write it down: the images of the classes seen so far, the teacher's
    logits for these classes alone, and a new student that knows no other."""
    train, val = image_set(60, 8), image_set(31, 8, seed=1)
    assert train.pixels is not None and val.pixels is not None
    memory = torch.cat([train.pixels[train.labels == label][:IPC] for label in seen])
    teacher = build(TEACHER, 3).eval()
    teacher.load_state_dict(state)
    student = build(TEACHER, len(seen), generator(seed, "student")).train()
    velocity = [torch.zeros_like(weight) for weight in student.parameters()]
    losses = []
    for epoch in range(EPOCHS):
        draws = draw_epoch(Transform.of(STORE), len(memory), 8, seed=0, epoch=epoch)
        share, own = draws.lam[:, None, None, None], normal(memory)
        views = share * own + (1 - share) * own[draws.partner.long()]
        with torch.no_grad():
            targets = (teacher(views)[:, seen].half().float() / TEMPERATURE).softmax(1)
        order = torch.randperm(len(memory), generator=generator(seed, "order", epoch))
        rate, total = LR * (1 + torch.cos(torch.tensor(torch.pi * epoch / EPOCHS))) / 2, 0.0
        for batch in order.split(BATCH):
            student.zero_grad()
            said = (student(views[batch]) / TEMPERATURE).log_softmax(1)
            loss = (targets[batch] * (targets[batch].log() - said)).sum() / len(batch)
            loss.backward()
            total += loss.item() * len(batch)
            for weight, speed in zip(student.parameters(), velocity, strict=True):
                assert weight.grad is not None
                speed.mul_(0.9).add_(weight.grad)
                weight.data -= rate * speed
        losses.append(total / len(memory))
    student.eval()
    right = known = 0
    for image, label in zip(normal(val.pixels), val.labels.tolist(), strict=True):
        if label in seen:
            known += 1
            right += seen[int(student(image[None]).argmax())] == label
    return losses, 100 * right / known


@pytest.mark.parametrize("order", [0, 1])
def test_each_step_is_as_a_naive_loop_has_it(
    folder: Path, state: dict[str, Tensor], order: int
) -> None:
    before: set[str] = set()
    for count in (1, 2, 3):
        memory = Memory(folder, order, count)
        memory.collect()
        classes = open_set(memory.set).classes
        assert before < {*classes}
        assert len(classes) == count
        before = {*classes}
        assert memory.label() == 0
        assert memory.train({**TRAINING, "seed": order}) == 0
        losses, top1 = naive([CLASSES.index(name) for name in classes], order, state)
        assert memory.outcome() == (pytest.approx(losses, rel=1e-3, abs=1e-6), top1)


class Killed(BaseException):
    """In place of SIGKILL, which tests cannot survive."""


@pytest.mark.parametrize("at", [1, 5])
def test_killed_at_any_step_labels_and_student_end_with_the_same_bits(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, at: int
) -> None:
    class Dying(SavedState):
        def offer(self, step: int, snapshot: Callable[[], Snapshot]) -> None:
            self.due = 0.0
            super().offer(step, snapshot)
            self.wait()
            if step == at:
                raise Killed

    memory = Memory(folder, order=0, seen=2)
    memory.collect()
    params = {**TRAINING, "seed": 0}
    assert memory.label() == memory.train(params) == 0
    (labels,) = (memory.path / "labels").iterdir()
    whole = labels.read_bytes()
    labels.unlink()
    for job, name in ((memory.label, "labels"), (partial(memory.train, params, "again"), "again")):
        work = folder / "work" / name
        with monkeypatch.context() as patched:
            patched.setattr(runtime, "SavedState", Dying)
            with pytest.raises(Killed):
                job(work=work)
        capsys.readouterr()
        assert job(work=work) == 0
        assert f"begins at step {at}" in capsys.readouterr().err
    assert labels.read_bytes() == whole
    assert memory.outcome("again") == memory.outcome("student")


def test_class_orders_are_permutations_and_differ() -> None:
    classes = [f"{index:02d}" for index in range(12)]
    orders = set()
    for order in range(5):
        sets = [imageset.seen_classes(classes, order, count) for count in range(1, 13)]
        assert all(names == sorted(names) for names in sets)
        assert [len(names) for names in sets] == [*range(1, 13)]
        assert all({*few} < {*more} for few, more in itertools.pairwise(sets))
        orders.add(tuple(map(tuple, sets)))
    assert len(orders) == 5


def test_a_set_of_all_classes_does_not_speak_of_others(folder: Path) -> None:
    """Its bytes are those of before there were sets of some."""
    for seen in (2, 3):
        memory = Memory(folder, 0, seen)
        memory.collect()
        assert ("among" in json.loads(memory.set.read_text())) == (seen == 2)


def test_a_memory_is_refused_where_the_dataset_has_another_class_order(folder: Path) -> None:
    memory = Memory(folder, 0, 2)
    memory.collect()
    load_set(memory.set, CLASSES)
    with pytest.raises(ScddError, match="class order differs"):
        load_set(memory.set, ("b", "a", "c"))
    with pytest.raises(ScddError, match="class order differs"):
        load_set(memory.set, open_set(memory.set).classes)


def test_a_memory_that_is_streamed_has_the_same_images(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory, data = Memory(folder, 0, 2), folder / "data" / "dataset.json"
    memory.collect()
    info = load_info(data)
    images, loaded, scale = placement.open_images(memory.set, info, data, None, CPU)
    monkeypatch.setattr(placement, "CPU_BYTES", 0)
    _, streamed, _ = placement.open_images(memory.set, info, data, None, CPU)
    assert streamed.pixels is None
    every = torch.arange(2 * IPC)
    assert torch.equal(streamed.images(every), loaded.images(every))
    assert scale.classes == images.classes
    assert len(images.classes) == 2
    train = image_set(60, 8)
    own = [train.images(train.labels == CLASSES.index(name))[:IPC] for name in images.classes]
    assert torch.equal(loaded.images(every), torch.cat(own))


@pytest.mark.parametrize("mapped", [False, True])
def test_learned_labels_are_those_of_the_seen_classes_and_sum_to_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch, mapped: bool
) -> None:
    learned = learned_labels()
    write_learned(folder, "normalised", "normalised", labels=learned)
    memory, data = Memory(folder, 0, 2, "learn"), folder / "data" / "dataset.json"
    memory.collect({"source": "l1"}, pixels="normalised")
    if mapped:
        monkeypatch.setattr(placement, "CPU_BYTES", 0)
    images, split, _ = placement.open_images(memory.set, load_info(data), data, None, CPU)
    seen = [CLASSES.index(name) for name in images.classes]
    assert split.learned is not None
    rows = [learned[label, slot] for label in seen for slot in range(IPC)]
    for row, own in zip(rows, split.learned, strict=True):
        kept = [float(row[label]) for label in seen]
        assert own.tolist() == pytest.approx([value / sum(kept) for value in kept])
    hard = {**TRAINING, **STORE, "labels": "hard", "seed": 0}
    assert memory.train(hard) == 0


def test_students_of_whitened_memories_are_tested_on_whitened_images_of_its_classes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_learned(folder, "zca", "zca")
    memory = Memory(folder, 0, 2, "learn")
    memory.collect({"source": "l1", "whitening": "w1"}, pixels="zca")
    tested: list[Split] = []
    monkeypatch.setattr(validate, "accuracy", lambda _, val, *more: tested.append(val) or (1, None))
    assert memory.train({**TRAINING, **STORE, "labels": "hard", "seed": 0}) == 0
    seen = [CLASSES.index(name) for name in open_set(memory.set).classes]
    val = image_set(31, 8, seed=1)
    kept = [index for index, label in enumerate(val.labels.tolist()) if label in seen]
    expected = whitening().whiten(val.images(torch.arange(31)))[kept]
    assert tested[0].pixels is not None
    assert torch.equal(tested[0].pixels, expected)
    assert tested[0].labels.tolist() == [seen.index(int(val.labels[index])) for index in kept]


def test_a_split_of_files_keeps_those_of_the_classes_numbered_anew() -> None:
    files = tuple(Path(f"{index}.png") for index in range(6))
    split = Split(torch.tensor([0, 1, 2, 2, 0, 3]), None, files, 8, short=9)
    kept = split.only([2, 0])
    assert kept.labels.tolist() == [1, 0, 0, 1]
    assert [file.name for file in kept.files] == ["0.png", "2.png", "3.png", "4.png"]
    assert kept.short == 9
