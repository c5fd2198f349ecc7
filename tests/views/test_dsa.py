"""DSA's six strategies, image by image from their definition in the code of arXiv 2102.08259, and
against one run of that code.

golden/dsa_ops.safetensors: two images of 32 pixels, and what the authors' program makes of them by
each strategy in float64; `each`: every image has numbers of its own, `siamese`: both have the same.
`grad_f64` is the gradient of sum(out * linspace(-1, 1)) by the images. Of `images_f64` and
`grad_f64` only every other row and column was taken; the float32 run was left out.
"""

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.transforms.v2 import functional

from scdd.rng import generator
from scdd.views.dsa import NUMBERS, STRATEGIES, draw_dsa, dsa

GOLDEN = load_file(Path(__file__).parent / "golden" / "dsa_ops.safetensors")
SIZE, N = 16, 30
IMAGES = torch.randn(N, 3, SIZE, SIZE, generator=generator("images"))
CHANCES = torch.rand(N, 3, generator=generator("chances"))


def bilinear(image: Tensor, y: float, x: float) -> Tensor:
    """The value at a place between pixels; 0 outside."""
    total = torch.zeros(3)
    for row in (math.floor(y), math.floor(y) + 1):
        for column in (math.floor(x), math.floor(x) + 1):
            if 0 <= row < SIZE and 0 <= column < SIZE:
                total += (1 - abs(y - row)) * (1 - abs(x - column)) * image[:, row, column]
    return total


def resampled(image: Tensor, matrix: list[list[float]]) -> Tensor:
    out, middle = torch.empty_like(image), (SIZE - 1) / 2
    for row in range(SIZE):
        for column in range(SIZE):
            x, y = column - middle, row - middle
            from_x = matrix[0][0] * x + matrix[0][1] * y + middle
            from_y = matrix[1][0] * x + matrix[1][1] * y + middle
            out[:, row, column] = bilinear(image, from_y, from_x)
    return out


def naive(image: Tensor, strategy: str, a: float, b: float, c: float) -> Tensor:
    if strategy == "color":
        image = image + (a - 0.5)
        mean = image.mean(0, keepdim=True)
        image = (image - mean) * (2 * b) + mean
        return (image - image.mean()) * (c + 0.5) + image.mean()
    if strategy == "crop":  # by up to an eighth of 16 pixels
        top, left = (math.floor(chance * 5) for chance in (a, b))
        return functional.crop(functional.pad(image, [2]), top, left, SIZE, SIZE)
    if strategy == "cutout":  # 8 pixels around a centre that may be at the edge
        top, left = (math.floor(chance * 17) - 4 for chance in (a, b))
        bottom, right = top + 8, left + 8
        top, left = max(top, 0), max(left, 0)
        return functional.erase(image, top, left, bottom - top, right - left, torch.zeros(1))
    if strategy == "flip":
        return functional.hflip(image) if a < 0.5 else image
    if strategy == "scale":
        across, down = (1 / 1.2 + chance * (1.2 - 1 / 1.2) for chance in (a, b))
        return resampled(image, [[across, 0], [0, down]])
    angle = (a - 0.5) * 2 * 15 / 180 * math.pi
    turn = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    return resampled(image, turn)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_strategy_is_what_its_code_says(strategy: str) -> None:
    n = 5 if strategy in ("scale", "rotate") else N
    expected = [
        naive(image, strategy, *chances)
        for image, chances in zip(IMAGES[:n], CHANCES[:n].tolist(), strict=True)
    ]
    found = dsa(IMAGES[:n], strategy, CHANCES[:n])
    torch.testing.assert_close(found, torch.stack(expected), atol=1e-5, rtol=0)


def test_batches_draw_their_strategies_evenly() -> None:
    drawn = [draw_dsa(2, generator(0, number))[0] for number in range(1200)]
    assert set(drawn) == set(STRATEGIES)
    assert all(150 < drawn.count(strategy) < 250 for strategy in STRATEGIES)


def chances_of(strategy: str, values: Tensor) -> Tensor:
    """Chances float64 [n, NUMBERS] that give the program's numbers: u, or whole pixels."""
    if strategy == "crop":  # -4 to 4
        values = (values + 4.5) / 9
    if strategy == "cutout":  # 0 to 32
        values = (values + 0.5) / 33
    return nn.functional.pad(values, (0, NUMBERS - values.shape[1]))


@pytest.mark.parametrize("mode", ["each", "siamese"])
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(("dtype", "atol"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
def test_a_strategy_is_what_its_program_made(
    strategy: str, mode: str, dtype: torch.dtype, atol: float
) -> None:
    values = GOLDEN[f"{strategy}.{mode}.values"]
    found = dsa(GOLDEN["images"].to(dtype), strategy, chances_of(strategy, values).to(dtype))
    assert found.dtype == dtype
    expected = GOLDEN[f"{strategy}.{mode}.images_f64"]
    torch.testing.assert_close(found[..., ::2, ::2].double(), expected, atol=atol, rtol=0)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(("dtype", "atol"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
def test_a_strategys_gradient_is_that_of_its_program(
    strategy: str, dtype: torch.dtype, atol: float
) -> None:
    images = GOLDEN["images"].to(dtype).requires_grad_()
    chances = chances_of(strategy, GOLDEN[f"{strategy}.each.values"]).to(dtype)
    weights = torch.linspace(-1, 1, images.numel(), dtype=dtype).view_as(images)
    (found,) = torch.autograd.grad((dsa(images, strategy, chances) * weights).sum(), images)
    expected = GOLDEN[f"{strategy}.each.grad_f64"]
    torch.testing.assert_close(found[..., ::2, ::2].double(), expected, atol=atol, rtol=0)
