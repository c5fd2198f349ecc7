"""How fast this machine is: the seconds of small pieces of the programs themselves, at some sizes.

For each kind of work (scdd.plan.cost.work) and precision, pieces of several sizes are timed, and
seconds for each unit of work, none of them negative, are fitted, by relative errors. A CPU's cores
are all busy while it is measured, as they are in a run: as many processes as jobs fit measure at
the same time, and their mean is taken.
"""

import argparse
import itertools
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scdd.artifacts.dataset import DatasetInfo
from scdd.artifacts.files import read_json, write_json
from scdd.artifacts.sizes import image_bytes
from scdd.data.batches import views
from scdd.data.source import Split
from scdd.errors import ScddError
from scdd.evaluate.train import optimizer_of
from scdd.jobs.devices import pick_device
from scdd.jobs.progress import say
from scdd.jobs.signals import end_with_the_parent
from scdd.networks.backbone import in_channels_last, in_eval_mode
from scdd.networks.precision import autocast
from scdd.networks.resnet import ResNet, build
from scdd.params.base import Precision
from scdd.params.network import Network
from scdd.params.protocol import Student
from scdd.params.recover import Recover
from scdd.params.squeeze import MoCoV2
from scdd.params.views import Transform, View
from scdd.plan.cost.machines import Begin, Measured
from scdd.plan.cost.networks import backbone_size
from scdd.plan.cost.passes import passes
from scdd.plan.cost.passes import views as views_work
from scdd.plan.cost.work import Amount, Kind
from scdd.recover.distance import StatisticsLoss
from scdd.recover.engine import Pass
from scdd.recover.matching import frozen, objective
from scdd.recover.units import Views, draw_unit
from scdd.rng import generator
from scdd.squeeze.norm import group_batch_norms
from scdd.squeeze.views import batches as squeeze_batches
from scdd.squeeze.views import crops_of
from scdd.views.mixing import draw_epoch
from scdd.views.pixels import valid_range

CLASSES = 10
PIECE = 0.5  # seconds that a piece is repeated for, at least
LEAST = 3  # times
GROUPS = 2  # of BatchNorm in a squeeze; every batch below can be shared
PRECISIONS: tuple[Precision, ...] = ("float32", "bf16")


@dataclass(frozen=True)
class Point:
    """A network, the pixels a side of its images, and how many go through it together."""

    network: Network
    resolution: int
    batch: int


# of a point and a precision: a piece to be timed
Make = Callable[[Point, Precision, torch.device], Callable[[], object]]


def _point(arch: str, width: float, resolution: int, batch: int) -> Point:
    stem: Literal["small", "imagenet"] = "small" if resolution <= 64 else "imagenet"
    return Point(Network(arch, width, stem), resolution, batch)


# small and large ones, of few and of many channels: no two are alike in the shares of what is timed
ON_CPU = (
    _point("resnet10", 0.25, 16, 10),
    _point("resnet10", 0.25, 16, 64),
    _point("resnet10", 0.25, 32, 64),
    _point("resnet10", 0.5, 32, 32),
    _point("resnet18", 1.0, 32, 4),
    _point("resnet18", 1.0, 32, 24),
)
ON_GPU = (
    _point("resnet10", 0.25, 16, 16),
    _point("resnet18", 1.0, 32, 64),
    _point("resnet18", 1.0, 32, 512),
    _point("resnet18", 1.0, 224, 128),
    _point("resnet50", 1.0, 224, 16),
    _point("resnet50", 1.0, 224, 128),
)


@dataclass(frozen=True)
class Speed:
    """How fast a process is. rates: seconds for each unit, by 'kind precision'."""

    begin: Begin
    begin_training: Begin
    rates: dict[str, dict[str, float]]


def speed(device: torch.device) -> Speed:
    """Measure all pieces. To be called once, by a process that has done nothing else."""
    points = ON_GPU if device.type == "cuda" else ON_CPU
    passing: dict[Kind, Make] = {
        "forward": _forward,
        "images": _recover,
        "train": _train,
        "squeeze": _squeeze,
    }
    rates: dict[str, dict[str, float]] = {}
    # first, and with the smallest piece: memory is told as its peak
    begin = _begun(_forward, points[0], device)
    optimizer = _begun(_train, points[0], device)
    for kind, precision in itertools.product(passing, PRECISIONS):
        rows = []
        for point in points:
            size = backbone_size(point.network, point.resolution, CLASSES)
            work = passes(kind, size, point.batch, 1, precision)
            seconds = _seconds(passing[kind](point, precision, device), device)
            rows.append((work.parts[kind, precision], seconds))
        rates[f"{kind} {precision}"] = asdict(fitted(rows))
        say(f"{kind}, {precision}: {_shown(rows)}")
    shown: dict[Kind, Callable[[Point, torch.device], Callable[[], object]]] = {
        "crops": _crops,
        "views": _views,
    }
    for kind, make in shown.items():
        rows = []
        for point in points:
            work = views_work(kind, point.batch, point.resolution, 1)
            rows.append((work.parts[kind, "float32"], _seconds(make(point, device), device)))
        for precision in PRECISIONS:  # pixels are float32 in both
            rates[f"{kind} {precision}"] = asdict(fitted(rows))
        least = min(seconds / amount.values for amount, seconds in rows) * image_bytes(1, 32)
        say(f"{kind}: {1 / least:,.0f} images of 32x32 pixels a second")
    training = Begin(begin.seconds + optimizer.seconds, optimizer.memory)
    return Speed(begin, training, rates)


def _begun(make: Make, point: Point, device: torch.device) -> Begin:
    """What making a piece, and its first time, take more than another time."""
    started = time.perf_counter()
    piece = make(point, "float32", device)
    piece()
    _wait(device)
    first = time.perf_counter() - started
    return Begin(max(0.0, first - _seconds(piece, device)), _memory(device))


def _memory(device: torch.device) -> float:
    """Bytes: of a GPU that are not free, or of this process at its peak."""
    if device.type == "cuda":
        free, whole = torch.cuda.mem_get_info(device)
        return float(whole - free)
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def fitted(rows: Sequence[tuple[Amount, float]]) -> Amount:
    """Seconds for each unit, at least 0, that explain amounts and their seconds best: the sum of
    squared relative errors is the least."""
    names = [field.name for field in fields(Amount)]
    table = torch.tensor(
        [[getattr(amount, name) / seconds for name in names] for amount, seconds in rows],
        dtype=torch.float64,
    )
    wanted = torch.ones(len(rows), 1, dtype=torch.float64)
    best, least = torch.zeros(len(names), dtype=torch.float64), float("inf")
    for chosen in itertools.product((False, True), repeat=len(names)):
        columns = [place for place, each in enumerate(chosen) if each and table[:, place].any()]
        if not columns:
            continue
        part = table[:, columns]
        scale = part.abs().amax(0)
        solution = torch.linalg.lstsq(part / scale, wanted).solution[:, 0] / scale
        error = (part @ solution - 1).square().sum().item()
        if bool((solution >= 0).all()) and error < least:
            least = error
            best = torch.zeros(len(names), dtype=torch.float64)
            best[columns] = solution
    return Amount(*best.tolist())


def _shown(rows: Sequence[tuple[Amount, float]]) -> str:
    speeds = [amount.flops / seconds / 1e9 for amount, seconds in rows]
    return f"{min(speeds):,.1f} to {max(speeds):,.1f} GFLOP/s"


def _seconds(piece: Callable[[], object], device: torch.device) -> float:
    """The mean of its times: a job has the slow ones too."""
    piece()
    _wait(device)
    times: list[float] = []
    while sum(times) < PIECE or len(times) < LEAST:
        started = time.perf_counter()
        piece()
        _wait(device)
        times.append(time.perf_counter() - started)
    return statistics.fmean(times)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _network(point: Point) -> ResNet:
    return build(point.network, CLASSES, generator("measure"))


def _images(point: Point, device: torch.device) -> Tensor:
    shape = point.batch, 3, point.resolution, point.resolution
    return torch.randn(*shape, generator=generator("measure")).to(device)


def _labels(point: Point) -> Tensor:
    return torch.arange(point.batch) % CLASSES


def _train(point: Point, precision: Precision, device: torch.device) -> Callable[[], object]:
    """A student's step, as scdd.evaluate.train takes it."""
    network = in_channels_last(_network(point).to(device))
    return _step(network, point, precision, device)


def _squeeze(point: Point, precision: Precision, device: torch.device) -> Callable[[], object]:
    """A step of a network with BatchNorm in groups, whose images are not channels_last."""
    network = _network(point)
    group_batch_norms(network, GROUPS)
    return _step(network.to(device), point, precision, device)


def _step(
    network: nn.Module, point: Point, precision: Precision, device: torch.device
) -> Callable[[], object]:
    """A training step."""
    network.train()
    optimizer = optimizer_of(network, Student())
    images, labels = _images(point, device), _labels(point).to(device)

    def step() -> None:
        with autocast(device, precision):
            logits = network(images)
        loss = F.cross_entropy(logits.float(), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step


def _forward(point: Point, precision: Precision, device: torch.device) -> Callable[[], object]:
    network, images = in_eval_mode(_network(point), device), _images(point, device)

    @torch.inference_mode()
    def step() -> Tensor:
        with autocast(device, precision):
            logits: Tensor = network(images)
        return logits

    return step


def _recover(point: Point, precision: Precision, device: torch.device) -> Callable[[], object]:
    """One iteration of a unit, as scdd.recover.engine takes it."""
    params = Recover(precision=precision, block=point.batch)
    unit = draw_unit(params, _labels(point), point.resolution, seed=0, block=0, slot=0)
    network = frozen(in_eval_mode(_network(point), device), precision)
    seen, valid = Views([unit], device), valid_range(_info(point), device)
    bn = StatisticsLoss(network, params)
    begun = Pass.begin([unit], params, device)

    def step() -> None:
        begun.done = 0
        leaf = begun.images.detach().requires_grad_()
        views = seen.of(leaf, 0)
        of_views = views.detach().requires_grad_()
        with bn:
            losses = objective(network, bn, of_views, seen.labels(0), params)
        (slope,) = torch.autograd.grad(losses[:, 0].sum(), of_views)
        (gradient,) = torch.autograd.grad(views, leaf, slope)
        begun.step(gradient, params, valid)

    return step


def _views(point: Point, device: torch.device) -> Callable[[], object]:
    """A batch of a student's or a teacher's views."""
    split, transform = _split(point, device), Transform(View(), "cutmix")
    draws = draw_epoch(transform, point.batch, point.resolution, 0, 0).to(device)
    order = torch.arange(point.batch, device=device)
    return lambda: list(views(split, order, point.batch, draws, "cutmix", _info(point)))


def _crops(point: Point, device: torch.device) -> Callable[[], object]:
    """A batch of one view of a squeeze."""
    split, params = _split(point, device), MoCoV2(batch=point.batch, bn_groups=1, queue=point.batch)
    crops = crops_of(params, 1, point.resolution)
    return lambda: list(squeeze_batches(crops, point.batch, 0, split, _info(point), 0, 0, device))


def _split(point: Point, device: torch.device) -> Split:
    shape = point.batch, 3, point.resolution, point.resolution
    pixels = torch.randint(256, shape, generator=generator("measure"), dtype=torch.uint8)
    return Split(_labels(point), pixels.to(device), (), point.resolution)


def _info(point: Point) -> DatasetInfo:
    names = tuple(map(str, range(CLASSES)))
    half = (0.5, 0.5, 0.5)
    return DatasetInfo("measure", names, point.resolution, half, half, 0, 0, "", "")


# ---- the whole measurement ---------------------------------------------------------------------


def measure(device_name: str, threads: int) -> Measured:
    """Measure, in as many processes as jobs fit on the CPU's cores, or on the GPU."""
    is_gpu = device_name != "cpu" and torch.cuda.is_available()
    device = pick_device(device_name)  # raises ScddError where there is no such GPU
    workers = 1 if is_gpu else max(1, (os.cpu_count() or 1) // threads)
    start = _start_seconds()
    say(f"{platform.node()}: {workers} at once, {threads} thread{'s' * (threads != 1)} each")
    mean = _mean(_processes(device_name, threads, workers))
    return Measured(
        host=platform.node(),
        date=date.today().isoformat(),
        device=torch.cuda.get_device_name(device) if is_gpu else "cpu",
        threads=threads,
        workers=workers,
        memory=float(torch.cuda.mem_get_info(device)[1]) if is_gpu else None,
        start=start,
        **mean,
    )


def _mean(results: Sequence[Any]) -> Any:
    """Of each number in nested mappings that are alike."""
    if isinstance(results[0], dict):
        return {key: _mean([each[key] for each in results]) for key in results[0]}
    return statistics.fmean(results)


def _processes(device: str, threads: int, workers: int) -> list[dict[str, Any]]:
    """The speeds of all processes, which measure at the same time. Raises ScddError where
    one of them fails."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{number}.json" for number in range(workers)]
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        commands = [
            [sys.executable, "-m", __spec__.name, "--device", device, "--out", str(file)]
            for file in files
        ]
        running = [
            subprocess.Popen(
                command,
                env=environment,
                stderr=None if number == 0 else subprocess.DEVNULL,  # one speaks for all
            )
            for number, command in enumerate(commands)
        ]
        if any([process.wait() for process in running]):
            raise ScddError("a process of the measurement failed. See what it says above.")
        return [read_json(file) for file in files]


def _start_seconds() -> float:
    """How long a program takes to start: the imports of torch and scdd, whose files are in memory
    by then. An optimiser's are read too, which no process is to wait for while it measures."""
    imports = "import scdd.evaluate.validate, torch._dynamo"
    subprocess.run([sys.executable, "-c", imports], check=True)
    started = time.perf_counter()
    command = [sys.executable, "-m", "scdd.evaluate.validate", "--help"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main(argv: list[str] | None = None) -> int:
    """One of the processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    end_with_the_parent()
    device = pick_device(args.device)
    write_json(args.out, asdict(speed(device)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
