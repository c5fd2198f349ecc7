"""DM: against runs of its program, and against the plain formula."""

from dataclasses import replace

import pytest
import torch
from matching_runs import Golden, continued, set_weights, small_task

from scdd.learn.matching import draw_step
from scdd.learn.methods.dm import MeanMatching, make
from scdd.params.learn import Dm
from scdd.views.dsa import dsa

PARAMS = Dm(iterations=3, lr_images=1.0, batch=6)


def learner_of(golden: Golden, augmented: bool) -> MeanMatching:
    return MeanMatching(replace(PARAMS, lr_images=golden.rate, dsa=augmented), golden.task())


@pytest.mark.parametrize("name", ["dm", "dmaug"])
def test_five_steps_follow_the_program(name: str) -> None:
    golden = Golden(name, "f64")
    learner = learner_of(golden, name == "dmaug")
    for step in range(5):
        set_weights(learner, golden.weights(step))
        golden.step(learner, step)


@pytest.mark.parametrize("name", ["dm", "dmaug"])
def test_the_first_step_in_float32(name: str) -> None:
    golden = Golden(name, "f32")
    learner = learner_of(golden, name == "dmaug")
    set_weights(learner, golden.weights(0))
    golden.step(learner, 0)


@pytest.mark.parametrize("most", [1, 4, 100])
def test_a_step_equals_the_formula_in_passes_of_any_size(most: int) -> None:
    task = small_task(dtype=torch.float64)
    learner = MeanMatching(PARAMS, task)
    learner.most = most
    draws = draw_step(PARAMS, task, 0)
    assert draws.siamese is not None
    images, network = task.start.clone().requires_grad_(), learner.fresh.network
    loss = torch.zeros((), dtype=torch.float64)
    for label in range(3):
        strategy, chances = draws.siamese.strategies[label], draws.siamese.chances[label].double()
        means = [
            network.blocks(dsa(seen, strategy, chances.expand(len(seen), -1))).flatten(1).mean(0)
            for seen in (images[2 * label : 2 * label + 2], task.real[draws.rows[label]])
        ]
        loss = loss + ((means[0] - means[1].detach()) ** 2).sum()
    (expected,) = torch.autograd.grad(loss, images)

    assert learner.step(draws).item() == pytest.approx(loss.item(), rel=1e-12)
    assert learner.images.grad is not None
    assert (learner.images.grad - expected).abs().max() < 1e-10 * expected.abs().max()


def test_each_iteration_is_a_step_with_a_new_network() -> None:
    learner = MeanMatching(PARAMS, small_task())
    networks = []
    for iteration in range(3):
        assert learner.iteration == iteration
        learner.advance()
        networks.append(learner.weights[0].detach().clone())
    assert not torch.equal(networks[0], networks[1])
    assert not torch.equal(networks[1], networks[2])


def test_a_run_that_is_interrupted_goes_on_bit_for_bit() -> None:
    whole, begun = make(PARAMS, small_task()), make(PARAMS, small_task())
    whole.advance()
    begun.advance()
    later = continued(begun, make(PARAMS, small_task()))
    for _ in range(2):
        assert torch.equal(whole.advance(), later.advance())
    assert torch.equal(whole.images, later.images)
