"""The ConvNet as a function of its weights, and means by class."""

import pytest
import torch
from matching_runs import SMALL

from scdd.learn.features import blocks, class_means, depth, features, images_a_pass, logits, passes
from scdd.learn.networks import Fresh
from scdd.params.network import Network
from scdd.rng import generator

CPU = torch.device("cpu")


@pytest.mark.parametrize("arch", ["convnet3", "convnet4"])
@pytest.mark.parametrize("size", [16, 28])  # 28: an odd number of pixels is pooled
def test_the_function_is_the_network(arch: str, size: int) -> None:
    fresh = Fresh(Network(arch, 1 / 16, "imagenet"), 5, size, CPU, 0, torch.float64)
    for weight in fresh.weights:  # scales and shifts of norms are to count
        weight.data += 0.1 * torch.randn(weight.shape, generator=generator("noise"))
    images = torch.randn(3, 3, size, size, generator=generator("images")).double()
    x = images
    made = list(blocks(fresh.weights, images))
    assert len(made) == depth(fresh.weights) == len(fresh.network.blocks) // 4
    for place, (active, pooled) in zip(range(0, 16, 4), made, strict=False):
        x = fresh.network.blocks[place : place + 3](x)
        assert torch.allclose(active, x, rtol=1e-12, atol=1e-13)
        x = fresh.network.blocks[place + 3](x)
        assert torch.allclose(pooled, x, rtol=1e-12, atol=1e-13)
    assert torch.equal(features(fresh.weights, images), made[-1][1].flatten(1))
    assert torch.allclose(logits(fresh.weights, images), fresh.network(images), rtol=1e-12)


@pytest.mark.parametrize("most", [1, 3, 4, 5, 8, 11, 100])
def test_passes_have_every_image_once_and_not_too_many(most: int) -> None:
    seen = torch.zeros(5, 4)
    for some, these in passes(5, 4, most):
        seen[some, these] += 1
        assert seen[some, these].numel() <= most
    assert (seen == 1).all()


@pytest.mark.parametrize("most", [1, 3, 8, 100])
def test_means_by_class(most: int) -> None:
    images = torch.randn(5, 4, 3, 2, 2, generator=generator("images"), dtype=torch.float64)
    twice, sums = class_means(lambda x: [2 * x, x.sum((2, 3))], images, most)
    assert torch.allclose(twice, 2 * images.mean(1))
    assert torch.allclose(sums, images.sum((3, 4)).mean(1))


def test_a_pass_is_measured_by_the_activations_of_the_first_block() -> None:
    weights = Fresh(Network("convnet3", 1.0, "imagenet"), 10, 32, CPU, 0).weights
    # 128 filters, 32x32 pixels, 4 bytes: 8 images are 4 MiB
    assert images_a_pass(weights, 32) == min(8 * torch.get_num_threads(), 62)
    assert images_a_pass(weights, 1024) == 1


def test_new_weights_depend_on_their_number_alone() -> None:
    first, second = (Fresh(SMALL, 3, 8, CPU, 0) for _ in range(2))
    second.draw(7)
    for number in (7, 8):
        first.draw(number)
        second.draw(number)
        for a, b in zip(first.weights, second.weights, strict=True):
            assert torch.equal(a, b)
    second.draw(7)
    assert not torch.equal(first.weights[0], second.weights[0])


def test_drawing_leaves_torchs_own_numbers_alone() -> None:
    fresh = Fresh(SMALL, 3, 8, CPU, 0)
    before = torch.get_rng_state()
    fresh.draw(0)
    assert torch.equal(torch.get_rng_state(), before)
