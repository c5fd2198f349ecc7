"""DC and DSA: the gradients that real and learned images of a class give the weights of a network
are matched, while the network is trained on the learned images (arXiv 2006.05929, 2102.08259, and
their MIT-licensed code)."""

import torch
from torch import Tensor

from scdd.jobs.capture import captured
from scdd.learn.gradients import DISTANCES, class_gradients, mean_gradient
from scdd.learn.learner import Learner, Task
from scdd.learn.matching import Draws, Matching, draw_step
from scdd.learn.training import Training, draw_epochs
from scdd.params.learn import Dc
from scdd.rng import generator


class GradientMatching(Matching):
    """An outer iteration: a new network, `outer` steps of the images, and `inner` epochs of the
    network on them between two steps."""

    def __init__(self, params: Dc, task: Task) -> None:
        super().__init__(params, task)
        self.params, self.steps = params, params.outer
        self.match = captured(self._match, task.device, task.compiled)
        self.distance = DISTANCES[params.distance]
        self.training = Training(
            self.weights,
            self.images,
            self.classes.repeat_interleave(task.ipc),
            lr=params.lr_network,
            batch=params.batch_network,
            most=self.most,
            compiled=task.compiled,
        )

    def advance(self) -> Tensor:
        iteration, step = self.position
        if step == 0:
            self.fresh.draw("network", iteration)
        loss = self.step(draw_step(self.params, self.task, iteration, step))
        self.position[1] += 1
        if self.position[1] == self.params.outer:
            self.position[:] = [iteration + 1, 0]
        else:
            self.train(iteration, step)
        return loss

    def step(self, draws: Draws) -> Tensor:
        """A step of the images with the current network; returns the loss before it, []: the
        distance of the gradients of a class, summed over the classes."""
        loss, gradient = self.slope(draws, self.match)
        self.descend(gradient)
        return loss

    def train(self, iteration: int, step: int) -> None:
        """The network's epochs after this step of the images."""
        draw = generator(self.task.seed, "inner", iteration, step)
        settings = self.params.inner, self.images, self.params.batch_network, self.params.dsa
        for epoch in draw_epochs(*settings, draw):
            self.training.epoch(epoch)

    def _match(self, real: Tensor, seen: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        each = [
            mean_gradient(self.weights, images, label.expand(len(images)), self.most)
            for images, label in zip(real, labels, strict=True)
        ]
        targets = [torch.stack(parts) for parts in zip(*each, strict=True)]
        leaf = seen.detach().requires_grad_()
        loss = self.distance(class_gradients(self.weights, leaf, labels), targets)
        return loss.detach(), torch.autograd.grad(loss, leaf)[0]


def make(params: Dc, task: Task) -> Learner:
    return GradientMatching(params, task)
