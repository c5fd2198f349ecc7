"""What a step of each squeeze is for one image of its batch: a function for each method.

In units of a forward pass through the backbone: MoCo v2 with a symmetric loss takes 8 (two queries
that are trained, 3 each, and two keys, 1 each), MoCo v3 as many, SwAV 3 for each view, DINO 3 for
each view and 1 for each large one, supervised training 3. Small views have fewer pixels. Heads,
prototypes and similarities are counted too; the k-NN accuracies on the way as well.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from scdd.params.network import Network
from scdd.params.squeeze import (
    DINO,
    MoCoV2,
    MoCoV3,
    Supervised,
    SwAV,
    Training,
)
from scdd.plan.cost.networks import Size, linear, resnet, together
from scdd.plan.cost.passes import forward_memory, passes, steps_of, training_memory, views
from scdd.plan.cost.work import Work

KNN_IMAGES, KNN_BATCH = 20_000, 256  # as in scdd.squeeze.knn
SMALL = 3 / 7  # a small view's share of the image's side, as in scdd.squeeze.views


@dataclass(frozen=True)
class Step:
    """What one image of a batch goes through. trained: networks with gradients; watched: without;
    shown: the pixels a side of its views."""

    trained: tuple[Size, ...]
    watched: tuple[Size, ...]
    shown: tuple[int, ...]


def squeeze_work(
    params: Training, network: Network, resolution: int, classes: int, train: int
) -> Work:
    """Of all epochs; train: training images."""
    step = STEPS[type(params)](params, network, resolution, classes)
    per_epoch = train // params.batch  # a last batch that is not full is dropped
    steps = per_epoch * params.epochs
    images = steps * params.batch
    work = Work()
    for size in _sharing_weights(step.trained):
        work += passes("squeeze", size, images, steps, params.precision)
    for size in step.watched:
        work += passes("forward", size, images, steps, params.precision)
    for side in step.shown:
        work += views("crops", images, side, steps)
    looked = min(train, KNN_IMAGES)
    body = resnet(network, resolution, None)
    look = passes("forward", body, looked, steps_of(looked, KNN_BATCH))
    return work + look * looks(params)


def looks(params: Training) -> int:
    """How many k-NN accuracies are measured: every so many epochs, and after the last."""
    every = params.knn_every
    return -(-params.epochs // every) if every else 0


def squeeze_memory(params: Training, network: Network, resolution: int, classes: int) -> float:
    """Bytes of tensors in a step."""
    step = STEPS[type(params)](params, network, resolution, classes)
    trained = _sharing_weights(step.trained)
    watched = [forward_memory(size, params.batch, params.precision) for size in step.watched]
    of_graph = sum(training_memory(size, params.batch, params.precision) for size in trained)
    return of_graph + max(watched, default=0.0)


def _sharing_weights(sizes: Sequence[Size]) -> list[Size]:
    """The passes of one network, whose weights are there, and change, once."""
    return [sizes[0], *(replace(size, weights=0.0) for size in sizes[1:])]


def _mocov2(params: MoCoV2, network: Network, resolution: int, _: int) -> Step:
    body = resnet(network, resolution, None)
    width = body.features
    encoder = together(body, linear(width, width), linear(width, params.dim))
    query = together(encoder, _similarities(params.dim, params.queue))
    count = 2 if params.symmetric else 1
    return Step((query,) * count, (encoder,) * count, (resolution,) * 2)


def _mocov3(params: MoCoV3, network: Network, resolution: int, _: int) -> Step:
    hidden, dim = params.hidden, params.dim
    body = resnet(network, resolution, None)
    key = together(body, linear(body.features, hidden, bias=False), linear(hidden, dim, bias=False))
    predictor = (linear(dim, hidden, bias=False), linear(hidden, dim, bias=False))
    query = together(key, *predictor, _similarities(dim, params.batch))
    return Step((query,) * 2, (key,) * 2, (resolution,) * 2)


def _swav(params: SwAV, network: Network, resolution: int, _: int) -> Step:
    def seen(side: int) -> Size:
        body = resnet(network, side, None)
        projector = linear(body.features, params.hidden), linear(params.hidden, params.dim)
        return together(body, *projector, linear(params.dim, params.prototypes, bias=False))

    sides = _sides(params, resolution)
    return Step(tuple(map(seen, sides)), (), sides)


def _dino(params: DINO, network: Network, resolution: int, _: int) -> Step:
    def seen(side: int) -> Size:
        body = resnet(network, side, None)
        widths = (body.features, params.hidden, params.hidden, params.bottleneck)
        layers = [linear(a, b) for a, b in pairwise(widths)]
        return together(body, *layers, linear(params.bottleneck, params.outputs, bias=False))

    sides = _sides(params, resolution)
    return Step(tuple(map(seen, sides)), (seen(resolution),) * 2, sides)


def _supervised(params: Supervised, network: Network, resolution: int, classes: int) -> Step:
    return Step((resnet(network, resolution, classes),), (), (resolution,))


def _similarities(dim: int, others: int) -> Size:
    """Of a vector with others, which are not trained."""
    return replace(linear(dim, others, bias=False), weights=0)


def _sides(params: SwAV | DINO, resolution: int) -> tuple[int, ...]:
    """Two large views and the small ones."""
    small = params.small.size or round(SMALL * resolution)
    return (resolution,) * 2 + (small,) * params.small.count


STEPS: dict[type[Training], Callable[[Any, Network, int, int], Step]] = {
    MoCoV2: _mocov2,
    MoCoV3: _mocov3,
    SwAV: _swav,
    DINO: _dino,
    Supervised: _supervised,
}
