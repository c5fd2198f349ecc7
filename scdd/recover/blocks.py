"""A block of classes in a range of slots: its units, and their images as they are kept."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from scdd.artifacts.dataset import DatasetInfo
from scdd.artifacts.patches import Rankings
from scdd.artifacts.slots import Range
from scdd.data.source import Split
from scdd.errors import ScddError
from scdd.jobs.progress import track
from scdd.params.recover import Recover
from scdd.recover.engine import Recovered, Units
from scdd.recover.starts import Starts, ranked_starts, real_starts
from scdd.recover.targets import class_statistics
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
) -> Units:
    """The units of block number `block`, which has these classes: for each slot one image of each
    class, or, with statistics by class, for each class its images in all slots.

    info: with the mean and std that the recovery normalises by. networks: the teachers, on their
    device. train: gives the training images; it is called if the recovery needs real ones. ranked:
    gives them in their own sizes, with the order in which images start from them. Raises ScddError
    if there are too few of them.
    """
    what = f"images of block {block}"
    start: Starts = from_noise
    if params.start == "real":
        start = real_starts(train(), info, classes, slots, params.seed)
    elif params.start != "noise":
        start = ranked_starts(*ranked(), info, classes, slots)
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
            )

        return Units(range(*classes), slots[1] - slots[0], draw_class, what)
    labels = torch.tensor(range(*classes))

    def draw(slot: int) -> Unit:
        begin = start(classes, (slot, slot + 1))
        return draw_unit(
            params, labels, info.resolution, seed=params.seed, block=block, slot=slot, start=begin
        )

    return Units(range(*slots), len(labels), draw, what)


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


def kept_pixels(recovered: Recovered, params: Recover, info: DatasetInfo) -> Tensor:
    """The images of a block as they are kept, class by class: uint8 [classes, slots, 3, R, R]."""
    by_class = params.statistics == "class"
    images = recovered.images if by_class else recovered.images.transpose(0, 1)
    return stored(images, info, params.storage)
