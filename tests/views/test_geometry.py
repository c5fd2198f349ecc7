"""Crops, resizes and flips of whole batches equal torchvision's, image by image."""

import pytest
import torch
from torchvision.transforms.v2 import RandomResizedCrop, functional

from scdd.params.views import View
from scdd.rng import generator
from scdd.views.geometry import crop_resize, draw_chances, draw_views, fit_boxes, padded_crop_boxes


def images(n: int, height: int, width: int) -> torch.Tensor:
    return torch.rand(n, 3, height, width, generator=generator("images"))


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("size", [5, 16, 24, 50])
def test_equals_resized_crop_and_flip(size: int, antialias: bool) -> None:
    n, resolution = 40, 24
    boxes = fit_boxes(draw_chances(n, (0.02, 1.0), generator(0)), resolution, resolution)
    boxes[0] = torch.tensor([0, 0, resolution, resolution])
    boxes[1] = torch.tensor([23, 23, 1, 1])
    boxes[2] = torch.tensor([3, 0, 1, resolution])
    flip = torch.rand(n, generator=generator(1)) < 0.5
    expected = []
    for image, box, mirror in zip(images(n, 24, 24), boxes.tolist(), flip, strict=True):
        part = functional.resized_crop(image, *box, [size, size], antialias=antialias)
        expected.append(functional.horizontal_flip(part) if mirror else part)
    found = crop_resize(images(n, 24, 24), boxes, size, flip, antialias=antialias)
    torch.testing.assert_close(found, torch.stack(expected), atol=1e-5, rtol=0)


def test_non_square_images() -> None:
    boxes = torch.tensor([[1, 4, 9, 17], [0, 0, 12, 30], [5, 12, 7, 6]])
    expected = [
        functional.resized_crop(image, *box, [8, 8], antialias=True)
        for image, box in zip(images(3, 12, 30), boxes.tolist(), strict=True)
    ]
    found = crop_resize(images(3, 12, 30), boxes, 8)
    torch.testing.assert_close(found, torch.stack(expected), atol=1e-5, rtol=0)


@pytest.mark.parametrize("antialias", [True, False])
def test_equals_padding_and_crop(antialias: bool) -> None:
    n, resolution, pad = 60, 16, 4
    boxes = padded_crop_boxes(n, resolution, pad, generator(0))
    assert boxes[:, :2].min() == -pad
    assert boxes[:, :2].max() == pad
    expected = [
        functional.crop(
            functional.pad(image, [pad]), box[0] + pad, box[1] + pad, resolution, resolution
        )
        for image, box in zip(images(n, 16, 16), boxes.tolist(), strict=True)
    ]
    found = crop_resize(images(n, 16, 16), boxes, resolution, antialias=antialias)
    torch.testing.assert_close(found, torch.stack(expected), atol=1e-5, rtol=0)


def test_resized_boxes_have_the_asked_areas_and_aspects() -> None:
    boxes = fit_boxes(draw_chances(20_000, (0.2, 1.0), generator(0)), 224, 224).float()
    top, left, height, width = boxes.unbind(1)
    assert bool(((top >= 0) & (left >= 0)).all())
    assert bool(((top + height <= 224) & (left + width <= 224)).all())
    area, aspect = height * width / 224**2, width / height
    assert 0.195 < area.min().item() < 0.21
    assert 0.98 < area.max().item() <= 1
    assert 0.74 < aspect.min().item() < 0.76
    assert 1.32 < aspect.max().item() < 1.35


def test_resized_boxes_are_distributed_as_torchvisions() -> None:
    """Mean and spread of each coordinate, against torchvision's own draws."""
    torch.manual_seed(0)
    theirs = RandomResizedCrop(32, scale=(0.2, 1.0))
    draws = [theirs.make_params([torch.zeros(3, 64, 64)]) for _ in range(4000)]
    expected = torch.tensor([[d[k] for k in ("top", "left", "height", "width")] for d in draws])
    found = fit_boxes(draw_chances(4000, (0.2, 1.0), generator(0)), 64, 64)
    torch.testing.assert_close(found.float().mean(0), expected.float().mean(0), atol=0.6, rtol=0)
    torch.testing.assert_close(found.float().std(0), expected.float().std(0), atol=0.6, rtol=0)


def test_impossible_scale_gives_the_whole_image() -> None:
    boxes = fit_boxes(draw_chances(5, (4.0, 4.0), generator(0)), 10, 10)
    assert boxes.tolist() == [[0, 0, 10, 10]] * 5


def test_views_flip_only_when_asked() -> None:
    boxes, flips, _ = draw_views(View("none", 0, (1.0, 1.0), False), 50, 8, generator(0))
    assert boxes.tolist() == [[0, 0, 8, 8]] * 50
    assert not flips.any()
    _, flips, _ = draw_views(View("padded", 2, (1.0, 1.0), True), 2000, 8, generator(0))
    assert 0.45 < flips.float().mean().item() < 0.55


def test_gradient_flows_to_the_images() -> None:
    one = images(2, 8, 8).double().requires_grad_()
    boxes = torch.tensor([[0, 0, 8, 8], [1, 2, 5, 4]])
    assert torch.autograd.gradcheck(lambda x: crop_resize(x, boxes, 4), (one,), atol=1e-4)
