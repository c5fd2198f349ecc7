"""The device of a job."""

import ctypes
import platform

import torch

from scdd.errors import ScddError
from scdd.jobs import gpus

# of glibc's malloc.h
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


def pick_device(name: str, jobs_per_gpu: int = 1) -> torch.device:
    """The device of that name. 'auto' and 'cuda' take a GPU that fewer than `jobs_per_gpu` of our
    jobs have. Raises ScddError if there is no GPU for 'cuda'."""
    if name == "auto" and not torch.cuda.is_available():
        name = "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ScddError(f"device {name} is asked for, but torch sees no GPU on {platform.node()}.")
    if name in {"auto", "cuda"}:
        device = torch.device(
            "cuda", gpus.take(gpus.visible(torch.cuda.device_count()), jobs_per_gpu)
        )
    else:
        device = torch.device(name)
    if device.type == "cuda":
        torch.cuda.set_device(device)  # whose peak memory torch then reports
        _tune()
    else:
        _keep_memory()
    return device


def _tune() -> None:
    """Make a GPU fast: float32 matrix products in TF32, as convolutions are by torch's default, but
    not within `scdd.views.products.exact_products`; and for each shape the one of cuDNN's
    algorithms that is fastest in a trial. Not for the CPU, where the first would change oneDNN's
    products."""
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True


def _keep_memory() -> None:
    """Let the C library keep the memory of freed tensors for the next ones. glibc gives large
    pieces back to the system, and the page faults of getting them anew in each step took 4 to 16 %
    of its time. Other C libraries are left as they are."""
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(M_MMAP_MAX, 0)
