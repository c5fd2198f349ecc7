"""What a job does, and the memory that it takes, from passes of images through networks."""

import math
from dataclasses import dataclass

from scdd.artifacts.sizes import FLOAT_BYTES, image_bytes
from scdd.params.base import Precision
from scdd.plan.cost.networks import Size
from scdd.plan.cost.work import Amount, Kind, Work

# forward passes that an image takes: a gradient of weights and inputs takes two more, one of inputs
# alone one more
FACTORS = {"train": 3, "squeeze": 3, "images": 2, "forward": 1}
TRAINING = ("train", "squeeze")  # the kinds that change weights
OPTIMISED = 4  # numbers for each weight: itself, its gradient, and an optimiser's two
KEPT = 2.5  # numbers in memory for each value of a pass that is differentiated
PASSING = 0.5  # … and of one that is not, of which the largest layers count


@dataclass(frozen=True)
class Job:
    """One job.

    name: as scdd.jobs.costs has it. memory: bytes of tensors in its largest step; pixels: bytes of
    images that stay in memory where there is room for them. units: how many of its steps a GPU can
    take at once, if its memory holds them.
    """

    name: str
    work: Work
    memory: float = 0.0
    pixels: float = 0.0
    units: int = 1


def passes(
    kind: Kind, size: Size, images: float, steps: float, precision: Precision = "float32"
) -> Work:
    """`images` through a network in so many steps."""
    flops = FACTORS[kind] * size.flops * images
    weights = size.weights * steps if kind in TRAINING else 0.0
    amount = Amount(flops, size.values * images, size.layers * steps, weights)
    return Work.of(kind, amount, precision)


def views(kind: Kind, images: float, resolution: int, steps: float) -> Work:
    """`images` cropped, mirrored and mixed in so many batches."""
    return Work.of(kind, Amount(0.0, image_bytes(1, resolution) * images, steps, 0.0))


def steps_of(images: float, batch: float) -> int:
    """Batches in a pass over the images."""
    return math.ceil(images / batch)


def training_memory(size: Size, batch: float, precision: Precision = "float32") -> float:
    """Bytes of a step of training, of its weights and what the optimiser keeps."""
    return FLOAT_BYTES * (OPTIMISED * size.weights + KEPT * size.values * batch * _half(precision))


def image_memory(size: Size, batch: float, precision: Precision = "float32") -> float:
    """Bytes of a step in which images change and weights do not."""
    return FLOAT_BYTES * (size.weights + KEPT * size.values * batch * _half(precision))


def forward_memory(size: Size, batch: float, precision: Precision = "float32") -> float:
    """Bytes of a pass without gradients."""
    return FLOAT_BYTES * (size.weights + PASSING * size.values * batch * _half(precision))


def _half(precision: Precision) -> float:
    return 0.5 if precision == "bf16" else 1.0
