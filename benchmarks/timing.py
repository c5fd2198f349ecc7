"""What the benchmarks share: times of several sides, taken in turn."""

import statistics
import time
from collections.abc import Callable

import torch

from scdd.jobs.capture import Compiled


def side_of(precision: str, compiled: Compiled) -> str:
    """What a side of this precision and way of launching is called."""
    return precision if compiled == "none" else f"{precision}, {compiled}"


def timed(
    jobs: dict[str, Callable[[], object]], device: torch.device, rounds: int
) -> tuple[dict[str, float], dict[str, int]]:
    """Median seconds of each job, and the most bytes that torch had on a GPU while it ran. They are
    done in turn: noise on the machine is noise to all."""
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    peaks: dict[str, int] = {}
    gpu = device.type == "cuda"
    for number in range(rounds + 1):
        for name, job in jobs.items():
            if gpu:
                torch.cuda.reset_peak_memory_stats(device)
            started = time.perf_counter()
            job()
            if gpu:
                torch.cuda.synchronize()
                peaks[name] = torch.cuda.max_memory_allocated(device)
            if number > 0:  # the first warms up
                seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(times) for name, times in seconds.items()}, peaks
