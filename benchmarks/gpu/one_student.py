"""One of several students that train side by side: prints its steps a second, after a warm-up.

python -m gpu.one_student DEVICE SECONDS
"""

import sys
import tempfile
import time
from pathlib import Path

import torch
import validate

from gpu.speed import TINY
from scdd.jobs import devices


def main() -> None:
    name, seconds = sys.argv[1], float(sys.argv[2])
    device = devices.pick_device("cpu" if name == "cpu" else "cuda:0")
    case = validate.CASES["cuda"]
    if device.type == "cpu":
        torch.set_num_threads(1)
        case = TINY
    split = validate.images_of(case, device)
    with tempfile.TemporaryDirectory() as folder:
        store, _ = validate.labelled(Path(folder), split, case, device)
        train = validate.Ours(split, store, case, device, "bf16", "graphs")
        train()  # libraries choose their kernels
        steps, started = 0, time.perf_counter()
        while time.perf_counter() - started < seconds:
            train()
            steps += case.epochs * -(-case.classes * case.ipc // case.batch)
    if device.type == "cuda":
        torch.cuda.synchronize()
    print(steps / (time.perf_counter() - started))


if __name__ == "__main__":
    main()
