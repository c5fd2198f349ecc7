"""DC and DSA: the gradients that real and learned images of a class give the weights of a network
are matched, while the network is trained on the learned images (arXiv 2006.05929, 2102.08259, and
their MIT-licensed code)."""

import torch
from torch import Tensor

from scdd.learn.gradients import DISTANCES, class_gradients, mean_gradient
from scdd.learn.learner import Learner, Task
from scdd.learn.matching import ClassMatching, draw_step
from scdd.learn.training import Training, draw_epochs
from scdd.params.learn import Dc
from scdd.rng import generator


class GradientMatching(ClassMatching):
    """An outer iteration: a new network, `outer` steps of the images, and `inner` epochs of the
    network on them between two steps. The loss is the distance of the gradients of a class, summed
    over the classes."""

    def __init__(self, params: Dc, task: Task) -> None:
        super().__init__(params, task)
        self.params, self.steps = params, params.outer
        self.distance = DISTANCES[params.distance]
        self.training = Training(self, params)

    def advance(self) -> Tensor:
        iteration, step = self.position
        if step == 0:
            self.fresh.draw(iteration)
        loss = self.step(draw_step(self.params, self.task, iteration, step))
        self.position[1] += 1
        if self.position[1] == self.params.outer:
            self.position[:] = [iteration + 1, 0]
        else:
            draw = generator(self.task.seed, "epochs", iteration, step)
            for epoch in draw_epochs(self.params, self.images, self.params.inner, draw):
                self.training.run(epoch)
        return loss

    def _of_real(self, real: Tensor, labels: Tensor) -> list[Tensor]:
        gradients = [
            mean_gradient(self.weights, images, label.expand(len(images)), self.most)
            for images, label in zip(real, labels, strict=True)
        ]
        return [torch.stack(parts) for parts in zip(*gradients, strict=True)]

    def _loss(self, seen: Tensor, labels: Tensor, targets: list[Tensor]) -> Tensor:
        return self.distance(class_gradients(self.weights, seen, labels), targets)


def make(params: Dc, task: Task) -> Learner:
    return GradientMatching(params, task)
