"""Trajectory matching: against runs of MTT's and TESLA's programs, and against a plain unroll.

golden/{mtt,mttaug,tesla,teslaaug,teslasoft}.safetensors have five iterations of five student steps
on made-up images. The program drew what is drawn. Of gradients and images only every other row and
column was taken; of the float32 runs only what the first iteration gave.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor
from torch.func import functional_call
from toy import image_set, info

from scdd.errors import ScddError
from scdd.learn.flat import Layout
from scdd.learn.learner import Task
from scdd.learn.methods.trajectory import (
    Batch,
    Chase,
    TrajectoryMatching,
    draw_batches,
    draw_chase,
    make,
)
from scdd.learn.real import RealImages
from scdd.networks.students import build
from scdd.params.learn import Trajectory
from scdd.params.network import Network
from scdd.rng import generator
from scdd.views.dsa import STRATEGIES, dsa
from scdd.views.pixels import normalise

GOLDEN = Path(__file__).parent / "golden"
STEPS, SIZE = 5, 16
PARAMS = Trajectory(
    iterations=5,
    lr_images=10.0,
    steps=STEPS,
    expert_epochs=2,
    max_start=3,
    student_lr=0.05,
    lr_student_lr=1e-4,
    network=Network("convnet3", 0.0625, "imagenet"),
)


class Walk:
    """Four experts whose parameters go a random way."""

    count, epochs = 4, 10

    def __init__(self, dtype: torch.dtype) -> None:
        network = build(PARAMS.network, 3, SIZE, generator("w"))
        self.start = torch.cat([p.detach().flatten() for p in network.parameters()]).to(dtype)
        self.steps = torch.randn(4, 11, len(self.start), generator=generator("way"), dtype=dtype)

    def parameters(self, expert: int, epoch: int) -> Tensor:
        return self.start + 0.02 * self.steps[expert, : epoch + 1].sum(0)


def task(dtype: torch.dtype = torch.float64, ipc: int = 2) -> Task:
    real = RealImages(image_set(21, SIZE), 3, lambda images: normalise(images, info(SIZE)))
    start = torch.randn(3 * ipc, 3, SIZE, SIZE, generator=generator("start"), dtype=dtype)
    return Task(start, 3, real, PARAMS.network, 0, Walk(dtype))


# ---- the released programs -----------------------------------------------------------------------


class Recorded:
    """A run of an authors' program."""

    def __init__(self, name: str, dtype: torch.dtype) -> None:
        self.tensors, self.dtype = load_file(GOLDEN / f"{name}.safetensors"), dtype
        classes, ipc, width, size = self.tensors["meta.classes_ipc_width_resolution"].tolist()
        self.classes, self.size = classes, size
        params = replace(
            PARAMS,
            lr_images=self.tensors["lr_img"].item(),
            lr_student_lr=self.tensors["lr_lr"].item(),
            student_lr=self.tensors["s0.lr_before_f64"].item(),
            network=Network("convnet3", width / 128, "imagenet"),
            gradient="exact" if name.startswith("mtt") else "code",
            soft_labels=name == "teslasoft",
        )
        start = self.tensors["images_before"].to(dtype)
        real = RealImages(image_set(21, SIZE), 3, lambda images: images.float())
        assert len(start) == classes * ipc
        self.learner = TrajectoryMatching(params, Task(start, classes, real, params.network, 0))

    def chase(self, step: int) -> Chase:
        start, target = (
            self.tensors[f"s{step}.{name}"].to(self.dtype) for name in ("start", "target")
        )
        return Chase(start, target, [self.batch(f"s{step}.batch{j}") for j in range(STEPS)])

    def batch(self, name: str) -> Batch:
        rows = self.tensors[name]
        if f"{name}.op" not in self.tensors:
            return Batch(rows, None, torch.zeros(len(rows), 3))
        strategy = STRATEGIES[self.tensors[f"{name}.op"]]
        return Batch(rows, strategy, self.chances(strategy, self.tensors[f"{name}.values"]))

    def chances(self, strategy: str, values: Tensor) -> Tensor:
        """Chances that give the program's whole pixels; other numbers are chances themselves."""
        if strategy == "crop":
            most = int(self.size / 8 + 0.5)
            return (values + most + 0.5) / (2 * most + 1)
        return (values + 0.5) / (self.size + 1) if strategy == "cutout" else values

    def expect(self, name: str, value: Tensor, tolerance: float, kind: str = "f64") -> None:
        """Within `tolerance` of the largest entry."""
        expected = self.tensors[f"{name}_{kind}"].double()
        if value.dim() == 4:
            value = value[..., ::2, ::2]
        assert (value.double() - expected).abs().max() <= tolerance * expected.abs().max(), name


RUNS = ["mtt", "mttaug", "tesla", "teslaaug", "teslasoft"]


@pytest.mark.parametrize("name", RUNS)
def test_five_iterations_in_float64_are_those_of_the_program(name: str) -> None:
    run = Recorded(name, torch.float64)
    learner = run.learner
    for step in range(5):
        run.expect(f"s{step}.lr_before", learner.student_lr, 1e-10)
        loss = learner.step(run.chase(step))
        run.expect(f"s{step}.loss", loss, 1e-10)
        assert learner.student_lr.grad is not None
        run.expect(f"s{step}.lr_grad", learner.student_lr.grad, 1e-10)
        run.expect(f"s{step}.lr_after", learner.student_lr, 1e-10)
        if step in (0, 4):
            assert learner.images.grad is not None
            run.expect(f"s{step}.grad", learner.images.grad, 1e-10)
            run.expect(f"s{step}.images_after", learner.images, 1e-10)
        if learner.labels is not None and step in (0, 4):
            run.expect(f"s{step}.soft_labels", learner.labels, 1e-10)


@pytest.mark.parametrize("name", RUNS)
def test_the_first_iteration_in_float32_is_that_of_the_program(name: str) -> None:
    run = Recorded(name, torch.float32)
    run.expect("s0.loss", run.learner.step(run.chase(0)), 1e-4, "f32")
    assert run.learner.images.grad is not None
    run.expect("s0.grad", run.learner.images.grad, 1e-4, "f32")
    run.expect("s0.images_after", run.learner.images, 1e-4, "f32")


# ---- a plain unroll ------------------------------------------------------------------------------


def unrolled(
    learner: TrajectoryMatching, chase: Chase, frozen: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """The loss and its gradients, by autograd through all steps of the student; frozen: each step
    at parameters that are taken as given."""
    network = learner.student.network
    layout = Layout(network)
    images = learner.images.detach().clone().requires_grad_()
    rate = learner.student_lr.detach().clone().requires_grad_()
    flat = chase.start.detach().clone().requires_grad_()
    for batch in chase.batches:
        seen = images[batch.rows]
        if batch.strategy is not None:
            seen = dsa(seen, batch.strategy, batch.chances.to(seen))
        at = flat.detach().requires_grad_() if frozen else flat
        logits = functional_call(network, layout.split(at), (seen,))
        loss = F.cross_entropy(logits, learner.targets[batch.rows])
        (gradient,) = torch.autograd.grad(loss, at, create_graph=True)
        flat = flat - rate * gradient
    missed = (flat - chase.target).square().sum()
    loss = missed / (chase.start - chase.target).square().sum()
    return (loss.detach(), *torch.autograd.grad(loss, (images, rate)))


def close(found: Tensor, expected: Tensor, tolerance: float = 1e-12) -> bool:
    return bool((found - expected).abs().max() <= tolerance * expected.abs().max())


@pytest.mark.parametrize("steps", [5, 30])
@pytest.mark.parametrize("more", [{}, {"batch": 4}, {"dsa": False}, {"soft_labels": True}], ids=str)
def test_the_exact_gradient_is_that_of_the_whole_unroll(steps: int, more: dict[str, Any]) -> None:
    params = replace(PARAMS, steps=steps, **more)
    learner = TrajectoryMatching(params, task())
    if params.soft_labels:
        learner.targets.copy_(torch.rand(6, 3, generator=generator("soft")).softmax(1))
    chase = draw_chase(params, learner.task, 0)
    for found, expected in zip(learner.slope(chase), unrolled(learner, chase), strict=True):
        assert close(found, expected)


def test_the_frozen_gradient_takes_the_student_s_path_as_given() -> None:
    learner = TrajectoryMatching(replace(PARAMS, gradient="frozen"), task())
    chase = draw_chase(PARAMS, learner.task, 0)
    for found, expected in zip(learner.slope(chase), unrolled(learner, chase, True), strict=True):
        assert close(found, expected)


def test_tesla_s_code_has_half_the_gradient_of_the_images() -> None:
    frozen, code = (
        TrajectoryMatching(replace(PARAMS, gradient=name), task()) for name in ("frozen", "code")
    )
    chase = draw_chase(PARAMS, frozen.task, 0)
    (_, images, rate), (_, half, same) = frozen.slope(chase), code.slope(chase)
    assert torch.equal(half, images / 2)
    assert torch.equal(same, rate)


# ---- draws, and a run ----------------------------------------------------------------------------


def test_batches_are_cut_from_permutations_and_taken_from_their_ends() -> None:
    """Seven images in batches of three: 1, 3, 3, then a new permutation."""
    batches = draw_batches(replace(PARAMS, batch=3, steps=6), 7, generator("b"))
    assert [len(batch.rows) for batch in batches] == [1, 3, 3, 1, 3, 3]
    for three in (batches[:3], batches[3:]):
        assert sorted(torch.cat([batch.rows for batch in three]).tolist()) == list(range(7))


def test_each_expert_is_followed_once_before_any_twice() -> None:
    own, experts = task(), Walk(torch.float64)

    def followed(iteration: int) -> int:
        """The expert whose way has the iteration's start."""
        start = draw_chase(PARAMS, own, iteration).start
        return next(
            expert
            for expert in range(4)
            for epoch in range(3)
            if torch.equal(start, experts.parameters(expert, epoch))
        )

    assert sorted(map(followed, range(4))) == [0, 1, 2, 3]
    assert sorted(map(followed, range(4, 8))) == [0, 1, 2, 3]


class Still(Walk):
    def parameters(self, expert: int, epoch: int) -> Tensor:
        return self.start


def test_an_expert_that_does_not_move_is_refused() -> None:
    learner = TrajectoryMatching(PARAMS, replace(task(), experts=Still(torch.float64)))
    with pytest.raises(ScddError, match="has the same parameters after"):
        learner.advance()


@pytest.mark.parametrize("soft", [False, True])
def test_a_run_goes_on_from_its_state_with_the_same_bits(soft: bool) -> None:
    params = replace(PARAMS, soft_labels=soft, batch=4)
    quiet = make(params, task(torch.float32))
    for _ in range(5):
        quiet.advance()
    first, second = (make(params, task(torch.float32)) for _ in range(2))
    for _ in range(2):
        first.advance()
    for name, part in first.state.items():
        _load(second.state[name], part)
    for _ in range(3):
        second.advance()
    assert torch.equal(second.images, quiet.images)
    assert second.student_lr is not None and quiet.student_lr is not None
    assert torch.equal(second.student_lr, quiet.student_lr)
    assert second.iteration == 5


def _load(part: Any, other: Any) -> None:
    if isinstance(part, Tensor):
        part.copy_(other)
    elif isinstance(part, list):
        part[:] = other
    else:
        part.load_state_dict(other.state_dict())
