"""What is expected of views: by hand, and numpy's least squares."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from scdd.labels.labelling import Labelling
from scdd.labels.prediction import Groups, Seen, by_classes, by_images, expecting, seen
from scdd.params.views import Transform, View

CLASSES, IMAGES, EPOCHS = 3, 12, 7
OF_CLASS = np.repeat(np.arange(CLASSES), IMAGES // CLASSES)


def views(*, grouped: bool) -> list[Seen]:
    """Of random weights and partners, in groups of 5, 5 and 2."""
    draw = torch.Generator().manual_seed(0)

    def one() -> Seen:
        own, other = torch.rand(2, IMAGES, generator=draw)
        partner, order = (torch.randperm(IMAGES, generator=draw) for _ in range(2))
        of = torch.empty_like(order)
        of[order] = torch.tensor([0] * 5 + [1] * 5 + [2] * 2)
        groups = Groups(order, torch.tensor([5, 5, 2]), of) if grouped else None
        return Seen(own, other, partner, groups)

    return [one() for _ in range(EPOCHS)]


def rows(seed: int = 1) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(EPOCHS, IMAGES, CLASSES, generator=draw)


def image_weights(view: Seen) -> Any:
    """The weight of each image in each view, [n, n]."""
    weights = np.diag(view.own.double().numpy())
    weights[np.arange(IMAGES), view.partner.numpy()] += view.other.double().numpy()
    return weights


def class_weights(view: Seen) -> Any:
    """Those of the classes, and beside them their means in the view's group, [n, C or 2C]."""
    weights = image_weights(view) @ np.eye(CLASSES)[OF_CLASS]
    if view.groups is None:
        return weights
    of = view.groups.of.numpy()
    means = np.stack([weights[of == group].mean(0) for group in of])
    return np.concatenate([weights, means], 1)


def solved(weights: list[Any], given: Tensor) -> Any:
    flat = given.double().numpy().reshape(-1, CLASSES)
    return np.linalg.lstsq(np.concatenate(weights), flat, rcond=None)[0]


def test_by_classes_is_numpys_fit() -> None:
    for grouped in (False, True):
        made = views(grouped=grouped)
        fit = solved([class_weights(view) for view in made], rows())
        np.testing.assert_allclose(by_classes(rows(), made).numpy(), fit, atol=0.01)


def test_by_images_is_numpys_fit() -> None:
    made = views(grouped=False)
    fit = solved([image_weights(view) for view in made], rows())
    np.testing.assert_allclose(by_images(rows(), made).numpy(), fit, atol=0.01)


def test_expected_is_what_the_weights_say() -> None:
    draw = torch.Generator().manual_seed(2)
    table = torch.randn(2 * CLASSES, CLASSES, generator=draw).half()
    of_images = torch.randn(IMAGES, CLASSES, generator=draw)
    index = torch.tensor([11, 0, 0, 5])
    for grouped in (False, True):
        view = views(grouped=grouped)[3]
        own = table if grouped else table[:CLASSES]
        expected = class_weights(view) @ own.double().numpy()
        without = expecting(own, None, view)(index)
        np.testing.assert_allclose(without.numpy(), expected[index], atol=1e-5)
        expected += image_weights(view) @ of_images.double().numpy()
        found = expecting(own, lambda image: of_images[image], view)(index)
        np.testing.assert_allclose(found.numpy(), expected[index], atol=1e-5)


def test_what_views_show_by_hand() -> None:
    """Of 6 images in batches of 4 and 2 with halves for BatchNorm, mixed within their batch."""
    transform = Transform(view=View(crop="resized", scale=(0.2, 1.0)), mix="cutmix")
    labelling = Labelling(transform, 3, "batch", 4, batch_bn=True, bn_groups=2)
    draws = labelling.draw(6, 16, 1)
    view, order = seen(labelling, draws, 1), labelling.order(6, 1)
    assert order is not None and view.groups is not None
    for image, partner in enumerate(draws.partner.tolist()):
        heights, widths = draws.crop[:, 2].tolist(), draws.crop[:, 3].tolist()
        lam = draws.lam[image].item()
        own = lam * (heights[image] * widths[image]) ** 0.25
        other = (1 - lam) * (heights[partner] * widths[partner]) ** 0.25
        np.testing.assert_allclose([view.own[image], view.other[image]], [own, other], rtol=1e-5)
    groups = [
        sorted(order[start:stop].tolist()) for start, stop in [(0, 2), (2, 4), (4, 5), (5, 6)]
    ]
    found = [(view.groups.of == group).nonzero()[:, 0].tolist() for group in range(4)]
    assert found == groups
    assert view.groups.sizes.tolist() == [2, 2, 1, 1]


def test_views_whose_labels_depend_on_them_alone_have_no_groups() -> None:
    labelling = Labelling(Transform(mix="mixup"), 0)
    assert seen(labelling, labelling.draw(6, 16, 0), 0).groups is None
