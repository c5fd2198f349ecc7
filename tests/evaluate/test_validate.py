"""The student's training: formulas against naive ones, a toy problem, and the whole path."""

import copy
import csv
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from toy import (
    CLASSES,
    TEACHER,
    VIEW,
    as_learned,
    command,
    freeze,
    image_set,
    info,
    whitening,
    write,
    write_learned,
)

from scdd.artifacts.classes import class_hash
from scdd.artifacts.dataset import load_info
from scdd.artifacts.labels import Origin, read_shard_header, save_shard
from scdd.artifacts.whitening import save_validation
from scdd.errors import ScddError
from scdd.evaluate import feeds, train, validate
from scdd.jobs.saved import JobState, Snapshot
from scdd.labels import relabel
from scdd.labels.labelling import Labelling
from scdd.networks.resnet import build
from scdd.params.protocol import Student
from scdd.params.views import Transform
from scdd.rng import generator
from scdd.views.dsa import draw_dsa, dsa
from scdd.views.mixing import draw_epoch
from scdd.views.pixels import normalise
from scdd.views.zca import fit

CPU = torch.device("cpu")
TRAINING = Student(
    batch=8,
    epochs=12,
    optimizer="adamw",
    lr=0.01,
    momentum=0.9,
    weight_decay=0.01,
    warmup_epochs=0,
    eta=1.0,
    precision="float32",
    seed=0,
)
NO_VIEW = {"view": {**VIEW, "crop": "none"}, "mix": "none", "alpha": 1.0}
PLAIN = Labelling(Transform.of(NO_VIEW), 0)


def training(**changes: Any) -> Student:
    return Student(**{**vars(TRAINING), **changes})


def test_learning_rate_follows_the_cosine() -> None:
    rates = [train.learning_rate(training(epochs=10, lr=2.0), e) for e in range(10)]
    assert rates == pytest.approx([1 + math.cos(math.pi * e / 10) for e in range(10)])
    slow = training(epochs=200, lr=1.0, eta=2.0)
    assert train.learning_rate(slow, 100) == pytest.approx(0.5 * (1 + math.cos(math.pi / 4)))


def test_the_learning_rate_falls_steeply_in_the_end_as_edcs_does() -> None:
    """Its code: the cosine up to 5/6 of the epochs, then its value there times what is left."""
    recipe = training(epochs=60, lr=1.0, eta=2.0, steep_from=5 / 6)
    there = 0.5 * (1 + math.cos(math.pi * 5 / (6 * 2)))
    for epoch in range(60):
        expected = 0.5 * (1 + math.cos(math.pi * epoch / (2 * 60)))
        if epoch > 50:
            expected = there * (6 * 60 - 6 * epoch) / (6 * 60)
        assert train.learning_rate(recipe, epoch) == pytest.approx(expected)


def test_milestones_divide_the_learning_rate_by_ten() -> None:
    recipe = training(epochs=10, lr=1.0, milestones=(0.5, 0.8))
    rates = [train.learning_rate(recipe, epoch) for epoch in range(10)]
    assert rates == pytest.approx([1.0] * 5 + [0.1] * 3 + [0.01] * 2)


@pytest.mark.parametrize("last", [1, 2, 300, 301, 600, 999, 1000])
def test_a_renewal_is_dcs(last: int) -> None:
    """Its code: `for ep in range(E + 1)`, and after epoch E // 2 + 1 a new SGD at a tenth of lr."""
    recipe = training(epochs=last + 1, lr=1.0, milestones=(0.5,), at_milestones="renew")
    rate, renewed = 1.0, False
    for epoch in range(last + 1):
        assert train.learning_rate(recipe, epoch) == pytest.approx(rate)
        assert train.renews(recipe, epoch) == renewed
        renewed = epoch == last // 2 + 1
        rate = 0.1 if renewed else rate


def test_vectors_are_spared_the_decay_where_it_is_asked() -> None:
    """With a gradient of 0, SGD's step is the decay alone."""
    network = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 3))
    recipe = training(optimizer="sgd", lr=0.5, weight_decay=0.1, decay_vectors=False)
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    groups = train.parameter_groups(network, recipe)
    optimizer = torch.optim.SGD(groups, recipe.lr, weight_decay=recipe.weight_decay)
    for weight in network.parameters():
        weight.grad = torch.zeros_like(weight)
    optimizer.step()
    for name, weight in network.named_parameters():
        decayed = name in ("0.weight", "3.weight")
        torch.testing.assert_close(weight.detach(), before[name] * (0.95 if decayed else 1.0))
    (whole,) = train.parameter_groups(network, TRAINING)
    assert len(whole["params"]) == 6


def test_warm_up_rises_linearly_to_the_peak() -> None:
    rates = [train.learning_rate(training(lr=1.0, warmup_epochs=4), e) for e in range(12)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[5:] == pytest.approx([0.5 * (1 + math.cos(math.pi * e / 8)) for e in range(1, 8)])


@pytest.mark.parametrize("epochs", [1, 7, 20, 300, 333])
def test_some_twenty_even_epochs_are_evaluated_and_the_last(epochs: int) -> None:
    watched = sorted(train.evaluation_epochs(epochs))
    assert watched[-1] == epochs - 1
    assert len(watched) == min(epochs, 20)
    gaps = {b - a for a, b in zip([-1, *watched], watched, strict=False)}
    assert max(gaps) - min(gaps) <= 1


class Fixed(nn.Module):
    """Gives the rows of a table of logits, whatever it sees."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits, self.seen = logits, 0

    def forward(self, x: Tensor) -> Tensor:
        assert not self.training
        self.seen += len(x)
        return self.logits[self.seen - len(x) : self.seen]


def test_accuracy_counts_every_image_once() -> None:
    split = image_set(700, 8)  # more than one batch
    logits = torch.rand(700, 6, generator=torch.Generator().manual_seed(0))
    six = info(8).__class__(**{**vars(info(8)), "classes": tuple("abcdef")})
    top1, top5 = train.accuracy(Fixed(logits), split, six, CPU)
    ranks = (logits.argsort(1, descending=True) == split.labels[:, None]).float().argmax(1)
    assert top1 == pytest.approx(100 * (ranks == 0).float().mean().item())
    assert top5 == pytest.approx(100 * (ranks < 5).float().mean().item())
    assert train.accuracy(Fixed(logits[:, :3]), split, info(8), CPU)[1] is None


def test_hard_targets_share_the_classes_of_image_and_partner() -> None:
    split = image_set(7, 8)
    transform = Transform(Transform.of(NO_VIEW).view, "mixup", 1.0)
    feed = feeds.hard_feed(split, Labelling(transform, 0), training(batch=4), info(8), CPU)
    targets = torch.cat([target for _, target in feed(3, 0)])
    draws = draw_epoch(transform, 7, 8, seed=0, epoch=3)
    order = torch.randperm(7, generator=generator(0, "order", 3))
    for row, i in enumerate(order.tolist()):
        expected = [0.0, 0.0, 0.0]
        lam, partner = draws.lam[i].item(), int(draws.partner[i])
        expected[i % 3] += lam
        expected[partner % 3] += 1 - lam
        assert targets[row].tolist() == pytest.approx(expected)


def test_learned_labels_take_the_place_of_classes_and_are_mixed_alike() -> None:
    learned = torch.rand(7, 3, generator=generator("labels")).softmax(1)
    split = replace(image_set(7, 8), learned=learned)
    transform = Transform(Transform.of(NO_VIEW).view, "mixup", 1.0)
    feed = feeds.hard_feed(split, Labelling(transform, 0), training(batch=4), info(8), CPU)
    targets = torch.cat([target for _, target in feed(3, 0)])
    draws = draw_epoch(transform, 7, 8, seed=0, epoch=3)
    order = torch.randperm(7, generator=generator(0, "order", 3))
    lam, other = draws.lam[order, None], learned[draws.partner[order].long()]
    torch.testing.assert_close(targets, lam * learned[order] + (1 - lam) * other)


def test_hard_labels_mixed_by_batch_have_partners_and_one_share_in_each_batch() -> None:
    transform = Transform(Transform.of(NO_VIEW).view, "mixup", 1.0)
    labelling = Labelling(transform, 0, "batch", 4)
    one_hot = torch.eye(11)
    info_11 = replace(info(8), classes=tuple("abcdefghijk"))
    split = replace(image_set(11, 8), labels=torch.arange(11))  # a class of its own for each image
    feed = feeds.hard_feed(split, labelling, training(batch=4), info_11, CPU)
    order = labelling.order(11, 3)
    assert order is not None
    for batch, (_, targets) in zip(order.split(4), feed(3, 0), strict=True):
        others = [i for i in range(11) if i not in batch]
        assert targets[:, others].sum() == 0
        own = (targets * one_hot[batch]).sum(1)
        share = own.min()  # an image may be its own partner
        assert all(abs(x - share) < 1e-6 or abs(x - 1) < 1e-6 for x in own.tolist())


def test_dsa_follows_the_views_and_is_the_batchs_own() -> None:
    recipe, split = training(batch=4), image_set(11, 8)
    plain = list(feeds.hard_feed(split, PLAIN, recipe, info(8), CPU)(2, 0))
    feed = feeds.hard_feed(split, PLAIN, recipe, info(8), CPU, siamese=True)
    made = list(feed(2, 0))
    for number, ((inputs, targets), (seen, same)) in enumerate(zip(made, plain, strict=True)):
        drawn = draw_dsa(len(seen), generator(0, "dsa", 2, number))
        assert torch.equal(inputs, dsa(seen, *drawn))
        assert torch.equal(targets, same)
    assert torch.equal(next(feed(2, 1))[0], made[1][0])


@pytest.mark.parametrize(("optimizer", "lr"), [("adamw", 0.01), ("sgd", 0.1)])
def test_hard_labels_learn_the_toy_problem(optimizer: str, lr: float) -> None:
    split, test = image_set(30, 8), image_set(60, 8, seed=1)
    network = build(TEACHER, 3, generator(0))
    recipe = training(optimizer=optimizer, lr=lr)
    feed = feeds.hard_feed(split, PLAIN, recipe, info(8), CPU)
    history = train.fit(
        network,
        feed,
        nn.functional.cross_entropy,
        recipe,
        lambda: train.accuracy(network, test, info(8), CPU),
        30,
        CPU,
    )
    assert history[-1].loss < 0.5 * history[0].loss
    assert history[-1].top1 is not None
    assert history[-1].top1 > 90


def test_a_compiled_student_is_the_same_but_for_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a backend that needs no C++ compiler; also the last batch, which is shorter."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    recipe = training(epochs=2)
    losses = []
    for compiled in ("none", "full"):
        feed = feeds.hard_feed(image_set(20, 8), PLAIN, recipe, info(8), CPU)
        history = train.fit(
            build(TEACHER, 3, generator(0)),
            feed,
            nn.functional.cross_entropy,
            recipe,
            lambda: (0.0, None),
            20,
            CPU,
            compiled=compiled,
        )
        losses.append([row.loss for row in history])
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


def linear() -> nn.Linear:
    network = nn.Linear(4, 3, bias=False)
    nn.init.ones_(network.weight)
    return network


def renewing_run(saved: JobState | None = None, optimizer: Any = "sgd") -> Tensor:
    """The weights after three epochs of lr 0.1 and two of 0.01 by a renewed optimiser."""
    recipe = training(epochs=5, lr=0.1, milestones=(0.4,), at_milestones="renew", batch=10)
    recipe = replace(recipe, optimizer=optimizer)
    network, (x, y) = linear(), (FEATURES, LABELS)

    def feed(epoch: int, skip: int) -> Iterator[tuple[Tensor, Tensor]]:
        yield from list(zip(x.split(10), y.split(10), strict=True))[skip:]

    ce = nn.functional.cross_entropy
    train.fit(network, feed, ce, recipe, lambda: (0.0, None), 30, CPU, saved)
    return network.weight.detach()


FEATURES = torch.randn(30, 4, generator=generator("features"))
LABELS = torch.nn.functional.one_hot(torch.arange(30) % 3, 3).float()


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_a_renewed_optimiser_is_a_new_one(kind: str) -> None:
    network, optimizer = linear(), None
    for epoch in range(5):
        if epoch in {0, 3}:
            recipe = training(optimizer=kind, lr=0.01 if epoch else 0.1)
            optimizer = train.optimizer_of(network, recipe)
        assert optimizer is not None
        for x, y in zip(FEATURES.split(10), LABELS.split(10), strict=True):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(x), y).backward()
            optimizer.step()
    assert torch.equal(renewing_run(optimizer=kind), network.weight.detach())


class Interrupted(Exception):
    pass


class OneState(JobState):
    """Keeps the state after step `at`, and ends the run there; or resumes from `content`."""

    def __init__(self, at: int = 0, content: dict[str, Any] | None = None) -> None:
        self.at, self.content = at, content

    def offer(self, step: int, snapshot: Callable[[], Snapshot]) -> None:
        if step == self.at:
            self.content = copy.deepcopy(snapshot().content)
            raise Interrupted


@pytest.mark.parametrize("at", [8, 9, 10, 12])
def test_a_run_resumes_around_a_renewal_bit_for_bit(at: int) -> None:
    """The renewal is before step 9, the first one of epoch 3."""
    whole = renewing_run()
    first = OneState(at)
    with pytest.raises(Interrupted):
        renewing_run(first)
    assert torch.equal(renewing_run(OneState(content=first.content)), whole)


def test_a_batch_beyond_the_set_takes_the_whole_set_as_one() -> None:
    recipe = training(batch=100)
    feed = feeds.hard_feed(image_set(30, 8), PLAIN, recipe, info(8), CPU)
    assert [len(inputs) for inputs, _ in feed(0, 0)] == [30]


def test_a_loss_that_is_not_finite_stops_naming_the_epoch() -> None:
    def feed(epoch: int, skip: int) -> Iterator[tuple[Tensor, Tensor]]:
        value = math.nan if epoch == 2 else 0.0
        yield torch.full((2, 3), value), torch.eye(3)[:2]

    network = nn.Linear(3, 3)
    with pytest.raises(ScddError, match=r"nan in epoch 2 .*lr"):
        train.fit(network, feed, nn.functional.cross_entropy, TRAINING, lambda: (0.0, None), 2, CPU)


PARAMS = {**vars(TRAINING), "epochs": 6, "temperature": 4.0, "student": vars(TEACHER)}


def run(folder: Path, name: str, params: dict[str, Any], **options: object) -> int:
    freeze(folder / "validate.json", "validate", params, labels="relabel")
    out = {"out": folder / name / "metrics.json", "history": folder / name / "history.csv"}
    return validate.main(command(folder, "validate", root=folder, **out, **options))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A set of three images a class with soft labels for 6 epochs."""
    write(tmp_path, ipc=3)
    store = {"view": VIEW, "mix": "mixup", "alpha": 0.8, "seed": 0, "form": "float16"}
    params = {**store, "epochs_per_shard": 3}
    freeze(tmp_path / "relabel.json", "relabel", params, images="s1", teacher="t1")
    for epochs in ("0:3", "3:6"):
        first, stop = map(int, epochs.split(":"))
        options = {
            "images": tmp_path / "images" / "set.json",
            "teacher": tmp_path / "probe.safetensors",
            "epochs": epochs,
            "out": tmp_path / "labels" / f"epochs_{first:04d}-{stop - 1:04d}.safetensors",
        }
        assert relabel.main(command(tmp_path, "relabel", **options)) == 0
    return tmp_path


def test_the_whole_path_with_soft_labels_repeats_bit_for_bit(folder: Path) -> None:
    inputs = {"images": folder / "images" / "set.json", "labels": folder / "labels"}
    for name in ("one", "two"):
        assert run(folder, name, {**PARAMS, "labels": "soft"}, **inputs) == 0
    for file in ("metrics.json", "history.csv"):
        assert (folder / "one" / file).read_bytes() == (folder / "two" / file).read_bytes()
    metrics = json.loads((folder / "one" / "metrics.json").read_text())
    content = json.loads((folder / "images" / "set.json").read_text())["content"]
    assert metrics["images"] == content
    assert (metrics["epochs"], metrics["train_images"], metrics["seed"]) == (6, 9, 0)
    assert metrics["digest"] == "validate"
    rows = list(csv.DictReader((folder / "one" / "history.csv").open()))
    assert [int(row["epoch"]) for row in rows] == list(range(6))
    assert float(rows[-1]["top1"]) == metrics["top1"]
    assert metrics["top5"] is None


def test_a_student_of_mse_and_ce_is_evaluated_by_its_average(folder: Path) -> None:
    inputs = {"images": folder / "images" / "set.json", "labels": folder / "labels"}
    edc = {**PARAMS, "labels": "soft", "loss": "mse-ce", "ce_weight": 0.025, "decay_vectors": False}
    del edc["temperature"]
    for name, ema in (("own", 0.0), ("still", 0.999999)):
        assert run(folder, name, {**edc, "ema": ema}, **inputs) == 0
    rows = {n: list(csv.DictReader((folder / n / "history.csv").open())) for n in ("own", "still")}
    # the weights of both are the same; an average that hardly moves stays the first student
    losses = {name: [row["loss"] for row in rows[name]] for name in rows}
    assert losses["own"] == losses["still"]
    assert float(losses["own"][-1]) < float(losses["own"][0])
    assert [row["top1"] for row in rows["own"]] != [row["top1"] for row in rows["still"]]


def test_another_seed_gives_another_student(folder: Path) -> None:
    inputs = {"images": folder / "images" / "set.json", "labels": folder / "labels"}
    for seed in (0, 1):
        assert run(folder, f"{seed}", {**PARAMS, "labels": "soft", "seed": seed}, **inputs) == 0
    texts = [(folder / f"{seed}" / "history.csv").read_text() for seed in (0, 1)]
    assert texts[0] != texts[1]


@pytest.mark.parametrize("arch", ["convnet3", "mobilenet_v2"])
def test_a_student_of_another_kind_repeats_bit_for_bit(folder: Path, arch: str) -> None:
    """MobileNetV2 has dropout, which draws from torch's own numbers."""
    inputs = {"images": folder / "images" / "set.json", "labels": folder / "labels"}
    student = {"arch": arch, "width": 1.0, "stem": "imagenet"}
    for seed in (1, 2):
        torch.manual_seed(seed)
        params = {**PARAMS, "labels": "soft", "epochs": 2, "student": student}
        assert run(folder, f"{seed}", params, **inputs) == 0
    assert len({(folder / f"{seed}" / "history.csv").read_bytes() for seed in (1, 2)}) == 1


def test_the_whole_training_set_is_used_without_images(folder: Path) -> None:
    assert run(folder, "whole", {**PARAMS, **NO_VIEW, "labels": "hard"}) == 0
    metrics = json.loads((folder / "whole" / "metrics.json").read_text())
    assert (metrics["train_images"], metrics["images"]) == (60, None)
    assert metrics["top1"] > 90


def test_more_epochs_than_labels_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs = {"images": folder / "images" / "set.json", "labels": folder / "labels"}
    assert run(folder, "more", {**PARAMS, "labels": "soft", "epochs": 7}, **inputs) == 1
    assert "no soft labels for epoch 6, but 7 epochs" in capsys.readouterr().err
    assert not (folder / "more").exists()


def test_labels_of_another_image_set_are_refused_naming_both(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = json.loads((folder / "images" / "set.json").read_text())["content"]
    write(folder, ipc=2)
    new = json.loads((folder / "images" / "set.json").read_text())["content"]
    inputs = {"images": folder / "images" / "set.json", "labels": folder / "labels"}
    assert run(folder, "other", {**PARAMS, "labels": "soft"}, **inputs) == 1
    error = capsys.readouterr().err
    assert old in error
    assert new in error


def test_labels_of_another_class_order_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Images and dataset agree, the labels' header alone differs."""
    for path in (folder / "labels").iterdir():
        held = load_file(path)
        header = read_shard_header(path)
        told = {f.name: header[f.name] for f in fields(Origin)}
        other = Origin(**{**told, "classes": ("b", "a", "c")})
        save_shard(path, held, other, tuple(header["epochs"]), {})
    inputs = {"images": folder / "images" / "set.json", "labels": folder / "labels"}
    assert run(folder, "other", {**PARAMS, "labels": "soft"}, **inputs) == 1
    error = capsys.readouterr().err
    assert "class order differs" in error
    assert class_hash(("b", "a", "c")) in error
    assert class_hash(CLASSES) in error


def test_fewer_labelled_epochs_serve_a_longer_training(folder: Path) -> None:
    inputs = {"images": folder / "images" / "set.json", "labels": folder / "labels"}
    params = {**PARAMS, "labels": "soft", "epochs": 8, "label_epochs": 3}
    assert run(folder, "reused", params, **inputs) == 0
    metrics = json.loads((folder / "reused" / "metrics.json").read_text())
    assert metrics["epochs"] == 8


def test_labels_by_batch_refuse_students_of_another_batch(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    params = {"view": VIEW, "mix": "mixup", "alpha": 0.8, "seed": 0, "form": "int8"}
    params |= {"epochs_per_shard": 6, "mix_by": "batch", "teacher_bn": "batch", "batch": 8}
    freeze(folder / "relabel.json", "relabel", params, images="s1", teacher="t1")
    options = {
        "images": folder / "images" / "set.json",
        "teacher": folder / "probe.safetensors",
        "epochs": "0:6",
        "out": folder / "tied" / "epochs_0000-0005.safetensors",
    }
    assert relabel.main(command(folder, "relabel", **options)) == 0
    inputs = {"images": folder / "images" / "set.json", "labels": folder / "tied"}
    assert run(folder, "same", {**PARAMS, "labels": "soft"}, **inputs) == 0
    assert run(folder, "other", {**PARAMS, "labels": "soft", "batch": 4}, **inputs) == 1
    assert "batches of 8 images, but the student's have 4" in capsys.readouterr().err


# ---- learned images ----------------------------------------------------------------------------


def history(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "history.csv").open()))


@pytest.mark.parametrize(("learned_lr", "rate"), [(True, 0.03), (False, 0.01)])
def test_the_learned_learning_rate_is_used_where_a_protocol_says_so(
    tmp_path: Path, learned_lr: bool, rate: float
) -> None:
    write(tmp_path, ipc=2)
    write_learned(tmp_path, "normalised", "normalised", ipc=3)
    params = {**PARAMS, **NO_VIEW, "labels": "hard", "learned_lr": learned_lr, "epochs": 1}
    params |= {"optimizer": "sgd"}
    assert run(tmp_path, "a", params, images=tmp_path / "learned" / "set.json") == 0
    assert [float(row["lr"]) for row in history(tmp_path / "a")] == [rate]


def test_a_set_without_a_learned_learning_rate_has_the_protocols(tmp_path: Path) -> None:
    write(tmp_path, ipc=2)
    params = {**PARAMS, **NO_VIEW, "labels": "hard", "learned_lr": True, "epochs": 1}
    assert run(tmp_path, "a", params, images=tmp_path / "images" / "set.json") == 0
    assert [float(row["lr"]) for row in history(tmp_path / "a")] == [TRAINING.lr]


def test_students_of_whitened_images_train_and_are_tested_in_their_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, ipc=2)
    write_learned(tmp_path, "zca", "zca")
    trained: list[Tensor] = []
    tested: list[Tensor] = []

    def hard_feed(*args: Any) -> Any:
        trained.extend(inputs for inputs, _ in feeds.hard_feed(*args)(0, 0))
        return feeds.hard_feed(*args)

    def accuracy(network: Any, split: Any, scale: Any, device: Any) -> Any:
        tested.append(normalise(split.images(torch.arange(31)), scale))
        return train.accuracy(network, split, scale, device)

    monkeypatch.setattr(validate, "hard_feed", hard_feed)
    monkeypatch.setattr(validate, "accuracy", accuracy)
    params = {**PARAMS, **NO_VIEW, "labels": "hard", "epochs": 2}
    assert run(tmp_path, "a", params, images=tmp_path / "learned" / "set.json") == 0
    order = torch.randperm(30, generator=generator(0, "order", 0))
    learned = as_learned("zca").flatten(0, 1)[order]
    torch.testing.assert_close(torch.cat(trained), learned, atol=1e-5, rtol=0)
    val = whitening().whiten(image_set(31, 8, seed=1).images(torch.arange(31)))
    assert torch.equal(tested[-1], val)


def test_validation_images_of_another_whitening_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, ipc=2)
    write_learned(tmp_path, "zca", "zca")
    dataset, val = load_info(tmp_path / "data" / "dataset.json"), image_set(31, 8, seed=1)
    other = fit([val.images(torch.arange(31))], 0.1).to(torch.float32)
    images = other.whiten(val.images(torch.arange(31)))
    save_validation(tmp_path / "whiten" / "val.safetensors", images, val.labels, other, dataset)
    params = {**PARAMS, **NO_VIEW, "labels": "hard"}
    assert run(tmp_path, "a", params, images=tmp_path / "learned" / "set.json") == 1
    assert "val.safetensors is in the space of another whitening" in capsys.readouterr().err


def test_teachers_refuse_whitened_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, ipc=2)
    write_learned(tmp_path, "zca", "zca")
    store = {"view": VIEW, "mix": "mixup", "alpha": 0.8, "seed": 0, "form": "float16"}
    freeze(tmp_path / "relabel.json", "relabel", store, images="s2", teacher="t1")
    options = {"teacher": tmp_path / "probe.safetensors", "epochs": "0:1", "out": tmp_path / "x"}
    options["images"] = tmp_path / "learned" / "set.json"
    assert relabel.main(command(tmp_path, "relabel", **options)) == 1
    assert "set.json: its students train on whitened images (ZCA)" in capsys.readouterr().err
