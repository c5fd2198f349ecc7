"""How fast images are learned: the workflow's engines against the loops of the authors' programs.

    python benchmarks/learn.py [--case dm dc] [--size cifar small] [--ipc 1 10] [--threads N]

The plain loops are written as the released programs have them: one class after the other, 256 real
images at once, the losses of the classes summed, one backward pass; float32, with DSA. Both sides
draw the same random numbers. They are timed in turn, the medians are taken, and the losses are
compared: what differs is the order of sums, which later steps amplify.

dm: a step of the images. dc: the same at one image a class; at more also the 50 epochs of the
network that come after it.

Each side has its own process. On a CPU a third of the plain loops' time goes into memory that the
system takes back and gives again; run with MALLOC_MMAP_THRESHOLD_=4000000000 and
MALLOC_TRIM_THRESHOLD_=8000000000 in the environment to compare without that.
"""

import argparse
import itertools
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import torch
import torch.nn.functional as F
from timing import timed
from torch import Tensor

from scdd.data.source import Split
from scdd.learn.learner import Task
from scdd.learn.matching import Draws, draw_step
from scdd.learn.methods import dc, dm
from scdd.learn.networks import Fresh
from scdd.learn.real import RealImages
from scdd.learn.training import draw_epochs
from scdd.params.learn import Dc, Dm
from scdd.params.network import Network
from scdd.rng import generator
from scdd.views.dsa import dsa

ROUNDS = 3
BATCH, POOL, INNER = 256, 500, 50  # of each class: real images in a step, and in all; epochs
SIZES = {"cifar": (32, 1.0), "small": (16, 0.25)}  # pixels a side, width


@dataclass(frozen=True)
class Setting:
    """What is learned. size: a key of SIZES."""

    case: str
    size: str
    classes: int
    ipc: int
    device: torch.device
    threads: int

    def task(self) -> Task:
        resolution, width = SIZES[self.size]
        shape = self.classes * POOL, 3, resolution, resolution
        pixels = torch.randint(256, shape, generator=generator("pixels")).byte()
        split = Split(torch.arange(self.classes).repeat(POOL), pixels, (), resolution)
        real = RealImages(split.to(self.device), self.classes, as_seen)
        start = torch.randn(self.classes * self.ipc, *shape[1:], generator=generator("start"))
        network = Network("convnet3", width, "imagenet")
        return Task(start.to(self.device), self.classes, real, network, seed=0)

    def params(self) -> Dm | Dc:
        if self.case == "dm":
            return Dm(iterations=1, lr_images=1.0)
        # with one image a class the network is not trained; else the steps of one network go on
        return Dc(iterations=1, lr_images=0.1, outer=1 if self.ipc == 1 else 100, inner=INNER)


def as_seen(images: Tensor) -> Tensor:
    return images.float().div_(255).sub_(0.5).div_(0.25)


class Plain:
    """What the programs keep: images with gradients, a network, and all real images as floats."""

    def __init__(self, params: Dm | Dc, task: Task) -> None:
        self.params, self.task = params, task
        self.pool = as_seen(task.real.split.images(torch.arange(len(task.real.split))))
        self.images = task.start.clone().requires_grad_()
        self.labels = torch.arange(task.classes, device=task.device).repeat_interleave(task.ipc)
        self.optimizer = torch.optim.SGD([self.images], lr=params.lr_images, momentum=0.5)
        self.fresh = Fresh(task.network, task.classes, task.resolution, task.device, task.seed)
        self.network = self.fresh.network
        self.iteration = self.steps = 0

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
        self.fresh.draw(self.iteration)
        self.network.requires_grad_(False)
        draws, loss = draw_step(self.params, self.task, self.iteration), torch.zeros(())
        for label in range(self.task.classes):
            real, learned = self.of_class(label, draws)
            target = self.network.blocks(real).flatten(1).detach()
            found = self.network.blocks(learned).flatten(1)
            loss = loss + ((target.mean(0) - found.mean(0)) ** 2).sum()
        self.iteration += 1
        return self.descend(loss)


class PlainDc(Plain):
    def step(self) -> Tensor:
        if self.steps == 0:
            self.fresh.draw(self.iteration)
        draws = draw_step(self.params, self.task, self.iteration, self.steps)
        loss = torch.zeros(())
        weights = list(self.network.parameters())
        for label in range(self.task.classes):
            real, learned = self.of_class(label, draws)
            error = F.cross_entropy(self.network(real), self.labels.new_full((len(real),), label))
            target = [g.detach().clone() for g in torch.autograd.grad(error, weights)]
            error = F.cross_entropy(
                self.network(learned), self.labels.new_full((len(learned),), label)
            )
            found = torch.autograd.grad(error, weights, create_graph=True)
            for a, b in zip(found, target, strict=True):
                loss = loss + apart(a, b) if a.ndim > 1 else loss
        value = self.descend(loss)
        if self.steps + 1 == self.params.outer:
            self.iteration, self.steps = self.iteration + 1, 0
        else:
            self.train()
            self.steps += 1
        return value

    def train(self) -> None:
        images = self.images.detach().clone()
        optimizer = torch.optim.SGD(self.network.parameters(), lr=0.01)
        draw = generator(self.task.seed, "epochs", self.iteration, self.steps)
        for epoch in draw_epochs(self.params, images, INNER, draw):
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


class Side:
    """One of the two, in a process of its own: how its library keeps memory is its own affair."""

    def __init__(self, setting: Setting, plain: bool) -> None:
        self.process = ProcessPoolExecutor(1, get_context("spawn"), _begin, (setting, plain))
        self.losses: list[float] = []

    def __call__(self) -> None:
        self.losses.append(self.process.submit(_step).result())


def _begin(setting: Setting, plain: bool) -> None:
    global step  # noqa: PLW0603
    torch.set_num_threads(setting.threads)
    params, task = setting.params(), setting.task()
    if plain:
        step = {"dm": PlainDm, "dc": PlainDc}[setting.case](params, task).step
    else:
        step = {"dm": dm, "dc": dc}[setting.case].make(params, task).advance


def _step() -> float:
    return step().item()


def measure(setting: Setting, rounds: int) -> None:
    sides = {"plain": Side(setting, plain=True), "ours": Side(setting, plain=False)}
    seconds, _ = timed(sides, setting.device, rounds)
    pairs = zip(sides["plain"].losses, sides["ours"].losses, strict=True)
    off = max(abs(own / theirs - 1) for theirs, own in pairs)
    print(
        f"{setting.case}, {setting.size}, {setting.classes} classes of {setting.ipc}: plain "
        f"{seconds['plain']:.3f} s, ours {seconds['ours']:.3f} s, "
        f"{seconds['plain'] / seconds['ours']:.2f} times as fast; losses differ by {off:.1e} "
        "at most",
        flush=True,
    )


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
    print(f"{device}, torch {torch.__version__}, {args.threads} threads")
    for case, size, ipc in itertools.product(args.case, args.size, args.ipc):
        measure(Setting(case, size, args.classes, ipc, device, args.threads), args.rounds)


if __name__ == "__main__":
    main()
