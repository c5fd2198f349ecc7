"""What the methods have in common that match learned images with real ones, class by class."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from scdd.learn.features import images_a_pass
from scdd.learn.learner import Learner, Task
from scdd.learn.networks import Fresh
from scdd.learn.real import RealImages
from scdd.learn.siamese import Siamese, draw_siamese
from scdd.params.learn import Matched
from scdd.rng import generator

REAL_BYTES = 2**28  # of the real images that are in memory at once, as floats


@dataclass(frozen=True)
class Draws:
    """What is drawn for a step of the images: rows of real images, int64 [K, b] (CPU), and DSA's
    part, if there is one."""

    rows: Tensor
    siamese: Siamese | None

    def like(self, images: Tensor) -> "Draws":
        """With DSA's numbers on the device of these images, and of their dtype."""
        return replace(self, siamese=self.siamese and self.siamese.like(images))

    def real(self, real: RealImages, classes: slice) -> Tensor:
        """The real images of these classes as the network sees them, float [k, b, 3, R, R]."""
        return self.augment(real[self.rows[classes]], classes)

    def augment(self, images: Tensor, classes: slice) -> Tensor:
        """Images float [k, n, 3, R, R] of these classes as the network sees them."""
        return images if self.siamese is None else self.siamese.augment(images, classes)


def draw_step(params: Matched, task: Task, *position: int) -> Draws:
    """The draws of the step at this position, from it and the seed alone."""
    draw = generator(task.seed, "step", *position)
    rows = task.real.draw(params.batch, draw)
    return Draws(rows, draw_siamese(task.classes, params.dsa_by, draw) if params.dsa else None)


# of real images float [k, b, 3, R, R], learned ones [k, n, 3, R, R], both as the network sees them,
# and their labels int64 [k]: the loss, and its gradient with respect to the learned ones, detached
Match = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


class Matching(Learner):
    """Images that SGD changes, step by step, with a network whose weights are drawn anew now and
    then.

    position: outer iterations that are done, and steps of the images in the current one. most: how
    many images a pass through the network is to have.
    """

    def __init__(self, params: Matched, task: Task) -> None:
        self.task = task
        self.images = task.start.clone()
        self.optimizer = torch.optim.SGD(
            [self.images], lr=params.lr_images, momentum=params.momentum
        )
        self.fresh = Fresh(
            task.network, task.classes, task.resolution, task.device, task.seed, task.start.dtype
        )
        self.weights = self.fresh.weights
        self.classes = torch.arange(task.classes, device=task.device)
        self.most = images_a_pass(self.weights, task.resolution)
        self.groups = groups(params, task, self.most)
        self.position = [0, 0]
        self.state = {
            "images": self.images,
            "optimizer": self.optimizer,
            "network": self.fresh.network,
            "position": self.position,
        }

    @property
    def iteration(self) -> int:  # type: ignore[override]
        return self.position[0]

    def by_class(self) -> Tensor:
        """The images as [K, n, 3, R, R], the same memory."""
        return self.images.unflatten(0, (self.task.classes, -1))

    def slope(self, draws: Draws, match: Match) -> tuple[Tensor, Tensor]:
        """Loss, [], and its gradient with respect to the images, where each class counts by itself:
        group after group, so that only one's activations are in memory."""
        draws, images = draws.like(self.images), self.by_class()
        loss, gradient = self.images.new_zeros(()), torch.empty_like(images)
        for classes in self.groups:
            own = images[classes].detach().requires_grad_()
            seen = draws.augment(own, classes)
            real = draws.real(self.task.real, classes)
            part, of_seen = match(real, seen.detach(), self.classes[classes])
            loss += part
            (gradient[classes],) = torch.autograd.grad(seen, own, of_seen)
        return loss, gradient.flatten(0, 1)

    def descend(self, gradient: Tensor) -> None:
        """A step of SGD."""
        self.images.grad = gradient
        self.optimizer.step()


def groups(params: Matched, task: Task, most: int) -> list[slice]:
    """The classes that go through the network together: their learned images are at most a pass,
    their real ones at most REAL_BYTES; at least one class."""
    real = params.batch * task.start[0].nbytes
    size = max(1, min(most // task.ipc, REAL_BYTES // real))
    return [slice(k, min(k + size, task.classes)) for k in range(0, task.classes, size)]
