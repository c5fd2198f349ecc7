"""Matrix products that must not use TF32."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def exact_products() -> Iterator[None]:
    """Inside this context, matrix products are in full float32 on a GPU too.

    Outside they use TF32 there (`scdd.jobs.devices.pick_device`), which rounds the factors to 11
    bits. That is less than convolutions do to a network's logits, features and gradients, but too
    much for copying or resampling pixels, and for measuring. A backward pass that runs later, out
    of the context, uses TF32.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
