"""How fast trajectories are matched: the workflow's engine against the loop of MTT's program.

    python benchmarks/trajectory.py [--size cifar small] [--ipc 1 10] [--steps 5] [--threads N]

The plain loop is written as the released program has it: the student's steps are unrolled with
their graphs, parameters are one vector, and one backward pass goes through all of it; float32, with
DSA. Both sides make the same iteration of random images and parameters, are timed in turn, and the
medians are taken; loss and gradients are compared. Times are of an image in a step.

    python benchmarks/trajectory.py --memory [--size cifar] [--ipc 1]

compares the most memory that each side takes, in processes of their own, at 5 and at 30 steps.

On a CPU much of both sides' time is spent on memory that the system takes back and gives again.
With MALLOC_MMAP_THRESHOLD_=4000000000 MALLOC_TRIM_THRESHOLD_=8000000000 it is not.
"""

import argparse
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from timing import timed
from torch import Tensor
from torch.func import functional_call

from scdd.data.source import Split
from scdd.learn.flat import flatten
from scdd.learn.learner import Task
from scdd.learn.methods.trajectory import Chase, TrajectoryMatching, draw_batches
from scdd.learn.real import RealImages
from scdd.networks.students import build
from scdd.params.learn import Trajectory
from scdd.params.network import Network
from scdd.rng import generator
from scdd.views.dsa import dsa

ROUNDS, MOVED = 3, 0.01  # MOVED: how far the target is from the start, for each parameter
SIZES = {"cifar": (32, 1.0), "small": (16, 0.25)}  # pixels a side, width
MEMORY_AT = (5, 30)  # steps
Slope = tuple[Tensor, ...]  # the loss, and its gradients: of the images and of the rate


def problem(
    size: str, ipc: int, classes: int, steps: int, device: torch.device
) -> tuple[TrajectoryMatching, Chase]:
    """A learner and an iteration of random images and parameters."""
    resolution, width = SIZES[size]
    params = Trajectory(
        iterations=1,
        lr_images=1.0,
        network=Network("convnet3", width, "imagenet"),
        steps=steps,
        expert_epochs=1,
        max_start=1,
        student_lr=0.01,
        lr_student_lr=0.0,
    )
    count, shape = classes * ipc, (3, resolution, resolution)
    images = torch.randn(count, *shape, generator=generator("start")).to(device)
    none = Split(torch.arange(classes), torch.zeros(classes, *shape).byte(), (), resolution)
    real = RealImages(none, classes, Tensor.float)
    learner = TrajectoryMatching(params, Task(images, classes, real, params.network, seed=0))
    start = flatten(build(params.network, classes, resolution, generator("start")))
    target = start + MOVED * torch.randn(len(start), generator=generator("target"))
    batches = draw_batches(params, count, generator("batches"))
    return learner, Chase(start.to(device), target.to(device), batches)


def plain(learner: TrajectoryMatching, chase: Chase) -> Slope:
    """One iteration as MTT's program has it."""
    network, layout = learner.student.network, learner.student.layout
    images = learner.images.detach().clone().requires_grad_()
    rate = learner.student_lr.detach().clone().requires_grad_()
    labels = learner.targets.argmax(1)
    path = [chase.start.clone().requires_grad_()]
    for batch in chase.batches:
        seen = images[batch.rows]
        if batch.strategy is not None:
            seen = dsa(seen, batch.strategy, batch.chances.to(images))
        logits = functional_call(network, layout.split(path[-1]), (seen,))
        loss = F.cross_entropy(logits, labels[batch.rows])
        (gradient,) = torch.autograd.grad(loss, path[-1], create_graph=True)
        path.append(path[-1] - rate * gradient)
    total = F.mse_loss(path[-1], chase.target, reduction="sum")
    total = total / F.mse_loss(chase.start, chase.target, reduction="sum")
    total.backward()
    assert images.grad is not None and rate.grad is not None
    return total.detach(), images.grad, rate.grad


def sides(learner: TrajectoryMatching, chase: Chase) -> dict[str, Callable[[], Slope]]:
    return {"plain": lambda: plain(learner, chase), "ours": lambda: learner.slope(chase)}


def compare(
    size: str, ipc: int, classes: int, steps: int, device: torch.device, rounds: int
) -> None:
    learner, chase = problem(size, ipc, classes, steps, device)
    both = sides(learner, chase)
    seconds, peaks = timed(dict(both), device, rounds)
    theirs, own = (side() for side in both.values())
    off = [((a - b).norm() / b.norm()).item() for a, b in zip(own, theirs, strict=True)]
    each = {side: 1000 * took / steps / ipc / classes for side, took in seconds.items()}
    gpu = "".join(f", {side} {peak / 2**20:.0f} MiB" for side, peak in peaks.items())
    print(
        f"{size}, {classes} classes of {ipc}, {steps} steps: plain {each['plain']:.2f} ms, ours "
        f"{each['ours']:.2f} ms, {each['plain'] / each['ours']:.2f} times as fast{gpu}; relative "
        f"difference of loss {off[0]:.1e}, of the gradients of images {off[1]:.1e} and rate "
        f"{off[2]:.1e}",
        flush=True,
    )


def peak() -> float:
    """The most memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def alone(side: str, size: str, ipc: int, classes: int, steps: int) -> None:
    """Print how much memory an iteration takes, in MiB, beside what it works on."""
    learner, chase = problem(size, ipc, classes, steps, torch.device("cpu"))
    warm, short = problem("small", 1, classes, 1, torch.device("cpu"))
    sides(warm, short)[side]()  # libraries take memory of their own
    before = peak()
    sides(learner, chase)[side]()
    print(peak() - before)


def memory(size: str, ipc: int, classes: int, threads: int) -> None:
    for steps in MEMORY_AT:
        taken = {}
        for side in ("plain", "ours"):
            numbers = ("--ipc", ipc, "--classes", classes, "--steps", steps, "--threads", threads)
            command = [sys.executable, Path(__file__), "--alone", side, "--size", size, *numbers]
            done = subprocess.run(
                list(map(str, command)), capture_output=True, text=True, check=True
            )
            taken[side] = float(done.stdout.split()[-1])
        print(
            f"{size}, {classes} classes of {ipc}, {steps} steps: plain {taken['plain']:.0f} MiB, "
            f"ours {taken['ours']:.0f} MiB, 1/{taken['plain'] / taken['ours']:.1f} of it",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--size", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--ipc", nargs="+", type=int, default=[1, 10])
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--memory", action="store_true", help="compare it, and time nothing")
    parser.add_argument("--alone", choices=["plain", "ours"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    device = torch.device(args.device)
    torch.set_num_threads(args.threads)
    if args.alone:
        alone(args.alone, args.size[0], args.ipc[0], args.classes, args.steps)
        return
    print(f"{device}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    for size in args.size:
        for ipc in args.ipc:
            if args.memory:
                memory(size, ipc, args.classes, args.threads)
            else:
                compare(size, ipc, args.classes, args.steps, device, args.rounds)


if __name__ == "__main__":
    main()
