"""What the methods have in common that match learned images with real ones, class by class."""

from abc import abstractmethod
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from scdd.jobs.capture import captured
from scdd.learn.features import fitting, images_a_pass, keep_memory
from scdd.learn.learner import Learner, Task
from scdd.learn.networks import Fresh
from scdd.learn.real import RealImages
from scdd.learn.siamese import Siamese, draw_siamese
from scdd.params.learn import Matched
from scdd.rng import generator


@dataclass(frozen=True)
class Draws:
    """What is drawn for a step of the images: rows of real images, int64 [K, b] (CPU), and DSA's
    part, if there is one."""

    rows: Tensor
    siamese: Siamese | None

    def like(self, images: Tensor) -> "Draws":
        """With DSA's numbers on the device of these images, and of their dtype."""
        return replace(self, siamese=self.siamese and self.siamese.like(images))

    def real(self, real: RealImages, classes: slice, like: Tensor) -> Tensor:
        """The real images of these classes as the network sees them, float [k, b, 3, R, R], on the
        device of `like` and of its dtype."""
        return self.augment(real[self.rows[classes]].to(like), classes)

    def augment(self, images: Tensor, classes: slice) -> Tensor:
        """Images float [k, n, 3, R, R] of these classes as the network sees them."""
        return images if self.siamese is None else self.siamese.augment(images, classes)


def draw_step(params: Matched, task: Task, *position: int) -> Draws:
    """The draws of the step at this position, from it and the seed alone."""
    draw = generator(task.seed, "step", *position)
    rows = task.real.draw(params.batch, draw)
    return Draws(rows, draw_siamese(task.classes, params.dsa_by, draw) if params.dsa else None)


class Matching(Learner):
    """Images that SGD changes, step by step, with a network whose weights are drawn anew now and
    then.

    position: outer iterations that are done, and steps of the images in the current one. most: how
    many images a pass through the network is to have; groups: the classes whose learned images make
    a pass; real_classes: how many classes' real images are augmented together.
    """

    def __init__(self, params: Matched, task: Task) -> None:
        keep_memory()
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
        self.groups = cut(slice(0, task.classes), max(1, self.most // task.ipc))
        self.real_classes = fitting(params.batch * task.start[0].nbytes, task.device)
        self.of_real = captured(self._of_real, task.device, task.compiled)
        self.position = [0, 0]
        self.state = {
            "images": self.images,
            "optimizer": self.optimizer,
            "network": self.fresh.network,
            "position": self.position,
        }

    @property
    def iteration(self) -> int:
        return self.position[0]

    def by_class(self) -> Tensor:
        """The images as [K, n, 3, R, R], the same memory."""
        return self.images.unflatten(0, (self.task.classes, -1))

    def targets(self, draws: Draws, classes: slice) -> list[Tensor]:
        """What `_of_real` makes of the real images of these classes, [k, ...] each."""
        parts = [
            [
                target.clone()  # a captured function uses its result again
                for target in self.of_real(
                    draws.real(self.task.real, some, self.images), self.classes[some]
                )
            ]
            for some in cut(classes, self.real_classes)
        ]
        return [torch.cat(part) for part in zip(*parts, strict=True)]

    def descend(self, gradient: Tensor) -> None:
        """A step of SGD."""
        self.images.grad = gradient
        self.optimizer.step()

    @abstractmethod
    def _of_real(self, real: Tensor, labels: Tensor) -> list[Tensor]:
        """What learned images are to be like, [k, ...] each, without a graph: made by the network
        of real ones, float [k, b, 3, R, R] as it sees them, with labels int64 [k]."""


class ClassMatching(Matching):
    """The classes count by themselves: the loss is a sum over them."""

    def __init__(self, params: Matched, task: Task) -> None:
        super().__init__(params, task)
        self.slope = captured(self._slope, task.device, task.compiled)

    def step(self, draws: Draws) -> Tensor:
        """A step of the images with the current network; returns the loss before it, []. Classes
        come group by group: only one's activations are in memory."""
        draws, images = draws.like(self.images), self.by_class()
        loss, gradient = self.images.new_zeros(()), torch.empty_like(images)
        for classes in self.groups:
            own = images[classes].detach().requires_grad_()
            seen = draws.augment(own, classes)
            targets = self.targets(draws, classes)
            part, of_seen = self.slope(seen.detach(), self.classes[classes], targets)
            loss += part
            (gradient[classes],) = torch.autograd.grad(seen, own, of_seen)
        self.descend(gradient.flatten(0, 1))
        return loss

    def _slope(self, seen: Tensor, labels: Tensor, targets: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Loss, [], and its gradient with respect to `seen`."""
        leaf = seen.detach().requires_grad_()
        loss = self._loss(leaf, labels, targets)
        return loss.detach(), torch.autograd.grad(loss, leaf)[0]

    @abstractmethod
    def _loss(self, seen: Tensor, labels: Tensor, targets: list[Tensor]) -> Tensor:
        """The loss, [], of learned images, float [k, n, 3, R, R] as the network sees them."""


def cut(classes: slice, size: int) -> list[slice]:
    """Parts of at most `size` classes."""
    starts = range(classes.start, classes.stop, size)
    return [slice(start, min(start + size, classes.stop)) for start in starts]
