"""Whitening: one run of kornia's program, and what the formula promises.

golden/zca.safetensors: 300 images of 6 pixels, and kornia's mean, transform and inverse fitted on
them (eps 0.1), and the first 20 images whitened, and back, all in float64. Its float32 run was left
out.
"""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from scdd.rng import generator
from scdd.views.zca import Whitening, fit

GOLDEN = load_file(Path(__file__).parent / "golden" / "zca.safetensors")
IMAGES = torch.randint(0, 256, (60, 3, 4, 4), generator=generator("images")).byte()
F64, F32 = torch.float64, torch.float32


@pytest.fixture(scope="module")
def fitted() -> Whitening:
    return fit(GOLDEN["images"].double().split(64), 0.1)


@pytest.mark.parametrize(("dtype", "atol"), [(F64, 1e-10), (F32, 1e-5)])
def test_a_whitening_is_kornias(fitted: Whitening, dtype: torch.dtype, atol: float) -> None:
    found, first = fitted.to(dtype), GOLDEN["images"][:20].to(dtype)
    whitened = found.whiten(first)
    made = {
        "mean": found.mean[None],
        "transform": found.transform,
        "inverse": found.inverse,
        "whitened": whitened,
        "back": found.unwhiten(whitened),
    }
    for name, tensor in made.items():
        assert tensor.dtype == dtype
        torch.testing.assert_close(tensor.double(), GOLDEN[f"{name}_f64"], atol=atol, rtol=0)


def test_the_covariance_of_whitened_images_is_that_of_the_formula() -> None:
    """With the same vectors, and S / (S + eps) in place of S."""
    x = (IMAGES.double() / 255).flatten(1)
    sizes, vectors = torch.linalg.eigh(x.T.cov())
    expected = vectors @ torch.diag(sizes / (sizes + 0.05)) @ vectors.T
    found = fit([IMAGES], 0.05).whiten(IMAGES).flatten(1)
    torch.testing.assert_close(found.mean(0), torch.zeros(48, dtype=F64), atol=1e-7, rtol=0)
    torch.testing.assert_close(found.T.cov(), expected, atol=1e-6, rtol=0)


def test_batches_are_one_set() -> None:
    whole, parts = fit([IMAGES], 0.1), fit(IMAGES.split(7), 0.1)
    torch.testing.assert_close(parts.transform, whole.transform, atol=1e-12, rtol=0)
    torch.testing.assert_close(parts.mean, whole.mean, atol=1e-12, rtol=0)


def test_bytes_are_whitened_and_come_back_as_pixels() -> None:
    """Also values that no pixel has: nothing is clipped."""
    whitening = fit([IMAGES], 0.1).to(F32)
    whitened = whitening.whiten(IMAGES)
    assert whitened.dtype == F32
    torch.testing.assert_close(whitening.unwhiten(whitened), IMAGES / 255, atol=1e-5, rtol=0)
    beyond = 3 * IMAGES[:2] / 255 - 1
    back = whitening.unwhiten(whitening.whiten(beyond))
    torch.testing.assert_close(back, beyond, atol=1e-5, rtol=0)
