"""Colour operations equal torchvision's with the same factors."""

import pytest
import torch
from torchvision.transforms.v2 import functional

from scdd.rng import generator
from scdd.views.colour import (
    REACH,
    Jitter,
    blur,
    colour,
    draw_factors,
    draw_order,
    draw_sigmas,
    solarise,
)

THEIRS = [
    functional.adjust_brightness,
    functional.adjust_contrast,
    functional.adjust_saturation,
    functional.adjust_hue,
]
FULL = Jitter((0.4, 0.4, 0.4, 0.1), 0.8, 0.2)


def images(n: int) -> torch.Tensor:
    made = torch.rand(n, 3, 9, 9, generator=generator("images"))
    made[:, :, 0] = made[:, :1, 0]  # a grey row
    made[:, :, 1] = 0
    made[:, :, 2] = 1
    made[:, 1, 3] = made[:, 0, 3]  # two equal channels
    return made


@pytest.mark.parametrize("order", [[0], [1], [2], [3], [2, 0, 3, 1], [3, 1, 0, 2], [1, 2, 4]])
def test_equals_torchvision(order: list[int]) -> None:
    factors = draw_factors(Jitter((0.8, 0.8, 0.8, 0.5), 0.8, 0.3), 32, generator(0))
    expected = []
    for image, own in zip(images(32), factors.tolist(), strict=True):
        for operation in order:
            if operation == 4:
                if own[4]:
                    image = functional.rgb_to_grayscale(image, num_output_channels=3)  # noqa: PLW2901
            else:
                image = THEIRS[operation](image, own[operation])  # noqa: PLW2901
        expected.append(image)
    found = colour(images(32), factors, order)
    torch.testing.assert_close(found, torch.stack(expected), atol=1e-5, rtol=0)


def test_factors_lie_in_their_ranges_and_spare_the_rest() -> None:
    factors = draw_factors(Jitter((0.4, 0.4, 1.5, 0.1), 0.8, 0.2), 20_000, generator(0))
    low, high = factors.amin(0).tolist(), factors.amax(0).tolist()
    assert low == pytest.approx([0.6, 0.6, 0.0, -0.1, 0.0], abs=1e-3)
    assert high == pytest.approx([1.4, 1.4, 2.5, 0.1, 1.0], abs=1e-3)
    spared = (factors[:, :4] == torch.tensor([1.0, 1.0, 1.0, 0.0])).all(1).float().mean().item()
    assert spared == pytest.approx(0.2, abs=0.01)
    assert factors[:, 4].mean().item() == pytest.approx(0.2, abs=0.01)


def test_order_leaves_out_what_has_no_strength_and_ends_grey() -> None:
    orders = {tuple(draw_order(FULL, generator(seed))) for seed in range(200)}
    assert len(orders) == 24
    assert all(order[-1] == 4 and sorted(order) == [0, 1, 2, 3, 4] for order in orders)
    assert sorted(draw_order(Jitter((0.4, 0.4, 0, 0), 0.8, 0), generator(0))) == [0, 1]
    assert draw_order(Jitter((0.4, 0.4, 0.4, 0.1), 0, 0), generator(0)) == []


@pytest.mark.parametrize("size", [32, 5])
def test_blur_equals_torchvision(size: int) -> None:
    """In the smaller image the kernel is as wide as a mirrored edge allows."""
    noise = torch.rand(12, 3, size, size, generator=generator(0))
    sigmas = torch.linspace(0.1, 2.0, 12)
    kernel = 2 * min(REACH, size - 1) + 1
    expected = [
        functional.gaussian_blur(image, [kernel, kernel], [sigma, sigma])
        for image, sigma in zip(noise, sigmas.tolist(), strict=True)
    ]
    torch.testing.assert_close(blur(noise, sigmas), torch.stack(expected), atol=1e-6, rtol=0)


def test_without_a_sigma_an_image_is_not_blurred() -> None:
    noise = torch.rand(2, 3, 8, 8, generator=generator(0))
    found = blur(noise, torch.tensor([0.0, 1.0]))
    assert torch.equal(found[0], noise[0])
    assert not torch.allclose(found[1], noise[1])


def test_sigmas_lie_in_their_range_and_spare_the_rest() -> None:
    sigmas = draw_sigmas(0.3, 20_000, generator(0))
    drawn = sigmas[sigmas > 0]
    assert len(drawn) / 20_000 == pytest.approx(0.3, abs=0.01)
    assert (drawn.min().item(), drawn.max().item()) == pytest.approx((0.1, 2.0), abs=1e-3)
    assert drawn.mean().item() == pytest.approx(1.05, abs=0.02)


def test_solarise_equals_torchvision_where_it_is_chosen() -> None:
    noise = torch.rand(2, 3, 8, 8, generator=generator(0))
    noise[:, :, 0] = 0.5
    found = solarise(noise, torch.tensor([True, False]))
    assert torch.equal(found[0], functional.solarize(noise[0], 0.5))
    assert torch.equal(found[1], noise[1])
