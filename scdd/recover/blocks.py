"""A block of classes in a range of slots: its units, and their images as they are kept."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from scdd.artifacts.dataset import DatasetInfo
from scdd.artifacts.patches import Rankings
from scdd.artifacts.slots import Range, slots_together
from scdd.artifacts.statistics import Real
from scdd.data.source import Split
from scdd.errors import ScddError
from scdd.jobs.progress import track
from scdd.params.recover import Recover
from scdd.recover.committees import teachers_of
from scdd.recover.engine import Recovered, Units
from scdd.recover.starts import Starts, ranked_starts, real_starts
from scdd.recover.targets import class_statistics, of_batch
from scdd.recover.units import Statistics, Unit, draw_class_unit, draw_unit
from scdd.views.pixels import normalise, stored

STATISTICS = 256  # real images a forward pass


def from_noise(classes: Range, slots: Range) -> None:
    """No image to start from."""


def block_units(
    params: Recover,
    info: DatasetInfo,
    block: int,
    classes: Range,
    slots: Range,
    networks: Sequence[nn.Module],
    train: Callable[[], Split],
    ranked: Callable[[], tuple[Split, Rankings]],
    real: Sequence[Real] = (),
) -> Units:
    """The units of block number `block`, which has these classes: for each slot, or some of them,
    the images of all classes; or, with statistics by class, for each class its images in all slots.

    info: with the mean and std that the recovery normalises by. networks: the teachers, on their
    device. train: gives the training images; it is called if the recovery needs real ones. ranked:
    gives them in their own sizes, with the order in which images start from them. real: their
    statistics in each of the teachers, if it gathers them. Raises ScddError if there are too few
    images.
    """
    what = f"images of block {block}"
    start: Starts = from_noise
    pool = params.residual.pool if params.residual else None
    used = (slots[0], max(slots[1], pool or 0))
    if params.start == "real":
        start = real_starts(train(), info, classes, used, params.seed)
    elif params.start != "noise":
        start = ranked_starts(*ranked(), info, classes, used)
    pooled = None
    if pool is not None and (first := start(classes, (0, pool))) is not None:
        pooled = first.unflatten(0, (-1, pool))
    if params.statistics == "class":
        targets = targets_by_class(train(), info, classes, networks)

        def draw_class(label: int) -> Unit:
            return draw_class_unit(
                params,
                label,
                info.resolution,
                seed=params.seed,
                slots=slots,
                targets=targets[label],
                start=start((label, label + 1), slots),
                pool=None if pooled is None else pooled[label - classes[0]][None],
            )

        return Units(range(*classes), slots[1] - slots[0], draw_class, what)
    each = slots_together(slots, params.slots)
    labels = torch.tensor(range(*classes)).repeat_interleave(each)
    of_classes = [of_batch(own, labels, params) for own in real] if params.class_share else None
    convolutions = len(networks), max(map(convolutions_of, networks))

    def draw(slot: int) -> Unit:
        return draw_unit(
            params,
            labels,
            info.resolution,
            seed=params.seed,
            block=block,
            slot=slot,
            start=start(classes, (slot, slot + each)),
            targets=of_classes,
            convolutions=convolutions,
            pool=pooled,
        )

    def teachers(slot: int) -> tuple[int, ...]:
        return teachers_of(params, len(networks), block=block, slot=slot)

    return Units(range(*slots, each), len(labels), draw, what, teachers)


def convolutions_of(network: nn.Module) -> int:
    """How many convolutions a network has."""
    return sum(isinstance(part, nn.Conv2d) for part in network.modules())


def targets_by_class(
    train: Split, info: DatasetInfo, classes: Range, networks: Sequence[nn.Module]
) -> dict[int, list[Statistics]]:
    """What is matched by class: by label the statistics of the class's training images in each of
    the networks."""
    device = next(networks[0].parameters()).device
    train, targets = train.to(device), {}
    for label in track(range(*classes), "statistics of classes"):
        own = (train.labels == label).nonzero().flatten()
        if not len(own):
            raise ScddError(f"class {info.classes[label]!r} has no training images to match.")
        targets[label] = [
            class_statistics(
                network, (normalise(x, info) for _, x in train.batches(own, STATISTICS, device))
            )
            for network in networks
        ]
    return targets


def kept_pixels(recovered: Recovered, params: Recover, info: DatasetInfo, classes: int) -> Tensor:
    """The images of a block of so many classes as they are kept, class by class: uint8
    [classes, slots, 3, R, R]."""
    if params.statistics == "class":
        images = recovered.images
    else:
        images = recovered.images.unflatten(1, (classes, -1)).transpose(0, 1).flatten(1, 2)
    return stored(images, info, params.storage)
