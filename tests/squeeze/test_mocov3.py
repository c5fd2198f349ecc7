"""MoCo v3 against naive float64 arithmetic."""

from typing import Any

import naive
import pytest
import torch
from torch import Tensor

from scdd.networks.resnet import build
from scdd.params.squeeze import MoCoV3
from scdd.rng import generator
from scdd.squeeze import engine
from scdd.squeeze.methods import mocov3

PARAMS: dict[str, Any] = {
    "target_momentum": 0.9,
    "temperature": 0.3,
    "hidden": 32,
    "dim": 6,
    "bn_groups": 1,
}


def make(**changes: Any) -> mocov3.MoCoV3:
    draw = generator(0)
    return mocov3.make(MoCoV3.of({**PARAMS, **changes}), build(naive.ARCHITECTURE, 2, draw), draw)


def project(method: mocov3.MoCoV3, encoder: str, images: Tensor) -> Tensor:
    inner = getattr(method, encoder)
    first, norm, _, second, last = inner.head
    hidden = naive.batch_norm(naive.linear(naive.features(inner.network, images), first), norm)
    return naive.batch_norm(naive.linear(hidden.clamp(min=0), second), last)


def predict(method: mocov3.MoCoV3, projected: Tensor) -> Tensor:
    first, norm, _, second = method.predictor
    hidden = naive.batch_norm(naive.linear(projected, first), norm).clamp(min=0)
    return naive.linear(hidden, second)


@pytest.mark.parametrize("groups", [1, 2])
def test_loss_and_momentum_equal_a_naive_loop(groups: int) -> None:
    """Over three steps of four, each BN group by itself."""
    method = make(bn_groups=groups)
    optimizer = torch.optim.SGD([w for w in method.parameters() if w.requires_grad], lr=0.05)
    momentum = {name: w.detach().double() for name, w in method.key.named_parameters()}
    for step in range(3):
        views = list(torch.randn(2, 8, 3, 8, 8, generator=generator("views", step)))
        queries = torch.zeros(2, 8, 6, dtype=torch.float64)
        keys = queries.clone()
        for view, images in enumerate(views):
            for group in range(groups):
                own = images[group::groups]
                with torch.no_grad():
                    projected = project(method, "query", own)
                    queries[view, group::groups] = predict(method, projected)
                    keys[view, group::groups] = project(method, "key", own)
        expected = 0.0
        for one, other in ((0, 1), (1, 0)):
            similar = naive.unit(queries[one]) @ naive.unit(keys[other]).T
            pairs = naive.one_hot(list(range(8)), 8)
            expected += 2 * 0.3 * naive.cross_entropy(pairs, similar / 0.3)
        now = engine.Now(step, 2, 2)
        loss = method.loss(views, torch.zeros(8), now)
        assert loss.item() == pytest.approx(expected, rel=1e-5)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        method.after_step(now)
        # the next step's momentum: of 1/4, 1/2 and 3/4 of the training
        m = naive.cosine(0.9, 1.0, (step + 1) / 4)
        for name, weight in method.query.named_parameters():
            momentum[name] = m * momentum[name] + (1 - m) * weight.detach().double()
            found = method.key.get_parameter(name).double()
            torch.testing.assert_close(found, momentum[name], atol=1e-6, rtol=1e-5)


def test_the_last_step_leaves_the_key_encoder_alone() -> None:
    method = make()
    with torch.no_grad():
        for weight in method.query.parameters():
            weight.add_(1)
    before = [weight.clone() for weight in method.key.parameters()]
    method.after_step(engine.Now(3, 2, 2))
    assert all(map(torch.equal, before, method.key.parameters()))
