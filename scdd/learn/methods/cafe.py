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
from scdd.learn.matching import Draws, Matching, draw_step
from scdd.learn.training import Training, draw_epochs
from scdd.networks.schedules import stepped
from scdd.params.learn import Cafe
from scdd.rng import generator

ACCURACIES = 10  # that are looked at
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
                f"network {task.network.arch} has {depth(self.weights)} blocks; cafe's `layers` "
                "has weights for 3 or 4. Choose convnet3 or convnet4."
            )
        self.params, self.steps = params, params.most_steps
        self.training = Training(
            self.weights,
            self.images,
            self.classes.repeat_interleave(task.ipc),
            lr=params.lr_network,
            batch=params.batch_network,
            most=self.most,
            compiled=task.compiled,
        )
        self.accuracies: list[float] = []  # the last ones, each after a step of the images
        self.bounds = [0, 0]  # how often most_steps was met, and most_epochs
        self.state = {**self.state, "accuracies": self.accuracies, "bounds": self.bounds}
        self.of_real = captured(self._of_real, task.device, task.compiled)
        self.of_learned = captured(self._of_learned, task.device, task.compiled)
        self.compare = captured(self._compare, task.device, task.compiled)
        self.slope_of = captured(self._slope_of, task.device, task.compiled)
        self.hits = captured(self._hits, task.device, task.compiled)

    def advance(self) -> Tensor:
        iteration, step = self.position
        if step == 0:
            self.fresh.draw("network", iteration)
            self.accuracies.clear()
        params, rate = self.params, self.optimizer.param_groups[0]
        rate["lr"] = stepped(iteration, params.iterations, params.lr_images, params.milestones, 0.5)
        loss = self.step(draw_step(params, self.task, iteration, step))
        self.position[1] += 1
        gap = spread(self.accuracies, self.accuracy(iteration, step), self.task.classes)
        calm = gap is not None and gap < params.calm
        if not calm and self.position[1] == params.most_steps:
            self.meet(
                0,
                f"most_steps: after {params.most_steps} steps of the images the accuracy is "
                f"not calm",
            )
        if calm or self.position[1] == params.most_steps:
            self.position[:] = [iteration + 1, 0]
        else:
            self.train(iteration, step)
        return loss

    def step(self, draws: Draws) -> Tensor:
        """A step of the images with the current network; returns the loss before it, []."""
        draws, images = draws.like(self.images), self.by_class()
        real, features, learned, views = [], [], [], []
        for classes in self.groups:
            means, each = self.of_real(draws.real(self.task.real, classes))
            real.append([mean.clone() for mean in means])
            features.append(each.clone())
            own = images[classes].detach().requires_grad_()
            seen = draws.augment(own, classes)
            learned.append([mean.clone() for mean in self.of_learned(seen.detach())])
            views.append((own, seen))
        loss, slopes = self.compare(
            [torch.cat(means) for means in zip(*real, strict=True)],
            torch.cat(features),
            [torch.cat(means) for means in zip(*learned, strict=True)],
        )
        gradient = torch.empty_like(images)
        for classes, (own, seen) in zip(self.groups, views, strict=True):
            of_seen = self.slope_of(seen.detach(), [slope[classes] for slope in slopes])
            (gradient[classes],) = torch.autograd.grad(seen, own, of_seen)
        self.descend(gradient.flatten(0, 1))
        return loss.clone()

    def train(self, iteration: int, step: int) -> None:
        """The network's epochs after this step of the images."""
        params, accuracies = self.params, list[float]()
        for epoch in range(params.most_epochs):
            position = iteration, step, epoch
            draw = generator(self.task.seed, "inner", *position)
            settings = 1, self.images, params.batch_network, params.dsa
            self.training.epoch(*draw_epochs(*settings, draw))
            gap = spread(accuracies, self.accuracy(*position), self.task.classes)
            if gap is not None and gap > params.moved:
                return
        self.meet(
            1,
            f"most_epochs: in {params.most_epochs} epochs of the network the accuracy has "
            "not moved",
        )

    def meet(self, which: int, what: str) -> None:
        """Count a bound that is met, and say so the first time, the tenth, the hundredth …"""
        self.bounds[which] += 1
        if str(self.bounds[which]).strip("0") == "1":
            say(f"cafe, {what}; {self.bounds[which]} times so far")

    def accuracy(self, *position: int) -> float:
        """The sum of the network's accuracies on some real images of each class."""
        rows = self.task.real.draw(self.params.watch, generator(self.task.seed, "watch", *position))
        hits = sum(
            self.hits(self.task.real[rows[classes]], self.classes[classes]).clone()
            for classes in self.groups
        )
        return float(hits) / rows.shape[1]

    @torch.no_grad()
    def _hits(self, real: Tensor, labels: Tensor) -> Tensor:
        """How many images float [k, n, 3, R, R] are classified right."""
        total = labels.new_zeros(())
        for some, these in passes(*real.shape[:2], self.most):
            part = real[some, these]
            right = logits(self.weights, part.flatten(0, 1)).argmax(1).unflatten(0, part.shape[:2])
            total += (right == labels[some, None]).sum()
        return total

    def _outputs(self, images: Tensor) -> list[Tensor]:
        made = list(blocks(self.weights, images))
        return [active for active, _ in made[: len(self.params.layers) - 1]] + [made[-1][1]]

    def _of_real(self, real: Tensor) -> tuple[list[Tensor], Tensor]:
        """Class means of all outputs, and the last output of each image, flattened."""
        each: list[Tensor] = []

        def outputs(images: Tensor) -> list[Tensor]:
            made = self._outputs(images)
            each.append(made[-1].flatten(1))
            return made

        means = class_means(outputs, real, self.most)
        return means, torch.cat(each)

    def _of_learned(self, seen: Tensor) -> list[Tensor]:
        return class_means(self._outputs, seen, self.most)

    def _compare(
        self, real: list[Tensor], features: Tensor, learned: list[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """The loss of means of K classes, and features float [K * b, F] of the real images; and its
        gradient with respect to the learned images' means."""
        labels = self.classes.repeat_interleave(len(features) // len(self.classes))
        means = [mean.detach().requires_grad_() for mean in learned]
        *_, last = means
        # what is pooled last counts once more, as the features that the linear layer sees
        factors = *self.params.layers[:-1], self.params.layers[-1] + 1
        loss = F.cross_entropy(F.linear(features, *self.weights[-LAST:]).detach(), labels)
        for factor, mean, target in zip(factors, means, real, strict=True):
            loss = loss + factor * (mean - target).square().sum()
        told = F.cross_entropy(features @ last.flatten(1).T, labels, reduction="sum")
        loss = loss + self.params.discrimination * told
        return loss.detach(), list(torch.autograd.grad(loss, means))

    def _slope_of(self, seen: Tensor, slopes: list[Tensor]) -> Tensor:
        """The gradient with respect to the learned images, from that of their means."""
        leaf = seen.detach().requires_grad_()
        made = self._outputs(leaf.flatten(0, 1))
        means = [output.unflatten(0, leaf.shape[:2]).mean(1) for output in made]
        return torch.autograd.grad(means, leaf, slopes)[0]


def make(params: Cafe, task: Task) -> Learner:
    return FeatureAlignment(params, task)
