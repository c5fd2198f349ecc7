"""A ConvNet with instance norm as a function of its weights.

The arithmetic is that of scdd.networks.students.ConvNet, but for the order of sums. No image sees
another, so any number of images, of any classes, can share a pass. On a CPU a pass of few images is
up to twice as fast as one of hundreds: what it writes stays in the cache, and its memory is used
again and not returned to the system.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

# weights and biases in the order of the network's parameters: convolution and norm of each block,
# then the linear layer
Weights = Sequence[Tensor]

BLOCK, LAST = 4, 2  # tensors of a block, and of the linear layer
# bytes that a pass's largest tensor has about: of a CPU for each thread
CPU_BYTES, GPU_BYTES = 2**22, 2**29
LARGEST = 31 * 2**20  # glibc keeps no block of 32 MiB or more


def depth(weights: Weights) -> int:
    """How many blocks the network has."""
    return (len(weights) - LAST) // BLOCK


def images_a_pass(weights: Weights, resolution: int) -> int:
    """How many images of `resolution` pixels a side a pass is to have, at least 1."""
    first = weights[0]
    return fitting(len(first) * resolution**2 * first.element_size(), first.device)


def fitting(size: int, device: torch.device) -> int:
    """How many things of `size` bytes a tensor is to hold, at least 1."""
    cpu = min(CPU_BYTES * torch.get_num_threads(), LARGEST)
    return max(1, (cpu if device.type == "cpu" else GPU_BYTES) // size)


def keep_memory() -> None:
    """Let the C library keep the memory that a pass on the CPU frees for the next one: on Linux a
    pass is then up to a fifth faster.

    glibc gives free memory back to the system beyond twice the largest block that was ever freed;
    so one is made, which costs nothing, and freed.
    """
    torch.empty(LARGEST, dtype=torch.uint8)


def blocks(weights: Weights, images: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """For each block its features after ReLU, float [n, C, h, w], and pooled [n, C, h/2, w/2], of
    images float [n, 3, R, R]."""
    x = images
    for start in range(0, len(weights) - LAST, BLOCK):
        filters, bias, scale, shift = weights[start : start + BLOCK]
        x = F.conv2d(x, filters, bias, padding=1)
        active = F.group_norm(x, len(filters), scale, shift).relu_()
        x = _pooled(active)
        yield active, x


def features(weights: Weights, images: Tensor) -> Tensor:
    """What the linear layer sees, float [n, F]: the last pooled features, flattened."""
    *_, (_, last) = blocks(weights, images)
    return last.flatten(1)


def logits(weights: Weights, images: Tensor) -> Tensor:
    """float [n, classes]"""
    return F.linear(features(weights, images), *weights[-LAST:])


def passes(classes: int, each: int, most: int) -> Iterator[tuple[slice, slice]]:
    """Which classes, and which of their `each` images, go through the network together: at most
    `most` images, of several classes only if all of theirs."""
    if each <= most:
        size = most // each
        yield from ((slice(k, k + size), slice(each)) for k in range(0, classes, size))
        return
    for k in range(classes):
        yield from ((slice(k, k + 1), slice(i, i + most)) for i in range(0, each, most))


@torch.no_grad()
def class_means(
    outputs: Callable[[Tensor], Sequence[Tensor]], images: Tensor, most: int
) -> list[Tensor]:
    """Means over the images of a class, [k, ...], of what `outputs` makes of images, [n, ...] each.

    images: float [k, n, 3, R, R]; most: how many of them a pass is to have.
    """
    classes, each = images.shape[:2]
    means: list[Tensor] = []
    for some, these in passes(classes, each, most):
        part = images[some, these]
        made = outputs(part.flatten(0, 1))
        means = means or [x.new_zeros(classes, *x.shape[1:]) for x in made]
        for mean, x in zip(means, made, strict=True):
            mean[some] += x.unflatten(0, part.shape[:2]).sum(1) / each
    return means


def _pooled(x: Tensor) -> Tensor:
    """Means of 2x2 pixels. On a CPU a product is four times as fast as torch's pooling; on a GPU it
    would be rounded to TF32."""
    n, channels, height, width = x.shape
    if x.device.type != "cpu" or height % 2 or width % 2:
        return F.avg_pool2d(x, 2)
    return x.reshape(n, channels, height // 2, 2 * width) @ _pairs(width, x.dtype)


@cache
def _pairs(width: int, dtype: torch.dtype) -> Tensor:
    """Of two rows, one after the other, the means of 2x2 pixels: [2 width, width / 2]."""
    return torch.eye(width // 2, dtype=dtype).repeat_interleave(2, 0).repeat(2, 1) / 4
