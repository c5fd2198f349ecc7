"""How fast the recovery is: the workflow's engine against a plain loop.

    python benchmarks/recover.py [--device cuda] [--case cifar imagenet-r18 imagenet-r50]

The plain loop is written as the released code has it: one unit at a time, float32, hooks that take
mean and variance apart, torch's Adam. Both sides make the same iterations of the same units from
random teachers; they are timed in turn, and the medians are taken. FLOP are counted by torch, of
the plain loop: convolutions and products, forward and the gradient of the images.

    python benchmarks/recover.py --memory [--case imagenet-r50]

counts the peak memory of a pass with one unit: the bytes of all tensors that are alive at once in
two iterations of 16 and of 32 images, extended linearly to the unit's. What a GPU's libraries
use beside tensors is not in it.

    python benchmarks/recover.py --packing --threads 1

compares what passes of one, two and four units give.

    python benchmarks/recover.py --matched [--case cifar cifar-narrow]

times what can be matched, beside BatchNorm statistics alone.
"""

import argparse
import itertools
import math
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import torch
from timing import side_of, timed
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from scdd.jobs.capture import Compiled
from scdd.networks.resnet import build
from scdd.params.network import Network
from scdd.params.recover import Recover
from scdd.recover.engine import Units, recover_units
from scdd.recover.targets import of_batch, real_statistics
from scdd.recover.units import Unit, draw_unit
from scdd.rng import generator

ROUNDS = 3
PRECISIONS = ("float32", "bf16")


@dataclass(frozen=True)
class Case:
    """An architecture, images of `classes` classes (a unit) and their recovery."""

    architecture: Network
    classes: int
    resolution: int
    settings: Recover


CIFAR = Recover(
    iterations=1,
    lr=0.4,
    r_bn=0.005,
    shift=4,
    crop=None,
    flip=False,
    precision="float32",
)
IMAGENET = replace(CIFAR, lr=0.25, r_bn=0.01, shift=32, crop=(0.08, 1.0), flip=True)
CASES = {
    "cifar": Case(Network("resnet18", 1.0, "small"), 100, 32, CIFAR),
    "cifar-narrow": Case(Network("resnet18", 0.25, "small"), 100, 32, CIFAR),
    "imagenet-r18": Case(Network("resnet18", 1.0, "imagenet"), 100, 224, IMAGENET),
    "imagenet-r50": Case(Network("resnet50", 1.0, "imagenet"), 100, 224, IMAGENET),
}


class Statistics:
    """A hook on a BatchNorm layer, as DeepInversion's."""

    def __init__(self, layer: nn.BatchNorm2d) -> None:
        layer.register_forward_hook(self.look)
        self.distance = torch.zeros(())

    def look(self, layer: nn.BatchNorm2d, inputs: tuple[Tensor, ...], _: Tensor) -> None:
        x = inputs[0]
        mean = x.mean([0, 2, 3])
        variance = x.permute(1, 0, 2, 3).contiguous().view(x.shape[1], -1).var(1, correction=0)
        self.distance = torch.norm(layer.running_var - variance, 2) + torch.norm(
            layer.running_mean - mean, 2
        )


def plain(network: nn.Module, labels: Tensor, units: list[Unit], settings: Recover) -> None:
    """One unit after the other."""
    hooks = [Statistics(part) for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
    for unit in units:
        images = unit.start.to(labels.device).requires_grad_()
        adam = torch.optim.Adam([images], lr=settings.lr, betas=settings.betas, eps=1e-8)
        for step in range(settings.iterations):
            adam.param_groups[0]["lr"] = (
                0.5 * settings.lr * (1 + math.cos(math.pi * step / settings.iterations))
            )
            view = images
            if unit.boxes is not None:
                top, left, height, width = unit.boxes[step, 0].tolist()
                view = view[:, :, top : top + height, left : left + width]
                size = images.shape[-2:]
                view = F.interpolate(view, size, mode="bilinear", antialias=True)
            if unit.flips[step, 0]:
                view = view.flip(3)
            view = view.roll(unit.shifts[step].tolist(), dims=(2, 3))
            adam.zero_grad()
            loss = F.cross_entropy(network(view), labels)
            factors = [settings.first_bn_multiplier] + [1.0] * (len(hooks) - 1)
            distance = sum(f * hook.distance for f, hook in zip(factors, hooks, strict=True))
            (loss + settings.r_bn * distance).backward()
            adam.step()
            images.data.clamp_(-2, 2)


@dataclass(frozen=True)
class Speed:
    """What each side makes of a case: image iterations a second, and the most memory, in bytes,
    that torch had on a GPU meanwhile. gflop: of an image and iteration."""

    gflop: float
    rates: dict[str, float]
    peaks: dict[str, int]


class Job:
    """A case's units, and how each side recovers them."""

    def __init__(
        self, name: str, device: torch.device, slots: int, iterations: int, classes: int | None
    ) -> None:
        self.name, self.device, case = name, device, CASES[name]
        self.architecture = case.architecture
        self.classes = classes or case.classes
        self.settings = replace(case.settings, iterations=iterations)
        self.labels = torch.arange(self.classes, device=device)
        self.units = [
            draw_unit(self.settings, self.labels.cpu(), case.resolution, seed=0, block=0, slot=slot)
            for slot in range(slots)
        ]

    def network(self) -> nn.Module:
        teacher = build(self.architecture, self.classes, generator(0))
        return teacher.to(self.device).eval().requires_grad_(False)

    def plain(self) -> Callable[[], object]:
        teacher = self.network()
        return lambda: plain(teacher, self.labels, self.units, self.settings)

    def ours(self, precision: str, compiled: Compiled = "none") -> Callable[[], object]:
        teacher, own = self.network(), replace(self.settings, precision=precision)
        ends = torch.full((3, 1, 1), 2.0, device=self.device)
        return lambda: recover_units(
            [teacher],
            Units(range(len(self.units)), self.classes, self.units.__getitem__, self.name),
            own,
            (-ends, ends),
            compiled=compiled,
        )


def measure(
    name: str,
    device: torch.device,
    slots: int,
    iterations: int,
    classes: int | None = None,
    ways: Sequence[Compiled] = ("none",),
    rounds: int = ROUNDS,
) -> Speed:
    """The plain loop, and the engine in float32, and in bf16 in each of the `ways`."""
    job = Job(name, device, slots, iterations, classes)
    with FlopCounterMode(display=False) as counter:
        plain(job.network(), job.labels, job.units[:1], replace(job.settings, iterations=1))
    each = counter.get_total_flops() / job.classes
    sides = {
        "plain": job.plain(),
        "float32": job.ours("float32"),
        **{side_of("bf16", way): job.ours("bf16", way) for way in ways},
    }
    seconds, peaks = timed(sides, device, rounds)
    done = slots * job.classes * iterations
    return Speed(each / 1e9, {side: done / took for side, took in seconds.items()}, peaks)


def show(name: str, speed: Speed, peak: float) -> None:
    print(f"{name}: {speed.gflop:.2f} GFLOP an image and iteration")
    for side, rate in speed.rates.items():
        share = f", {rate * speed.gflop / peak / 10:.0f} % of {peak:g} TFLOP/s" if peak else ""
        ratio = rate / speed.rates["plain"]
        print(f"{side}: {rate:.0f} image iterations/s, {ratio:.2f} times as fast as plain{share}")


def packing(device: torch.device) -> None:
    """How far four units are from the same in passes of one, after one and after ten steps."""
    settings = replace(CASES["cifar"].settings, iterations=10)
    valid = (torch.full((3, 1, 1), -2.0, device=device), torch.full((3, 1, 1), 2.0, device=device))
    cases = itertools.product((("resnet18", 32), ("resnet50", 64)), PRECISIONS, (4, 10))
    for (arch, resolution), precision, size in cases:
        own = replace(settings, precision=precision)

        def unit(
            slot: int, own: Recover = own, size: int = size, resolution: int = resolution
        ) -> Unit:
            return draw_unit(own, torch.arange(size), resolution, seed=0, block=0, slot=slot)

        made = {}
        for width in (1, 2, 4):
            network = build(Network(arch, 0.125, "small"), size, generator(0)).to(device)
            made[width] = recover_units(
                [network], Units(range(4), size, unit), own, valid, width=width
            )
        for width in (2, 4):
            loss = (made[width].losses[:, 0] / made[1].losses[:, 0] - 1).abs().max()
            off = (made[width].images - made[1].images).abs()
            print(
                f"{arch}, {resolution} pixels, {precision}, units of {size}, {width} a pass: first "
                f"loss {loss:.1e}, pixels after 10 steps {off.max():.1e} at most, "
                f"{100 * (off > 1e-3).float().mean():.0f} % of them more than 1e-3"
            )


class Alive(TorchDispatchMode):
    """Bytes of the tensors that are made within, as long as they live, and their peak."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.known: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(made):
            if isinstance(leaf, Tensor):
                self.count(leaf.untyped_storage())
        return made

    def count(self, storage: torch.UntypedStorage) -> None:
        # one that was known before belongs to an input, or is seen through another view
        if (key := storage.data_ptr()) in self.known or not storage.nbytes():
            return
        size = storage.nbytes()
        self.known.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self.gone, key, size)

    def gone(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.now -= size


def memory(name: str, precision: str) -> tuple[float, float]:
    """Bytes that an image takes, and a pass of one unit with the network."""
    case = CASES[name]
    settings = replace(case.settings, iterations=2, precision=precision)
    valid = torch.full((3, 1, 1), -2.0), torch.full((3, 1, 1), 2.0)
    peaks = []
    few, more = 16, 32  # enough to outweigh the copy of the weights in bf16
    for classes in (few, more):
        network = build(case.architecture, classes, generator(0)).eval()
        labels = torch.arange(classes)
        units = [draw_unit(settings, labels, case.resolution, seed=0, block=0, slot=0)]
        with Alive() as alive:
            recover_units([network], Units([0], classes, units.__getitem__, name), settings, valid)
        peaks.append(alive.peak)
    each = (peaks[1] - peaks[0]) / (more - few)
    weights = sum(w.nbytes for w in network.parameters())
    return each, peaks[0] + (case.classes - few) * each + weights


# what is matched, beside BatchNorm statistics
MATCHED: dict[str, dict[str, Any]] = {
    "BatchNorm": {},
    "BatchNorm, averages": {"momentum": 0.8},
    "channels": {"convolutions": "channels"},
    "patches": {"convolutions": "patches"},
    "as G-VBSM": {"convolutions": "patches", "momentum": 0.8, "drop": 0.4, "densification": 1.0},
    "as EDC": {"convolutions": "patches", "momentum": 0.8, "class_share": 0.5},
}


def matched(
    name: str, device: torch.device, iterations: int, classes: int | None, rounds: int
) -> dict[str, float]:
    """Seconds of one unit's iterations, for each of MATCHED. Real images are noise."""
    job = Job(name, device, 1, iterations, classes)
    shape, ends = (3, *job.units[0].start.shape[2:]), torch.full((3, 1, 1), 2.0, device=device)

    def side(changes: dict[str, Any]) -> Callable[[], object]:
        own, teacher = replace(job.settings, **changes), job.network()
        labels, real, targets = job.labels.cpu(), [], None
        if (asked := own.gathers) is not None:
            images = torch.randn(job.classes, *shape, generator=generator("real")).to(device)
            real = [
                real_statistics(
                    teacher,
                    lambda skip: [(labels, images)][skip:],
                    asked,
                    images=job.classes,
                    size=job.classes,
                    classes=job.classes,
                    shape=shape,
                )
            ]
            targets = [of_batch(each, labels, own) for each in real] if own.class_share else None
        layers = sum(isinstance(part, nn.Conv2d) for part in teacher.modules())
        unit = draw_unit(
            own,
            labels,
            shape[1],
            seed=0,
            block=0,
            slot=0,
            targets=targets,
            convolutions=(1, layers),
        )
        units = Units([0], job.classes, lambda _: unit, name)
        return lambda: recover_units([teacher], units, own, (-ends, ends), real=real)

    sides = {what: side(changes) for what, changes in MATCHED.items()}
    return timed(sides, device, rounds)[0]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--case", nargs="+", choices=CASES, default=["cifar"])
    parser.add_argument("--slots", type=int, default=1)
    parser.add_argument("--iterations", type=int, default=4)
    parser.add_argument("--classes", type=int, help="of a unit, where memory is short")
    parser.add_argument("--memory", action="store_true", help="count it, and time nothing")
    parser.add_argument("--packing", action="store_true", help="compare widths of a pass")
    parser.add_argument("--matched", action="store_true", help="time what can be matched")
    parser.add_argument("--compile", action="store_true", help="also graphs and torch.compile")
    parser.add_argument("--peak", type=float, default=0.0, help="the device's TFLOP/s in bf16")
    args = parser.parse_args()
    device = torch.device(args.device)
    torch.set_num_threads(args.threads)
    print(f"{device}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    if args.packing:
        packing(device)
        return
    for name in args.case:
        if args.matched:
            seconds = matched(name, device, args.iterations, args.classes, ROUNDS)
            for what, took in seconds.items():
                ratio = took / seconds["BatchNorm"]
                print(f"{name}, {what}: {took / args.iterations:.3f} s an iteration, {ratio:.2f}")
            continue
        if args.memory:
            for precision in PRECISIONS:
                each, total = memory(name, precision)
                print(
                    f"{name}, {precision}: {each / 2**20:.1f} MiB an image, "
                    f"{total / 2**30:.2f} GiB for {CASES[name].classes}, counted"
                )
            continue
        ways = get_args(Compiled) if args.compile else ("none",)
        speed = measure(name, device, args.slots, args.iterations, args.classes, ways)
        show(name, speed, args.peak)


if __name__ == "__main__":
    main()
