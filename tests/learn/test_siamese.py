"""Siamese DSA by class, and the draws of a step."""

from dataclasses import replace

import torch
from matching_runs import small_task
from toy import image_set

from scdd.learn.matching import draw_step
from scdd.learn.real import RealImages
from scdd.learn.siamese import Siamese, draw_siamese
from scdd.params.learn import Dm
from scdd.rng import generator
from scdd.views.dsa import STRATEGIES, dsa

PARAMS = Dm(iterations=1, lr_images=1.0, batch=6)


def test_each_class_has_its_own_strategy_and_numbers() -> None:
    strategies = ["flip", "rotate", "flip", "color", "crop", "cutout", "scale"]
    chances = torch.rand(7, 3, generator=generator("chances"))
    images = torch.randn(7, 4, 3, 8, 8, generator=generator("images"))
    siamese = Siamese(strategies, chances)
    found = siamese.augment(images[2:6], slice(2, 6))
    for place, label in enumerate(range(2, 6)):
        numbers = chances[label].expand(4, -1)
        assert torch.equal(found[place], dsa(images[label], strategies[label], numbers))


def test_gradients_reach_the_images_of_each_class() -> None:
    images = torch.randn(3, 2, 3, 8, 8, generator=generator("images")).requires_grad_()
    siamese = Siamese(["color", "scale", "color"], torch.full((3, 3), 0.3))
    siamese.augment(images, slice(0, 3))[1].sum().backward()
    assert images.grad is not None
    assert images.grad[1].abs().sum() > 0
    assert images.grad[[0, 2]].abs().sum() == 0


def test_by_class_or_by_step() -> None:
    by_class = draw_siamese(30, "class", generator("draw"))
    assert set(by_class.strategies) == set(STRATEGIES)
    assert len(by_class.chances.unique(dim=0)) == 30
    by_step = draw_siamese(30, "step", generator("draw"))
    assert len(set(by_step.strategies)) == len(by_step.chances.unique(dim=0)) == 1
    assert len(by_step.strategies) == len(by_step.chances) == 30


def test_a_steps_draws_depend_on_seed_and_position_alone() -> None:
    task = small_task()
    first, again, later = (draw_step(PARAMS, task, *at) for at in ((2, 1), (2, 1), (2, 2)))
    assert torch.equal(first.rows, again.rows)
    assert first.siamese is not None
    assert again.siamese is not None
    assert first.siamese.strategies == again.siamese.strategies
    assert torch.equal(first.siamese.chances, again.siamese.chances)
    assert not torch.equal(first.rows, later.rows)
    assert not torch.equal(first.rows, draw_step(PARAMS, replace(task, seed=1), 2, 1).rows)


def test_without_dsa_images_stay_as_they_are() -> None:
    draws = draw_step(replace(PARAMS, dsa=False), small_task(), 0)
    images = torch.rand(3, 2, 3, 8, 8)
    assert draws.augment(images, slice(0, 3)) is images


def test_real_images_are_different_ones_of_each_class() -> None:
    split = image_set(50, 8)  # 17, 17 and 16 images
    real = RealImages(split, 3, lambda pixels: pixels.float())
    assert real.least == 16
    rows = real.draw(10, generator("draw"))
    assert (split.labels[rows] == torch.arange(3)[:, None]).all()
    assert all(len(row.unique()) == 10 for row in rows)
    assert split.pixels is not None
    assert torch.equal(real[rows], split.pixels[rows].float())
    assert real.draw(100, generator("draw")).shape == (3, 16)
