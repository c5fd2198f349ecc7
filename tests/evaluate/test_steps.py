"""What a step does with its batch: passes of their own, BatchNorm's statistics, learning rates."""

import copy
from collections.abc import Iterator
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from test_validate import training
from torch import Tensor, nn
from toy import TEACHER

from scdd.evaluate import train
from scdd.evaluate.losses import Soft, mse_ce_loss
from scdd.networks.resnet import build
from scdd.params.protocol import Student
from scdd.rng import generator

CPU = torch.device("cpu")
DRAW = generator("steps")
IMAGES, LOGITS = torch.randn(22, 3, 8, 8, generator=DRAW), torch.randn(22, 3, generator=DRAW)
TARGETS = Soft(LOGITS, torch.arange(22) % 3)
BATCHES = (slice(0, 8), slice(8, 16), slice(16, 22))  # the last one is shorter


def fitted(recipe: Student) -> nn.Module:
    """After one epoch in batches of 8, 8 and 6, by MSE and cross-entropy."""

    def feed(epoch: int, skip: int) -> Iterator[tuple[Tensor, Soft]]:
        yield from ((IMAGES[part], Soft(*(t[part] for t in TARGETS))) for part in BATCHES[skip:])

    network = build(TEACHER, 3, generator(0))
    criterion = partial(mse_ce_loss, ce_weight=0.5)
    train.fit(network, feed, criterion, recipe, lambda: (0.0, None), len(IMAGES), CPU)
    return network


def alike(network: nn.Module, other: nn.Module, rtol: float = 0.0) -> None:
    torch.testing.assert_close(network.state_dict(), other.state_dict(), rtol=rtol, atol=rtol / 10)


def loss_of(network: nn.Module, part: slice) -> Tensor:
    outputs = network(IMAGES[part])
    own, labels = LOGITS[part], TARGETS.labels[part]
    return ((outputs - own) ** 2).mean() + 0.5 * F.cross_entropy(outputs, labels)


def test_passes_are_the_authors_accumulation_of_gradients() -> None:
    """CV-DD's and FADRM's code: parts of batch / 2 images, loss / 2 each, also of a last batch."""
    recipe = training(batch=8, passes=2, epochs=1)
    network = build(TEACHER, 3, generator(0))
    optimizer = train.optimizer_of(network, recipe)
    for batch in BATCHES:
        optimizer.zero_grad()
        for start in range(batch.start, batch.stop, 4):
            (loss_of(network, slice(start, min(start + 4, batch.stop))) / 2).backward()
        optimizer.step()
    alike(fitted(recipe), network)


def test_a_single_image_joins_the_pass_before() -> None:
    recipe, inputs = training(batch=8, passes=2), IMAGES[:9]
    goal = Soft(LOGITS[:9], TARGETS.labels[:9])
    assert [
        len(part) for part, _ in train.shares(inputs[:5], Soft(*(t[:5] for t in goal)), recipe)
    ] == [5]
    parts = list(train.shares(inputs, goal, recipe))
    assert [len(part) for part, _ in parts] == [4, 5]
    assert all(len(part) == len(each) for part, own in parts for each in own)
    assert torch.equal(torch.cat([own.labels for _, own in parts]), goal.labels)


def test_updates_are_passes_without_gradients_of_the_same_batch() -> None:
    """RDED's code: `model(images)` under no_grad before the pass that is trained on."""
    recipe = training(batch=8, bn_updates=2, epochs=1)
    network = build(TEACHER, 3, generator(0))
    optimizer = train.optimizer_of(network, recipe)
    for batch in BATCHES:
        with torch.no_grad():
            network(IMAGES[batch])
        optimizer.zero_grad()
        loss_of(network, batch).backward()
        optimizer.step()
    found, once = fitted(recipe), fitted(training(batch=8, epochs=1))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.num_batches_tracked is not None:
            module.num_batches_tracked.fill_(3)
    alike(found, network, rtol=1e-5)
    assert not torch.equal(found.bn1.running_mean, once.bn1.running_mean)  # type: ignore[arg-type, union-attr]


def test_one_update_leaves_a_networks_own_momentum() -> None:
    network = nn.Sequential(nn.BatchNorm2d(3, momentum=0.3), nn.BatchNorm2d(3, momentum=None))
    before = copy.deepcopy(network)
    train.update_often(network, 1)
    assert [m.momentum for m in network] == [m.momentum for m in before]  # type: ignore[union-attr]
    train.update_often(network, 3)
    assert [m.momentum for m in network] == [pytest.approx(1 - 0.7**3), None]  # type: ignore[union-attr]


def test_milestones_may_halve_the_learning_rate_as_edcs_on_cifar_10() -> None:
    """Its code: MultiStepLR(optimizer, [800, 900, 950], 0.5) over 1,000 epochs."""
    recipe = training(epochs=1000, lr=1.0, milestones=(0.8, 0.9, 0.95), milestone_factor=0.5)
    rates = [train.learning_rate(recipe, epoch) for epoch in (0, 799, 800, 899, 900, 949, 950, 999)]
    assert rates == pytest.approx([1.0, 1.0, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125])
