"""DC and DSA: against runs of their program, and against naive gradients."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from matching_runs import Golden, chances_of, continued, flat_weights, set_weights, small_task
from torch import Tensor

from scdd.learn.gradients import DISTANCES, class_gradients, mean_gradient
from scdd.learn.matching import draw_step
from scdd.learn.methods.dc import GradientMatching, make
from scdd.learn.networks import Fresh
from scdd.learn.training import Epoch, draw_epochs
from scdd.params.learn import Dc
from scdd.rng import generator
from scdd.views.dsa import STRATEGIES, dsa

PARAMS = Dc(iterations=2, lr_images=0.1, outer=3, inner=2, batch=6)


def epoch_of(golden: Golden, name: str) -> Epoch:
    """An epoch of the network as the program made it: all images at once."""
    if f"{name}.op" not in golden.content:
        n = len(golden.content["images_before"])
        return Epoch(torch.arange(n), [], torch.zeros(n, 3))
    strategy = STRATEGIES[int(golden.content[f"{name}.op"])]
    chances = chances_of(strategy, golden.content[f"{name}.values"], golden.size)
    return Epoch(golden.content[f"{name}.order"], [strategy], chances.to(golden.dtype))


def learner_of(golden: Golden, augmented: bool) -> GradientMatching:
    params = replace(PARAMS, lr_images=golden.rate, dsa=augmented)
    return GradientMatching(params, golden.task())


@pytest.mark.parametrize("name", ["dc", "dsa"])
def test_three_networks_of_two_steps_follow_the_program(name: str) -> None:
    """Two epochs of the network are between the steps."""
    golden = Golden(name, "f64")
    learner = learner_of(golden, name == "dsa")
    for step in range(6):
        if step % 2 == 0:
            set_weights(learner, golden.weights(step))
        else:
            for number in range(2):
                learner.training.run(epoch_of(golden, f"s{step}.inner{number}"))
            off = (flat_weights(learner) - golden.weights(step)).abs().max()
            assert off / golden.weights(step).abs().max() < 1e-10
        golden.step(learner, step)


@pytest.mark.parametrize("name", ["dc", "dsa"])
def test_the_first_step_in_float32(name: str) -> None:
    golden = Golden(name, "f32")
    learner = learner_of(golden, name == "dsa")
    set_weights(learner, golden.weights(0))
    golden.step(learner, 0)


def naive_rows(learned: list[Tensor], real: list[Tensor]) -> Tensor:
    total = torch.zeros((), dtype=torch.float64)
    for a, b in zip(learned, real, strict=True):
        for x, y in zip(a, b, strict=True) if a.ndim > 1 else ():
            lengths = (x**2).sum().sqrt() * (y**2).sum().sqrt()
            total = total + 1 - (x * y).sum() / (lengths + 1e-6)
    return total


def naive_squares(learned: list[Tensor], real: list[Tensor]) -> Tensor:
    pairs = zip(learned, real, strict=True)
    return sum((((a - b) ** 2).sum() for a, b in pairs), start=torch.zeros(()))


def naive_angle(learned: list[Tensor], real: list[Tensor]) -> Tensor:
    a, b = (torch.cat([x.flatten() for x in side]) for side in (learned, real))
    return 1 - (a @ b) / ((a @ a).sqrt() * (b @ b).sqrt() + 1e-6)


@pytest.mark.parametrize(
    ("distance", "naive"), [("rows", naive_rows), ("mse", naive_squares), ("cosine", naive_angle)]
)
@pytest.mark.parametrize("ipc", [1, 3])
def test_a_step_equals_one_class_after_the_other(
    distance: str, naive: Callable[[list[Tensor], list[Tensor]], Tensor], ipc: int
) -> None:
    task = small_task(ipc, dtype=torch.float64)
    learner = GradientMatching(replace(PARAMS, distance=distance), task)  # type: ignore[arg-type]
    draws = draw_step(PARAMS, task, 0, 0)
    assert draws.siamese is not None
    images, network = task.start.clone().requires_grad_(), learner.fresh.network
    weights = list(network.parameters())
    loss = torch.zeros((), dtype=torch.float64)
    for label in range(3):
        strategy, chances = draws.siamese.strategies[label], draws.siamese.chances[label].double()
        gradients = []
        for seen in (images[label * ipc : (label + 1) * ipc], task.real[draws.rows[label]]):
            view = dsa(seen, strategy, chances.expand(len(seen), -1))
            error = F.cross_entropy(network(view), torch.full((len(seen),), label))
            gradients.append(list(torch.autograd.grad(error, weights, create_graph=True)))
        loss = loss + naive(gradients[0], [part.detach() for part in gradients[1]])
    (expected,) = torch.autograd.grad(loss, images)

    assert learner.step(draws).item() == pytest.approx(loss.item(), rel=1e-12)
    assert learner.images.grad is not None
    assert (learner.images.grad - expected).abs().max() < 1e-10 * expected.abs().max()


@pytest.mark.parametrize("most", [1, 4, 100])
def test_gradients_do_not_depend_on_the_passes(most: int) -> None:
    task = small_task(dtype=torch.float64)
    fresh = Fresh(task.network, 3, 8, task.device, 0, torch.float64)
    images, labels = task.start, torch.tensor([0, 0, 1, 1, 2, 2])
    loss = F.cross_entropy(fresh.network(images), labels)
    expected = torch.autograd.grad(loss, fresh.weights)
    found = mean_gradient(fresh.weights, images, labels, most)
    for a, b in zip(found, expected, strict=True):
        assert torch.allclose(a, b, rtol=1e-12, atol=1e-15)


def test_gradients_of_classes_are_those_of_each_alone() -> None:
    task = small_task(dtype=torch.float64)
    weights = Fresh(task.network, 3, 8, task.device, 0, torch.float64).weights
    images = task.start.view(3, 2, 3, 8, 8)
    together = class_gradients(weights, images, torch.arange(3))
    for label in range(3):
        alone = mean_gradient(weights, images[label], torch.tensor([label, label]), 100)
        for a, b in zip(together, alone, strict=True):
            assert torch.allclose(a[label], b, rtol=1e-12, atol=1e-15)


def test_biases_and_norms_count_nothing_for_rows() -> None:
    vectors = [torch.rand(2, 5), torch.rand(2, 5)]
    assert DISTANCES["rows"]([vectors[0]], [vectors[1]]) == 0


def test_an_iteration_is_three_steps_with_two_epochs_between_them() -> None:
    learner = GradientMatching(PARAMS, small_task())
    epochs = []
    learner.training.run = epochs.append  # type: ignore[method-assign]
    seen = []
    for _ in range(4):
        learner.advance()
        seen.append((learner.iteration, len(epochs)))
    assert seen == [(0, 2), (0, 4), (1, 4), (1, 6)]
    orders = {tuple(epoch.order.tolist()) for epoch in epochs}
    assert len(orders) > 1
    assert all(sorted(order) == list(range(6)) for order in orders)


def test_an_epoch_is_steps_of_sgd_on_batches() -> None:
    task = small_task(dtype=torch.float64)
    params = replace(PARAMS, batch_network=4)
    learner = GradientMatching(params, task)
    (epoch,) = draw_epochs(params, task.start, 1, generator("draw"))
    twin = Fresh(task.network, 3, 8, task.device, 0, torch.float64).network
    twin.load_state_dict(learner.fresh.network.state_dict())
    sgd = torch.optim.SGD(twin.parameters(), lr=0.01)
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    assert len(epoch.strategies) == 2
    for start, strategy in zip((0, 4), epoch.strategies, strict=True):
        rows, chances = (part[start : start + 4] for part in (epoch.order, epoch.chances))
        sgd.zero_grad()
        F.cross_entropy(twin(dsa(task.start[rows], strategy, chances)), labels[rows]).backward()
        sgd.step()

    learner.training.run(epoch)

    for a, b in zip(learner.weights, twin.parameters(), strict=True):
        assert torch.allclose(a, b, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("done", [1, 2, 3])
def test_a_run_that_is_interrupted_goes_on_bit_for_bit(done: int) -> None:
    """Also in the middle of an iteration, with the network's weights at the time."""
    whole, begun = make(PARAMS, small_task()), make(PARAMS, small_task())
    for _ in range(done):
        whole.advance()
        begun.advance()
    later = continued(begun, make(PARAMS, small_task()))
    for _ in range(5 - done):
        assert torch.equal(whole.advance(), later.advance())
    assert later.iteration == whole.iteration == 1
    assert torch.equal(whole.images, later.images)


def test_other_classes_change_no_gradient() -> None:
    task = small_task(dtype=torch.float64)
    start = task.start.clone()
    start[:2] += 1
    draws, gradients = draw_step(PARAMS, task, 0, 0), []
    for images in (task.start, start):
        learner = GradientMatching(PARAMS, replace(task, start=images))
        learner.step(draws)
        gradients.append(learner.images.grad)
    first, second = gradients
    assert torch.allclose(first[2:], second[2:], rtol=1e-12, atol=1e-15)
    assert not torch.allclose(first[:2], second[:2], rtol=1e-3)
