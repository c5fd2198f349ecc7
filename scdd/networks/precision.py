"""The precision of a network's passes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from scdd.params.base import Precision


@contextmanager
def autocast(device: torch.device, precision: Precision) -> Iterator[None]:
    """Passes in `precision` within: float32, or bf16 by torch's autocast.

    A CPU without instructions for bf16 has its products in float32, of numbers that are rounded to
    bf16, and rounds the results: what such instructions do, but for the order of sums. Torch's own
    way took ten times as long there, for a step of a small ResNet.
    """
    half = precision == "bf16"
    products = Float32Products() if half and device.type == "cpu" and not has_bf16() else None
    with torch.autocast(device.type, torch.bfloat16, enabled=half), products or nullcontext():
        yield


@cache
def has_bf16() -> bool:
    """Whether oneDNN takes bf16 on this CPU."""
    supported: bool = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return supported


class Float32Products(TorchFunctionMode):
    """Within autocast for the CPU: convolutions and linear layers of bf16, in float32."""

    PRODUCTS = (torch.conv2d, F.linear)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func not in self.PRODUCTS or not torch.is_autocast_enabled("cpu"):
            return func(*args, **kwargs)
        rounded = [each.bfloat16().float() if isinstance(each, Tensor) else each for each in args]
        named = {
            key: each.bfloat16().float() if isinstance(each, Tensor) else each
            for key, each in kwargs.items()
        }
        with torch.autocast("cpu", enabled=False):
            return func(*rounded, **named).bfloat16()
