"""Steps that measure: against the plain loop in the same run, and against what the card can do."""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import recover
import squeeze as squeezing
import torch
import validate
from torch.profiler import ProfilerActivity
from torch.profiler import profile as profiled

from gpu.place import ROOT, Place
from gpu.report import Outcome, table
from scdd.jobs.capture import Compiled
from scdd.params.network import Network

WAYS: tuple[Compiled, ...] = get_args(Compiled)
TFLOP = 1e12
GIB = 2**30
ROWS = 15  # of the profile's tables
# of MoCo v2's step with a symmetric loss, in forward passes of an image: two queries, forward and
# backward (3 each), and two keys
PASSES = 8
TINY = validate.Case(Network("resnet10", 0.125, "small"), 3, 20, 16)
FORWARD = 1.11e9  # FLOP of a ResNet-18 with the small stem on an image of 32 pixels


def product(place: Place) -> Outcome:
    """TFLOP/s of a bf16 matrix product."""
    size = 512 if place.small else 8192
    x = torch.randn(size, size, device=place.device, dtype=torch.bfloat16)
    seconds = []
    for _ in range(12):
        started = time.perf_counter()
        x @ x
        if not place.small:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    rate = 2 * size**3 / statistics.median(seconds[2:]) / TFLOP
    line = f"A product of two {size} x {size} matrices in bf16: {rate:.1f} TFLOP/s."
    return Outcome("done", 0, [line], {"tflops": rate})


def peak(place: Place) -> float:
    """FLOP/s of the step `product`, measured again: steps do not share results."""
    return product(place).figures["tflops"] * TFLOP


def _recovery(place: Place, case: str, slots: int, iterations: int) -> Outcome:
    if place.small:
        speed = recover.measure(case, place.device, 1, 1, 2, rounds=1)
    else:
        speed = recover.measure(case, place.device, slots, iterations, None, WAYS)
    best, plain = max(speed.rates.values()), speed.rates["plain"]
    floor = peak(place) / (speed.gflop * 1e9)
    counted = {} if place.small else {p: recover.memory(case, p)[1] for p in recover.PRECISIONS}
    rows = [
        [
            side,
            f"{rate:,.0f}",
            f"{rate / plain:.2f}",
            f"{rate * speed.gflop / 1000:.1f}",
            f"{floor / rate:.1f}",
            f"{speed.peaks[side] / GIB:.1f}" if side in speed.peaks else "–",
            f"{slots * counted[side.partition(',')[0]] / GIB:.1f}"
            if side.partition(",")[0] in counted
            else "–",
        ]
        for side, rate in speed.rates.items()
    ]
    header = ["", "image iterations/s", "times plain", "TFLOP/s", "times the floor"]
    header += ["peak GiB", "GiB counted"]
    goals = [
        f"At least 5 times the plain loop: {_met(best / plain >= 5)}. At most 3 times the floor of "
        f"arithmetic: {_met(best >= floor / 3)}."
    ]
    lines = [*table(header, rows), "", *([] if place.small else goals)]
    return Outcome("done", 0, lines, {f"{case} {side}": rate for side, rate in speed.rates.items()})


def _met(met: bool) -> str:
    return "met" if met else "**not met**"


def recover_cifar(place: Place) -> Outcome:
    return _recovery(place, "cifar", 10, 20)


def recover_r18(place: Place) -> Outcome:
    return _recovery(place, "imagenet-r18", 2, 10)


def recover_r50(place: Place) -> Outcome:
    return _recovery(place, "imagenet-r50", 1, 10)


def squeeze(place: Place) -> Outcome:
    """MoCo v2's steps on views that are made already."""
    width, batch = (0.125, 16) if place.small else (1.0, 512)
    ways = ("none",) if place.small else WAYS
    network = Network("resnet18", width, "small")
    rates = squeezing.steps(place.device, 32, batch, network, "bf16", ways)
    each = PASSES * FORWARD * width**2
    rows = [
        [side, f"{rate:,.0f}", f"{rate / rates['plain']:.2f}", f"{rate * each / TFLOP:.1f}"]
        for side, rate in rates.items()
    ]
    best = max(rates.values())
    lines = table(["", "images/s", "times plain", "TFLOP/s"], rows)
    return Outcome("done", 0, lines, {"squeeze images/s": best})


def student(place: Place) -> Outcome:
    case = TINY if place.small else validate.CASES["cuda"]
    speed = validate.measure(case, place.device, ("none",) if place.small else WAYS)
    plain = speed.rates["plain"]
    rows = [
        [side, f"{rate / case.batch:,.0f}", f"{rate / plain:.2f}"]
        for side, rate in speed.rates.items()
    ]
    best = max(speed.rates.values()) / plain
    lines = [
        *table(["", f"steps of {case.batch} images/s", "times plain"], rows),
        "",
        f"Labels: {speed.labels:,.0f} images/s.",
    ]
    lines += [] if place.small else [f"At least 5 times the plain way: {_met(best >= 5)}."]
    return Outcome("done", 0, lines, {"student steps/s": max(speed.rates.values()) / case.batch})


def together(place: Place) -> Outcome:
    """Students side by side on the GPU, each in a process of its own."""
    counts, seconds = ((2,), 2.0) if place.small else ((1, 2, 4, 8), 8.0)
    rows = []
    for count in counts:
        command = [sys.executable, "-m", "gpu.one_student", place.device.type, str(seconds)]
        running = [
            subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
            for _ in range(count)
        ]
        outputs = [process.communicate()[0].split() for process in running]
        if any(process.returncode for process in running):
            return Outcome("failed", 0, [f"{count} students: a process failed."])
        total = sum(float(words[-1]) for words in outputs)
        rows.append([str(count), f"{total:,.0f}", f"{total / count:,.0f}"])
    return Outcome("done", 0, table(["students", "steps/s together", "steps/s each"], rows))


def profile(place: Place) -> Outcome:
    """Kernels by time of a recovery's and a student's steps, in gpu/<card>/logs."""
    case = TINY if place.small else replace(validate.CASES["cuda"], ipc=5, epochs=1)
    split = validate.images_of(case, place.device)
    with tempfile.TemporaryDirectory() as folder:
        store, _ = validate.labelled(Path(folder), split, case, place.device)
        iterations, classes = (1, 2) if place.small else (5, None)
        jobs: dict[str, Callable[[], object]] = {
            "student": validate.Ours(split, store, case, place.device, "bf16"),
            "recovery": recover.Job("cifar", place.device, 1, iterations, classes).ours("bf16"),
        }
        return Outcome("done", 0, [_profiled(place, name, job) for name, job in jobs.items()])


def _profiled(place: Place, name: str, job: Callable[[], object]) -> str:
    activities = [ProfilerActivity.CPU, *([] if place.small else [ProfilerActivity.CUDA])]
    by = "self_cpu_time_total" if place.small else "self_cuda_time_total"
    job()  # warms up
    with profiled(activities=activities) as seen:
        job()
        if not place.small:
            torch.cuda.synchronize()
    text = seen.key_averages().table(sort_by=by, row_limit=ROWS, max_name_column_width=60)
    file = place.folder / "logs" / f"profile-{name}.txt"
    file.write_text(text)
    launches = sum(event.count for event in seen.key_averages() if "Launch" in event.key)
    return f"- {name}: {file.name}, {launches} launches"
