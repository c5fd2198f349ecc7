"""The device of a job."""

import platform

import torch

from scdd.errors import ScddError
from scdd.jobs import gpus


def pick_device(name: str, jobs_per_gpu: int = 1) -> torch.device:
    """The device of that name. 'auto' and 'cuda' take a GPU that fewer than `jobs_per_gpu` of our
    jobs have. Raises ScddError if there is no GPU for 'cuda'."""
    if name == "auto" and not torch.cuda.is_available():
        return torch.device("cpu")
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
    return device


def _tune() -> None:
    """Make a GPU fast: float32 matrix products in TF32, as convolutions are by torch's default, but
    not within `scdd.views.products.exact_products`; and for each shape the one of cuDNN's
    algorithms that is fastest in a trial. Not for the CPU, where the first would change oneDNN's
    products."""
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
