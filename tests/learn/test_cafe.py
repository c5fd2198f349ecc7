"""CAFE: against a run of its program, and what ends its loops."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from matching_runs import Golden, continued, flat_weights, set_weights, small_task

from scdd.errors import ScddError
from scdd.learn.features import blocks
from scdd.learn.learner import Task
from scdd.learn.methods.cafe import FeatureAlignment, make, spread
from scdd.learn.training import Epoch
from scdd.params.learn import Cafe
from scdd.params.network import Network

PARAMS = Cafe(
    iterations=2, lr_images=0.1, batch=4, watch=5, dsa=True, most_steps=3, most_epochs=2, moved=2.0
)


def learner_of(golden: Golden) -> FeatureAlignment:
    return FeatureAlignment(replace(PARAMS, lr_images=golden.rate, dsa=False), golden.task())


def test_six_steps_and_ten_epochs_between_them_follow_the_program() -> None:
    golden = Golden("cafe", "f64")
    learner = learner_of(golden)
    set_weights(learner, golden.weights(0))
    for step in range(6):
        for _ in range(10 if step else 0):
            learner.training.run(Epoch(torch.arange(10), [], torch.zeros(10, 3)))
        off = (flat_weights(learner) - golden.weights(step)).abs().max()
        assert off / golden.weights(step).abs().max() < 1e-10
        golden.step(learner, step)


def test_the_first_step_in_float32() -> None:
    golden = Golden("cafe", "f32")
    learner = learner_of(golden)
    set_weights(learner, golden.weights(0))
    golden.step(learner, 0)


@pytest.mark.parametrize("most", [1, 2, 5, 100])
def test_a_step_does_not_depend_on_the_passes(most: int) -> None:
    steps = []
    for size in (100, most):
        task = small_task(dtype=torch.float64)
        learner = FeatureAlignment(PARAMS, task)
        learner.most = size
        learner.groups = [slice(k, k + max(1, size // 2)) for k in range(0, 3, max(1, size // 2))]
        steps.append((learner.advance(), learner.images))
    (loss, images), (other, others) = steps
    assert other.item() == pytest.approx(loss.item(), rel=1e-12)
    assert torch.allclose(others, images, rtol=1e-11, atol=1e-12)


def test_each_accuracy_has_in_it_the_one_before() -> None:
    accuracies: list[float] = []
    assert spread(accuracies, 3 * 0.5, 3) is None
    assert spread(accuracies, 3 * 0.5, 3) is None
    assert accuracies == pytest.approx([0.5, 0.5 / 3 + 0.5])


def test_the_last_ten_accuracies_are_compared() -> None:
    accuracies: list[float] = []
    gaps = [spread(accuracies, total, 1) for total in (5.0, *[1.0] * 10)]  # 5, 6, 7, … 15
    assert gaps == [*[None] * 9, 9.0, 9.0]
    assert accuracies == [float(n) for n in range(7, 16)]


def test_an_iteration_ends_when_the_accuracy_is_calm() -> None:
    learner = make(replace(PARAMS, calm=5.0, most_steps=30), small_task())
    for _ in range(9):
        learner.advance()
    assert learner.iteration == 0
    learner.advance()
    assert learner.iteration == 1


def test_an_iteration_ends_at_its_bound(capsys: pytest.CaptureFixture[str]) -> None:
    learner = make(PARAMS, small_task())
    assert learner.steps == 3
    iterations = []
    for _ in range(6):
        learner.advance()
        iterations.append(learner.iteration)
    assert iterations == [0, 0, 1, 1, 1, 2]
    assert "after 3 steps (most_steps)" in capsys.readouterr().err


def test_the_epochs_end_when_the_accuracy_has_moved() -> None:
    settings: dict[str, Any] = {"moved": -1.0, "most_epochs": 50}  # any ten accuracies have moved
    assert epochs_of_a_step(replace(PARAMS, **settings)) == 10


def test_the_epochs_end_at_their_bound(capsys: pytest.CaptureFixture[str]) -> None:
    assert epochs_of_a_step(replace(PARAMS, most_epochs=12)) == 12
    assert "in 12 epochs (most_epochs)" in capsys.readouterr().err


def epochs_of_a_step(params: Cafe) -> int:
    learner, count = FeatureAlignment(params, small_task()), [0]
    run = learner.training.run

    def counted(epoch: Epoch) -> None:
        count[0] += 1
        run(epoch)

    learner.training.run = counted  # type: ignore[method-assign]
    learner.advance()
    return count[0]


def test_bounds_are_told_ever_more_seldom(capsys: pytest.CaptureFixture[str]) -> None:
    learner = FeatureAlignment(PARAMS, small_task())
    for _ in range(150):
        learner.meet(0, "bound")
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(" ")[2] for line in lines] == [  # without the time of day
        f"cafe, bound; {times} times so far" for times in (1, 10, 100)
    ]


def test_the_learning_rate_is_halved_at_milestones() -> None:
    params = replace(PARAMS, iterations=4, milestones=(0.5, 0.75), most_steps=1)
    learner = FeatureAlignment(params, small_task())
    rates = []
    for _ in range(4):
        learner.advance()
        rates.append(learner.optimizer.param_groups[0]["lr"])
    assert rates == [0.1, 0.1, 0.05, 0.025]


@pytest.mark.parametrize("done", [1, 2, 3])
def test_a_run_that_is_interrupted_goes_on_bit_for_bit(done: int) -> None:
    whole, begun = make(PARAMS, small_task()), make(PARAMS, small_task())
    for _ in range(done):
        whole.advance()
        begun.advance()
    later = continued(begun, make(PARAMS, small_task()))
    for _ in range(5 - done):
        assert torch.equal(whole.advance(), later.advance())
    assert later.iteration == whole.iteration == 1
    assert torch.equal(whole.images, later.images)
    assert whole.state["accuracies"] == later.state["accuracies"]


def test_of_four_blocks_the_first_three_and_what_is_pooled_last_count() -> None:
    task = small_task(network=Network("convnet4", 1 / 16, "imagenet"))
    learner = FeatureAlignment(PARAMS, task)
    made = list(blocks(learner.weights, task.start))
    expected = [made[0][0], made[1][0], made[2][0], made[3][1]]
    found = learner._outputs(task.start)
    assert [x.shape[-1] for x in found] == [16, 8, 4, 1]
    for a, b in zip(found, expected, strict=True):
        assert torch.equal(a, b)
    learner.advance()


def test_a_network_of_two_blocks_is_refused() -> None:
    task = small_task()
    task = Task(task.start, 3, task.real, Network("convnet2", 1 / 16, "imagenet"), seed=0)
    with pytest.raises(ScddError, match="convnet2 has 2 blocks"):
        make(PARAMS, task)
