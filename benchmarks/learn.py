"""How fast images are learned: the workflow's engines against the loops of the authors' programs.

    python benchmarks/learn.py [--case dm dc] [--size cifar small] [--ipc 1 10] [--threads N]

The plain loops are written as the released programs have them: one class after the other, 256 real
images at once, the losses of the classes summed, one backward pass; float32, with DSA. Both sides
draw the same random numbers. They are timed in turn, the medians are taken, and the losses are
compared: what differs is the order of sums, which later steps amplify.

dm: a step of the images. dc: the same at one image a class; at more also the 50 epochs of the
network that come after it.

On a CPU much of the plain loops' time is spent on memory that the system takes back and gives
again. With MALLOC_MMAP_THRESHOLD_=4000000000 MALLOC_TRIM_THRESHOLD_=8000000000 it is not.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from timing import timed
from torch import Tensor

from scdd.data.source import Split
from scdd.learn.learner import Task
from scdd.learn.matching import Draws, Matching, draw_step
from scdd.learn.methods import dc, dm
from scdd.learn.real import RealImages
from scdd.params.learn import Dc, Dm
from scdd.params.network import Network
from scdd.rng import generator
from scdd.views.dsa import dsa

ROUNDS = 3
BATCH, POOL, INNER = 256, 500, 50  # of each class: real images in a step, and in all; epochs
SIZES = {"cifar": (32, 1.0), "small": (16, 0.25)}  # pixels a side, width


@dataclass(frozen=True)
class Side:
    """One of the two: its step, and the losses of the steps so far."""

    step: Callable[[], Tensor]
    losses: list[Tensor]

    def __call__(self) -> None:
        self.losses.append(self.step())


class Plain:
    """What the programs keep: images with gradients, a network, and all real images as floats. The
    draws are those of `twin`, which computes nothing."""

    def __init__(self, twin: Matching, task: Task, pool: Tensor) -> None:
        self.twin, self.task, self.pool = twin, task, pool
        self.images = task.start.clone().requires_grad_()
        self.labels = torch.arange(task.classes, device=task.device).repeat_interleave(task.ipc)
        self.optimizer = torch.optim.SGD(
            [self.images], lr=twin.optimizer.defaults["lr"], momentum=0.5
        )
        self.network = twin.fresh.network

    def of_class(self, label: int, draws: Draws) -> tuple[Tensor, Tensor]:
        """Real and learned images, augmented alike."""
        real = self.pool[draws.rows[label]]
        learned = self.images[label * self.task.ipc : (label + 1) * self.task.ipc]
        assert draws.siamese is not None
        strategy, numbers = draws.siamese.strategies[label], draws.siamese.chances[label]
        numbers = numbers.to(self.images)
        return (
            dsa(real, strategy, numbers.expand(len(real), -1)),
            dsa(learned, strategy, numbers.expand(len(learned), -1)),
        )

    def descend(self, loss: Tensor) -> Tensor:
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.detach()


class PlainDm(Plain):
    def step(self) -> Tensor:
        position = self.twin.position
        self.twin.fresh.draw("network", position[0])
        self.network.requires_grad_(False)
        draws, loss = draw_step(self.twin.params, self.task, position[0]), 0
        for label in range(self.task.classes):
            real, learned = self.of_class(label, draws)
            target = self.network.blocks(real).flatten(1).detach()
            found = self.network.blocks(learned).flatten(1)
            loss += ((target.mean(0) - found.mean(0)) ** 2).sum()
        position[0] += 1
        return self.descend(loss)


class PlainDc(Plain):
    def step(self) -> Tensor:
        iteration, step = self.twin.position
        if step == 0:
            self.twin.fresh.draw("network", iteration)
        draws, loss = draw_step(self.twin.params, self.task, iteration, step), 0
        weights = list(self.network.parameters())
        for label in range(self.task.classes):
            real, learned = self.of_class(label, draws)
            error = F.cross_entropy(self.network(real), self.labels.new_full((len(real),), label))
            target = [g.detach().clone() for g in torch.autograd.grad(error, weights)]
            error = F.cross_entropy(
                self.network(learned), self.labels.new_full((len(learned),), label)
            )
            found = torch.autograd.grad(error, weights, create_graph=True)
            loss += sum(apart(a, b) for a, b in zip(found, target, strict=True) if a.ndim > 1)
        value = self.descend(loss)
        if step + 1 < self.twin.params.outer:
            self.twin.position[1] += 1
            self.train(iteration, step)
        else:
            self.twin.position[:] = [iteration + 1, 0]
        return value

    def train(self, iteration: int, step: int) -> None:
        images = self.images.detach().clone()
        optimizer = torch.optim.SGD(self.network.parameters(), lr=0.01)
        for epoch in self.twin.training.draw(INNER, iteration, step):
            parts = zip(
                epoch.order.split(BATCH), epoch.chances.split(BATCH), epoch.strategies, strict=True
            )
            for rows, numbers, strategy in parts:
                seen = dsa(images[rows], strategy, numbers)
                loss = F.cross_entropy(self.network(seen), self.labels[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()


def apart(found: Tensor, target: Tensor) -> Tensor:
    found, target = found.flatten(1), target.flatten(1)
    lengths = found.norm(dim=1) * target.norm(dim=1) + 1e-6
    return (1 - (found * target).sum(1) / lengths).sum()


def make(case: str, task: Task, ipc: int) -> Matching:
    if case == "dm":
        return dm.MeanMatching(Dm(iterations=1, lr_images=1.0), task)
    # with one image a class the network is not trained; else the steps of one network go on
    outer = 1 if ipc == 1 else 100
    return dc.GradientMatching(Dc(iterations=1, lr_images=0.1, outer=outer, inner=INNER), task)


def measure(
    case: str, size: str, ipc: int, classes: int, device: torch.device, rounds: int
) -> tuple[dict[str, float], float]:
    """Median seconds of each side, and the largest relative difference of two losses."""
    resolution, width = SIZES[size]
    pixels = torch.randint(
        256, (classes * POOL, 3, resolution, resolution), generator=generator("pixels")
    ).byte()
    split = Split(torch.arange(classes).repeat(POOL), pixels, (), resolution).to(device)

    def as_seen(images: Tensor) -> Tensor:
        return images.to(device).float().div_(255).sub_(0.5).div_(0.25)

    start = torch.randn(classes * ipc, 3, resolution, resolution, generator=generator("start")).to(
        device
    )
    network = Network("convnet3", width, "imagenet")
    task = Task(start, classes, RealImages(split, classes, as_seen), network, seed=0)
    plain = {"dm": PlainDm, "dc": PlainDc}[case](make(case, task, ipc), task, as_seen(split.pixels))
    ours = make(case, task, ipc)
    sides = {"plain": Side(plain.step, []), "ours": Side(ours.advance, [])}
    seconds, _ = timed(sides, device, rounds)
    theirs, own = (torch.stack(side.losses).double() for side in sides.values())
    return seconds, ((own - theirs).abs() / theirs).max().item()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--case", nargs="+", choices=["dm", "dc"], default=["dm", "dc"])
    parser.add_argument("--size", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--ipc", nargs="+", type=int, default=[1, 10])
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    args = parser.parse_args()
    device = torch.device(args.device)
    torch.set_num_threads(args.threads)
    print(f"{device}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    for case in args.case:
        for size in args.size:
            for ipc in args.ipc:
                seconds, off = measure(case, size, ipc, args.classes, device, args.rounds)
                print(
                    f"{case}, {size}, {args.classes} classes of {ipc}: plain "
                    f"{seconds['plain']:.3f} s, ours {seconds['ours']:.3f} s, "
                    f"{seconds['plain'] / seconds['ours']:.2f} times as fast; losses differ by "
                    f"{off:.1e} at most",
                    flush=True,
                )


if __name__ == "__main__":
    main()
