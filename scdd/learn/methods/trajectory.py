"""MTT and TESLA: a student's parameters after some steps on the learned images are matched with an
expert's (arXiv 2203.11932, section 3.3; 2211.10586, section 3; and their MIT-licensed code).

    theta_{j+1} = theta_j - beta g_j,  L = |theta_N - theta*|^2 / |theta_0 - theta*|^2

where g_j is the gradient of the student's loss on a batch of the images. L is differentiated with
respect to the images X and the rate beta, with one step's graph in memory: backwards through the
steps, with lambda_N = 2 (theta_N - theta*) / |theta_0 - theta*|^2 and s_j = <g_j, lambda_{j+1}>,

    dL/dX -= beta ds_j/dX,  dL/dbeta -= s_j,  lambda_j = lambda_{j+1} - beta ds_j/dtheta_j

TESLA leaves the last of the three out: it takes the student's path as given.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from scdd.errors import ScddError
from scdd.jobs.capture import captured
from scdd.learn.learner import Learner, Task, Trajectories
from scdd.learn.student import Student
from scdd.networks.students import ConvNet, build
from scdd.params.learn import Trajectory
from scdd.rng import generator
from scdd.views.dsa import draw_dsa, dsa


@dataclass(frozen=True)
class Batch:
    """A student's step: the images `rows` int64 [b]; DSA's strategy (None: no DSA) and numbers,
    float [b, 3] in [0, 1)."""

    rows: Tensor
    strategy: str | None
    chances: Tensor

    def like(self, images: Tensor) -> "Batch":
        """On the device of these images, and with their dtype."""
        rows = self.rows.to(images.device, non_blocking=True)
        return replace(self, rows=rows, chances=self.chances.to(images, non_blocking=True))


@dataclass(frozen=True)
class Chase:
    """An iteration: where the student starts and what it is to reach, parameters float [P]; and its
    steps."""

    start: Tensor
    target: Tensor
    batches: Sequence[Batch]


def draw_batches(params: Trajectory, count: int, draw: torch.Generator) -> list[Batch]:
    """The student's steps on `count` images. As in MTT's code a permutation is cut into batches
    that are taken from its end, so that a short one comes first."""
    rows: list[Tensor] = []
    batches = []
    for _ in range(params.steps):
        if not rows:
            rows = list(torch.randperm(count, generator=draw).split(params.batch or count))
        own = rows.pop()
        strategy, chances = draw_dsa(len(own), draw)
        batches.append(Batch(own, strategy if params.dsa else None, chances))
    return batches


def draw_chase(params: Trajectory, task: Task, iteration: int) -> Chase:
    """The iteration's draws, from the seed and its number alone. Each expert is followed once
    before any is followed twice.

    Raises ScddError where the expert does not move.
    """
    experts = require_experts(task)
    turn, place = divmod(iteration, experts.count)
    order = torch.randperm(experts.count, generator=generator(task.seed, "experts", turn))
    draw = generator(task.seed, "trajectory", iteration)
    expert, epoch = int(order[place]), int(torch.randint(params.max_start, (), generator=draw))
    start, target = (
        experts.parameters(expert, at).to(task.start.dtype)
        for at in (epoch, epoch + params.expert_epochs)
    )
    if torch.equal(start, target):
        raise ScddError(
            f"expert {expert} has the same parameters after {epoch} and "
            f"{epoch + params.expert_epochs} epochs. MTT's buffer.py leaves such files if it runs "
            "on a CPU: train the experts here, or make the files on a GPU."
        )
    return Chase(start, target, draw_batches(params, len(task.start), draw))


def require_experts(task: Task) -> Trajectories:
    assert task.experts is not None
    return task.experts


class TrajectoryMatching(Learner):
    """labels: with soft labels, those of the last iteration."""

    def __init__(self, params: Trajectory, task: Task) -> None:
        self.params, self.task = params, task
        self.images = task.start.clone()
        rate = torch.tensor(params.student_lr, dtype=task.start.dtype, device=task.device)
        self.student_lr: Tensor = rate
        self.optimizers = [
            torch.optim.SGD([tensor], lr=lr, momentum=params.momentum)
            for tensor, lr in ((self.images, params.lr_images), (rate, params.lr_student_lr))
        ]
        network = build(task.network, task.classes, task.resolution, generator("shapes"))
        assert isinstance(network, ConvNet)
        self.student = Student(network.to(task.device, task.start.dtype))
        one_hot = torch.eye(task.classes, dtype=task.start.dtype, device=task.device)
        self.targets = one_hot.repeat_interleave(task.ipc, 0)
        if params.soft_labels:
            self.labels = self.targets
        self.position = [0]
        self.state = {
            "images": self.images,
            "student_lr": rate,
            "images_optimizer": self.optimizers[0],
            "rate_optimizer": self.optimizers[1],
            "targets": self.targets,
            "position": self.position,
        }
        self._forwards = captured(self._plain_forwards, task.device, task.compiled)
        self._backwards = captured(self._plain_backwards, task.device, task.compiled)

    @property
    def iteration(self) -> int:
        return self.position[0]

    def advance(self) -> Tensor:
        loss = self.step(draw_chase(self.params, self.task, self.iteration))
        self.position[0] += 1
        return loss

    def step(self, chase: Chase) -> Tensor:
        """A step of the images and of the rate; returns the loss before it, []."""
        if self.params.soft_labels:
            with torch.no_grad():
                logits = self.student.logits(chase.target, self.images)
                self.targets.copy_(logits.softmax(1))
        loss, *gradients = self.slope(chase)
        for tensor, gradient in zip((self.images, self.student_lr), gradients, strict=True):
            tensor.grad = gradient
        for optimizer in self.optimizers:
            optimizer.step()
        return loss

    def slope(self, chase: Chase) -> tuple[Tensor, Tensor, Tensor]:
        """The loss, [], and its gradients with respect to the images and to the student's rate."""
        batches = [batch.like(self.images) for batch in chase.batches]
        path = [chase.start]
        for batch in batches:
            moved = self._forwards(path[-1], batch.rows, batch.strategy, batch.chances)
            path.append(moved.clone())  # a captured step writes the next one in the same place
        distance = (chase.start - chase.target).square().sum()
        missed = path[-1] - chase.target
        along = 2 * missed / distance
        of_images, of_rate = torch.zeros_like(self.images), torch.zeros_like(self.student_lr)
        exact = self.params.gradient == "exact"
        for batch, flat in zip(reversed(batches), reversed(path[:-1]), strict=True):
            product, own, of_flat = self._backwards(
                flat, along, batch.rows, batch.strategy, batch.chances
            )
            of_images.index_add_(0, batch.rows, own)
            of_rate -= product
            if exact:
                along = along - self.student_lr * of_flat
        of_images *= -self.student_lr
        if self.params.gradient == "code":
            of_images /= 2  # their sum is taken over a tuple that was to be doubled (tesla#5)
        return missed.square().sum() / distance, of_images, of_rate

    def _plain_forwards(
        self, flat: Tensor, rows: Tensor, strategy: str | None, chances: Tensor
    ) -> Tensor:
        """The parameters after a step of the student."""
        images = self.images[rows]
        seen = images if strategy is None else dsa(images, strategy, chances)
        gradient = self.student.gradient(flat, seen, self.targets[rows])
        return flat - self.student_lr * gradient

    def _plain_backwards(
        self, flat: Tensor, along: Tensor, rows: Tensor, strategy: str | None, chances: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """s_j of a step, and its gradients with respect to the images of the batch and the
        parameters."""
        images = self.images[rows].requires_grad_()
        seen = images if strategy is None else dsa(images, strategy, chances)
        product, of_seen, of_flat = self.student.slopes(flat, seen, self.targets[rows], along)
        if strategy is None:
            return product, of_seen, of_flat
        (of_images,) = torch.autograd.grad(seen, images, of_seen)
        return product, of_images, of_flat


def make(params: Trajectory, task: Task) -> Learner:
    return TrajectoryMatching(params, task)
