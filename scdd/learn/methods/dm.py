"""DM: mean features of real and learned images are matched, class by class, in networks that are
never trained (arXiv 2110.04181, and its MIT-licensed code)."""

from torch import Tensor

from scdd.learn.features import class_means, features
from scdd.learn.learner import Learner, Task
from scdd.learn.matching import ClassMatching, draw_step
from scdd.params.learn import Dm


class MeanMatching(ClassMatching):
    """Each step of the images, an outer iteration of its own, has a new network. The loss is the
    squared distance of the mean features of a class, summed over the classes."""

    def __init__(self, params: Dm, task: Task) -> None:
        super().__init__(params, task)
        self.params = params

    def advance(self) -> Tensor:
        self.fresh.draw(self.iteration)
        loss = self.step(draw_step(self.params, self.task, self.iteration))
        self.position[0] += 1
        return loss

    def _of_real(self, real: Tensor, labels: Tensor) -> list[Tensor]:
        return class_means(lambda part: [features(self.weights, part)], real, self.most)

    def _loss(self, seen: Tensor, labels: Tensor, targets: list[Tensor]) -> Tensor:
        means = features(self.weights, seen.flatten(0, 1)).unflatten(0, seen.shape[:2]).mean(1)
        return (means - targets[0]).square().sum()


def make(params: Dm, task: Task) -> Learner:
    return MeanMatching(params, task)
