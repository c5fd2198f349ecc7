"""Forgetting events: counted by hand, in training, and from the program to the order's file."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from toy import TEACHER, VIEW, command, freeze, image_set, info, write

from scdd.artifacts import tensors
from scdd.artifacts.order import load_order
from scdd.errors import ScddError
from scdd.networks.resnet import build
from scdd.params.select import Forgetting
from scdd.params.views import View
from scdd.rng import generator
from scdd.select import forgetting
from scdd.select.forgetting import Memory, ranks, train

CPU = torch.device("cpu")
RECIPE = Forgetting(
    view=View("padded", 1, (1.0, 1.0), True),
    epochs=3,
    batch=8,
    milestones=(0.5,),
)


@pytest.mark.parametrize(
    ("presentations", "count"),
    [
        ("11111", 0),  # learnt at once and kept
        ("00001", 0),
        ("01010", 2),
        ("10101", 2),
        ("11100", 1),  # wrong twice, forgotten once
        ("00000", 5),  # never learnt: all presentations
    ],
)
def test_an_event_is_a_change_from_right_to_wrong(presentations: str, count: int) -> None:
    memory = Memory(3, CPU)
    for right in presentations:
        # the others are right throughout, in a batch of their own and in one with it
        memory.present(torch.tensor([2, 1]), torch.tensor([True, right == "1"]))
        memory.present(torch.tensor([0]), torch.tensor([True]))
    assert memory.counts(len(presentations)).tolist() == [0, count, 0]


class Scripted(nn.Module):
    """Answers by a script, whatever it sees: 17 images, of batches in order."""

    def __init__(self, script: list[Tensor]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.script = iter(script)

    def forward(self, x: Tensor) -> Tensor:
        answers = nn.functional.one_hot(next(self.script), 3).float()
        assert len(answers) == len(x)
        return answers + self.weight


def test_predictions_of_the_training_batches_are_counted_for_the_right_images() -> None:
    split, draw = image_set(17, 8), torch.Generator().manual_seed(3)
    right = torch.rand(RECIPE.epochs, 17, generator=draw) < 0.6
    script = []
    for epoch in range(RECIPE.epochs):
        order = torch.randperm(17, generator=generator(RECIPE.seed, "order", epoch))
        answers = (split.labels + ~right[epoch]) % 3
        script += [answers[order[:8]], answers[order[8:]]]  # the last image joins a batch
    found = train(Scripted(script), split, info(8), RECIPE, CPU)  # type: ignore[arg-type]
    for image, count in enumerate(found.tolist()):
        seen = right[:, image].tolist()
        events = sum(before and not now for before, now in pairwise(seen))
        assert count == (events if any(seen) else RECIPE.epochs)


def test_training_is_plain_sgd_with_steps() -> None:
    """One batch an epoch, no crop: the same steps by torch's own scheduler."""
    recipe = replace(RECIPE, batch=6, view=View("none", 0, (1.0, 1.0), False), milestones=(0.4,))
    split, seen = image_set(6, 8), info(8)
    network, other = (build(TEACHER, 3, generator(0)) for _ in range(2))
    train(network, split, seen, recipe, CPU)

    assert split.pixels is not None
    mean, std = torch.tensor([seen.mean, seen.std])[:, :, None, None]
    images = (split.pixels / 255 - mean) / std
    optimizer = torch.optim.SGD(other.parameters(), 0.1, 0.9, weight_decay=5e-4, nesterov=True)
    steps = torch.optim.lr_scheduler.MultiStepLR(optimizer, [2], 0.2)
    for _ in range(3):
        loss = nn.functional.cross_entropy(other(images), split.labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        steps.step()
    for one, two in zip(network.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.allclose(one.float(), two.float(), atol=1e-5)


def test_a_loss_that_is_not_finite_stops_naming_the_key() -> None:
    network = build(TEACHER, 3, generator(0))
    nn.init.constant_(network.fc.bias, torch.inf)
    with pytest.raises(ScddError, match=r"not finite in epoch 1 of 3: lower forgetting.lr \(0.1\)"):
        train(network, image_set(17, 8), info(8), RECIPE, CPU)


COUNTS = torch.tensor([0, 4, 2, 0, 9, 2, 0, 0, 1, 0])
LABELS = torch.tensor([0, 0, 0, 0, 0, 1, 1, 1, 1, 1])


def test_the_most_forgotten_come_first_in_each_class() -> None:
    found = ranks(COUNTS, LABELS, ("x", "y"), 0)
    for label in (0, 1):
        rank, counts = found[label == LABELS], COUNTS[label == LABELS]
        assert sorted(rank.tolist()) == list(range(5))
        assert counts[rank.argsort()].tolist() == sorted(counts.tolist(), reverse=True)


def test_ties_are_broken_by_the_seed() -> None:
    zeros = torch.zeros(100, dtype=torch.int64)
    drawn = [ranks(zeros, zeros, ("x",), seed).tolist() for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert drawn[0] != list(range(100))


def test_the_program_writes_an_order_and_what_it_comes_from(tmp_path: Path) -> None:
    write(tmp_path, ipc=2)
    params = {
        **{key: value for key, value in vars(RECIPE).items() if key != "view"},
        "view": VIEW,
        "arch": TEACHER.arch,
        "width": TEACHER.width,
        "stem": TEACHER.stem,
    }
    freeze(tmp_path / "forgetting.json", "forgetting", params, data="d")
    written = []
    for name in ("one", "two"):
        out = tmp_path / name
        assert forgetting.main(command(tmp_path, "forgetting", root=tmp_path, out=out)) == 0
        written.append(out.read_bytes())
    assert written[0] == written[1]
    counts = tensors.load(tmp_path / "one")[0]["counts"]
    labels = image_set(60, 8).labels
    orders = load_order(
        tmp_path / "one",
        digest="forgetting",
        labels=labels,
        classes=info(8).classes,
        classes_of=tmp_path / "data" / "dataset.json",
    )
    for label, order in enumerate(orders):
        assert sorted(order.tolist()) == (labels == label).nonzero().flatten().tolist()
        assert counts[order].tolist() == sorted(counts[labels == label].tolist(), reverse=True)
