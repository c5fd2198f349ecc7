"""What the benchmarks share: times of several sides, taken in turn."""

import statistics
import time
from collections.abc import Callable

import torch


def timed(
    jobs: dict[str, Callable[[], object]], device: torch.device, rounds: int
) -> dict[str, float]:
    """Median seconds of each job. They are done in turn: noise on the machine is noise to all."""
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for number in range(rounds + 1):
        for name, job in jobs.items():
            started = time.perf_counter()
            job()
            if device.type == "cuda":
                torch.cuda.synchronize()
            if number > 0:  # the first warms up
                seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(times) for name, times in seconds.items()}
