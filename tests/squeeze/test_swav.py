"""SwAV against naive float64 arithmetic."""

from typing import Any

import naive
import pytest
import torch
from torch import Tensor

from scdd.networks.resnet import build
from scdd.params.squeeze import SwAV
from scdd.rng import generator
from scdd.squeeze import engine
from scdd.squeeze.methods import swav

PARAMS: dict[str, Any] = {
    "batch": 8,
    "temperature": 0.2,
    "epsilon": 0.1,
    "iterations": 3,
    "freeze_steps": 1,
    "queue": 16,
    "queue_from": 0,
    "dim": 6,
    "hidden": 10,
    "prototypes": 5,
    "bn_groups": 1,
}


def make(**changes: Any) -> swav.SwAV:
    draw = generator(0)
    return swav.make(SwAV.of({**PARAMS, **changes}), build(naive.ARCHITECTURE, 2, draw), draw)


def views(step: int) -> list[Tensor]:
    """Two large ones and a small one."""
    draw = generator("views", step)
    return [torch.randn(8, 3, size, size, generator=draw) for size in (8, 8, 6)]


def embed(method: swav.SwAV, images: list[Tensor]) -> Tensor:
    """[3, 8, 6]: views of one size share their BatchNorm statistics, and all views the head's."""
    network = method.encoder.network
    seen = [naive.features(network, torch.cat(images[:2])), naive.features(network, images[2])]
    first, norm, _, second = method.encoder.head
    hidden = naive.batch_norm(naive.linear(torch.cat(seen), first), norm).clamp(min=0)
    return naive.unit(naive.linear(hidden, second)).view(3, 8, 6).detach()


@pytest.mark.parametrize("iterations", [1, 3])
def test_codes_equal_sinkhorns_algorithm(iterations: int) -> None:
    scores = torch.rand(7, 5, generator=generator(0)) * 2 - 1
    found = swav.codes(scores, 0.05, iterations)
    expected = naive.sinkhorn(scores, 0.05, iterations)
    torch.testing.assert_close(found.double(), expected, atol=1e-7, rtol=1e-5)


def test_many_iterations_give_every_prototype_its_share() -> None:
    found = swav.codes(torch.rand(20, 4, generator=generator(0)), 0.05, 200)
    torch.testing.assert_close(found.sum(1), torch.ones(20))
    torch.testing.assert_close(found.sum(0), torch.full((4,), 5.0))


def test_loss_and_queue_equal_a_naive_loop() -> None:
    """Over four steps: the queue of two batches is full, and used, from the third on."""
    method = make()
    optimizer = torch.optim.SGD(method.parameters(), lr=0.5)
    known: list[list[Tensor]] = [[], []]
    for step in range(4):
        images, now = views(step), engine.Now(step, 2, 2)
        with torch.no_grad():
            embedded = embed(method, images)
            prototypes = naive.unit(method.prototypes.weight.double())
        targets = []
        for place in range(2):
            joined = known[place][-16:] if len(known[place]) >= 16 else []
            rows = torch.stack([*embedded[place], *joined])
            targets.append(naive.sinkhorn(rows @ prototypes.T, 0.1, 3)[:8])
            known[place] += list(embedded[place])
        expected = naive.swapped(targets, [one @ prototypes.T / 0.2 for one in embedded])
        loss = method.loss(images, torch.zeros(8), now)
        assert loss.item() == pytest.approx(expected, rel=1e-5)
        optimizer.zero_grad()
        loss.backward()
        method.after_backward(now)
        assert (method.prototypes.weight.grad is None) == (step == 0)
        optimizer.step()
        method.after_step(now)
    for place in range(2):
        newest = torch.stack(known[place][-16:])  # the ring is full for the second time
        torch.testing.assert_close(method.queue[place].double(), newest, atol=1e-6, rtol=0)


def test_the_queue_waits_for_its_epoch() -> None:
    method = make(queue_from=1)
    for step in (1, 2):
        assert not method.queue.any()
        method.loss(views(0), torch.zeros(8), engine.Now(step, 2, 2))
        method.after_step(engine.Now(step, 2, 2))
    assert method.queue[:, :8].any()
    assert not method.queue[:, 8:].any()


def test_without_a_queue_the_batch_is_alone() -> None:
    method = make(queue=0)
    images = views(0)
    with torch.no_grad():
        embedded = embed(method, images)
    prototypes = naive.unit(method.prototypes.weight.detach().double())
    logits = [one @ prototypes.T for one in embedded]
    targets = [naive.sinkhorn(one, 0.1, 3) for one in logits[:2]]
    expected = naive.swapped(targets, [one / 0.2 for one in logits])
    loss = method.loss(images, torch.zeros(8), engine.Now(3, 2, 2))
    assert loss.item() == pytest.approx(expected, rel=1e-5)
