"""Colour operations equal torchvision's with the same factors."""

import pytest
import torch
from torchvision.transforms.v2 import functional

from scdd.data.augment import Jitter, colour, draw_factors, draw_order
from scdd.rng import generator

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
