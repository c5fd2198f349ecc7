"""CAFE: mean features of all layers of real and learned images are matched, and the learned ones'
are to tell the real images' classes apart (arXiv 2203.01531; what its code computes).

Loops end when the accuracy of the network on real images is calm, or has moved; see `spread`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from scdd.errors import ScddError
from scdd.jobs.capture import captured
from scdd.jobs.progress import say
from scdd.learn.features import LAST, blocks, class_means, depth, logits, passes
from scdd.learn.learner import Learner, Task
from scdd.learn.matching import Draws, Matching, cut, draw_step
from scdd.learn.training import Training, draw_epochs
from scdd.networks.schedules import stepped
from scdd.params.learn import Cafe
from scdd.rng import generator

ACCURACIES = 10  # that are looked at
HALF = 0.5  # factor on lr_images at a milestone
DEPTHS = (3, 4)  # blocks of the networks for which `layers` has weights


def spread(accuracies: list[float], total: float, classes: int) -> float | None:
    """Add an accuracy to the last ones; returns by how much ten of them differ, or None before
    there are ten.

    total: the sum of the accuracies of the classes. As in CAFE's code each value has in it the one
    before: (value before + total) / classes.
    """
    before = accuracies[-1] if accuracies else 0.0
    accuracies.append((before + total) / classes)
    if len(accuracies) < ACCURACIES:
        return None
    gap = max(accuracies) - min(accuracies)
    del accuracies[0]
    return gap


class FeatureAlignment(Matching):
    """An outer iteration: a new network, and steps of the images until its accuracy is calm; after
    each of them epochs of the network on the images until its accuracy has moved.

    The features are those of the first three blocks, after ReLU, and what the last block pools;
    of ConvNet-4 the fourth block counts by the latter alone. Raises ScddError for a network that
    has neither three nor four blocks.
    """

    def __init__(self, params: Cafe, task: Task) -> None:
        super().__init__(params, task)
        if depth(self.weights) not in DEPTHS:
            raise ScddError(
                f"network {task.network.arch} has {depth(self.weights)} blocks: cafe.layers has "
                "weights for 3 or 4. Choose convnet3 or convnet4."
            )
        self.params, self.steps = params, params.most_steps
        self.training = Training(self, params)
        self.accuracies: list[float] = []  # the last ones, each after a step of the images
        self.bounds = [0, 0]  # how often most_steps was met, and most_epochs
        self.state = {**self.state, "accuracies": self.accuracies, "bounds": self.bounds}
        self.means = captured(self._means, task.device, task.compiled)
        self.compare = captured(self._compare, task.device, task.compiled)
        self.slope_of = captured(self._slope_of, task.device, task.compiled)
        self.hits = captured(self._hits, task.device, task.compiled)

    def advance(self) -> Tensor:
        iteration, step = self.position
        if step == 0:
            self.fresh.draw(iteration)
            self.accuracies.clear()
        params, group = self.params, self.optimizer.param_groups[0]
        settings = params.iterations, params.lr_images, params.milestones
        group["lr"] = stepped(iteration, *settings, factor=HALF)
        loss = self.step(draw_step(params, self.task, iteration, step))
        gap = spread(self.accuracies, self.accuracy(iteration, step), self.task.classes)
        calm = gap is not None and gap < params.calm
        bound = step + 1 == params.most_steps
        if bound and not calm:
            self.meet(0, f"after {params.most_steps} steps (most_steps) the accuracy is not calm")
        if bound or calm:
            self.position[:] = [iteration + 1, 0]
        else:
            self.position[1] = step + 1
            self.train(iteration, step)
        return loss

    def step(self, draws: Draws) -> Tensor:
        """A step of the images with the current network; returns the loss before it, []."""
        draws, images = draws.like(self.images), self.by_class()
        targets = self.targets(draws, slice(0, self.task.classes))
        own = [images[classes].detach().requires_grad_() for classes in self.groups]
        seen = [draws.augment(x, classes) for x, classes in zip(own, self.groups, strict=True)]
        parts = [[mean.clone() for mean in self.means(x.detach())] for x in seen]
        learned = [torch.cat(means) for means in zip(*parts, strict=True)]
        loss, slopes = self.compare(targets, learned)
        loss = loss.clone()
        of_seen = [
            self.slope_of(x.detach(), [slope[classes] for slope in slopes]).clone()
            for x, classes in zip(seen, self.groups, strict=True)
        ]
        self.descend(torch.cat(torch.autograd.grad(seen, own, of_seen)).flatten(0, 1))
        return loss

    def train(self, iteration: int, step: int) -> None:
        """The network's epochs after this step of the images."""
        params, accuracies = self.params, list[float]()
        for number in range(params.most_epochs):
            position = iteration, step, number
            draw = generator(self.task.seed, "epochs", *position)
            for epoch in draw_epochs(params, self.images, 1, draw):
                self.training.run(epoch)
            gap = spread(accuracies, self.accuracy(*position), self.task.classes)
            if gap is not None and gap > params.moved:
                return
        self.meet(1, f"in {params.most_epochs} epochs (most_epochs) the accuracy has not moved")

    def meet(self, which: int, what: str) -> None:
        """Count a bound that is met, and say so the first time, the tenth, the hundredth …"""
        self.bounds[which] += 1
        if str(self.bounds[which]).strip("0") == "1":
            say(f"cafe, {what}; {self.bounds[which]} times so far")

    def accuracy(self, *position: int) -> float:
        """The sum of the network's accuracies on some real images of each class."""
        rows = self.task.real.draw(self.params.watch, generator(self.task.seed, "watch", *position))
        total = self.classes.new_zeros(())
        for some in cut(slice(0, self.task.classes), self.real_classes):
            total += self.hits(self.task.real[rows[some]].to(self.images), self.classes[some])
        return total.item() / rows.shape[1]

    @torch.no_grad()
    def _hits(self, real: Tensor, labels: Tensor) -> Tensor:
        """How many images float [k, n, 3, R, R] are classified right."""
        total, (classes, each) = labels.new_zeros(()), real.shape[:2]
        for some, these in passes(classes, each, self.most):
            right = logits(self.weights, real[some, these].flatten(0, 1)).argmax(1)
            total += (right.view(len(labels[some]), -1) == labels[some, None]).sum()
        return total

    def _outputs(self, images: Tensor) -> list[Tensor]:
        made = list(blocks(self.weights, images))
        return [active for active, _ in made[: len(self.params.layers) - 1]] + [made[-1][1]]

    def _means(self, seen: Tensor) -> list[Tensor]:
        return class_means(self._outputs, seen, self.most)

    def _of_real(self, real: Tensor, labels: Tensor) -> list[Tensor]:
        """Class means of all outputs; and the last output of each image, [k, b, F]."""
        each: list[Tensor] = []

        def outputs(images: Tensor) -> list[Tensor]:
            made = self._outputs(images)
            each.append(made[-1].flatten(1))
            return made

        means = class_means(outputs, real, self.most)
        return [*means, torch.cat(each).unflatten(0, real.shape[:2])]

    def _compare(self, targets: list[Tensor], learned: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """The loss from what `_of_real` makes of all real images, and the learned images' class
        means; and its gradient with respect to these."""
        *real, each = targets
        features, labels = each.flatten(0, 1), self.classes.repeat_interleave(each.shape[1])
        means = [mean.detach().requires_grad_() for mean in learned]
        # what is pooled last counts once more, as the features that the linear layer sees
        factors = *self.params.layers[:-1], self.params.layers[-1] + 1
        loss = F.cross_entropy(F.linear(features, *self.weights[-LAST:]).detach(), labels)
        for factor, mean, target in zip(factors, means, real, strict=True):
            loss = loss + factor * (mean - target).square().sum()
        told = F.cross_entropy(features @ means[-1].flatten(1).T, labels, reduction="sum")
        loss = loss + self.params.discrimination * told
        return loss.detach(), list(torch.autograd.grad(loss, means))

    def _slope_of(self, seen: Tensor, slopes: list[Tensor]) -> Tensor:
        """The gradient with respect to the learned images, from that of their class means."""
        leaf = seen.detach().requires_grad_()
        outputs = self._outputs(leaf.flatten(0, 1))
        means = [output.unflatten(0, leaf.shape[:2]).mean(1) for output in outputs]
        return torch.autograd.grad(means, leaf, slopes)[0]


def make(params: Cafe, task: Task) -> Learner:
    return FeatureAlignment(params, task)
