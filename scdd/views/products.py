"""Matrix products that must not be in TF32."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def exact_products() -> Iterator[None]:
    """Within, float32 matrix products are in float32 on a GPU too.

    Elsewhere they are in TF32 there (`scdd.jobs.devices.pick_device`), which rounds what is
    multiplied to 11 bits: less than a network's convolutions do to its logits, features and
    gradients, but too much for what copies or resamples pixels, or measures. The backward pass of
    what is within is not within.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
