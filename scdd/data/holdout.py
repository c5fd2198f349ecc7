"""A held-out part of the training set that takes the place of the test set, to choose by."""

from collections.abc import Mapping, Sequence

import torch

from scdd.data.sets import held_out
from scdd.errors import ScddError
from scdd.rng import generator


def hold_out(
    labels: Sequence[int], names: Mapping[int, str], share: float
) -> tuple[list[int], list[int]]:
    """Places of the training images that stay, and of those that are held out, both in order.

    names: class names by label; images of other classes are in neither list. The same share of
    each class is held out, at least one image. The draw depends on the class's name alone, so that
    subsets of classes hold out the same images. Raises ScddError, naming the class, where no image
    would stay.
    """
    places: dict[int, list[int]] = {label: [] for label in names}
    for place, label in enumerate(labels):
        if label in places:
            places[label].append(place)
    stay, out = list[int](), list[int]()
    for label, own in places.items():
        count = held_out(len(own), share)
        if count >= len(own):
            raise ScddError(
                f"dataset.holdout: {share:g} of class {names[label]!r}, which has {len(own)} "
                "training images, leaves none to train on. Lower it."
            )
        order = torch.randperm(len(own), generator=generator("holdout", names[label])).tolist()
        out += [own[index] for index in order[:count]]
        stay += [own[index] for index in order[count:]]
    return sorted(stay), sorted(out)
