"""DM: mean features of real and learned images are matched, class by class, in networks that are
never trained (arXiv 2110.04181, and its MIT-licensed code)."""

import torch
from torch import Tensor

from scdd.jobs.capture import captured
from scdd.learn.features import class_means, features
from scdd.learn.learner import Learner, Task
from scdd.learn.matching import Draws, Matching, draw_step
from scdd.params.learn import Dm


class MeanMatching(Matching):
    """Each step of the images, an outer iteration of its own, has a new network."""

    def __init__(self, params: Dm, task: Task) -> None:
        super().__init__(params, task)
        self.params = params
        self.match = captured(self._match, task.device, task.compiled)

    def advance(self) -> Tensor:
        self.fresh.draw("network", self.iteration)
        loss = self.step(draw_step(self.params, self.task, self.iteration))
        self.position[0] += 1
        return loss

    def step(self, draws: Draws) -> Tensor:
        """A step of the images with the current network; returns the loss before it, []: the
        squared distance of the mean features of a class, summed over the classes."""
        loss, gradient = self.slope(draws, self.match)
        self.descend(gradient)
        return loss

    def _match(self, real: Tensor, seen: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        (target,) = class_means(lambda part: [features(self.weights, part)], real, self.most)
        leaf = seen.detach().requires_grad_()
        learned = features(self.weights, leaf.flatten(0, 1)).unflatten(0, leaf.shape[:2]).mean(1)
        loss = (learned - target).square().sum()
        return loss.detach(), torch.autograd.grad(loss, leaf)[0]


def make(params: Dm, task: Task) -> Learner:
    return MeanMatching(params, task)
