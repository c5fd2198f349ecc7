"""Which products are exact on a GPU where all others are in TF32."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from scdd.rng import generator
from scdd.squeeze import knn
from scdd.views.colour import blur
from scdd.views.dsa import dsa
from scdd.views.geometry import crop_resize
from scdd.views.products import exact_products

PRODUCTS = {"mm", "bmm", "addmm", "baddbmm", "affine_grid_generator"}
IMAGES = torch.rand(4, 3, 8, 8, generator=generator("images"))
CHANCES = torch.rand(4, 3, generator=generator("chances"))
VECTORS = torch.nn.functional.normalize(IMAGES.flatten(1))


class Precisions(TorchDispatchMode):
    """With which precision each matrix product was made."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if operation.overloadpacket.__name__ in PRODUCTS:
            self.seen.append(torch.get_float32_matmul_precision())
        return operation(*args, **(kwargs or {}))


@pytest.fixture
def as_on_a_gpu(torch_stays: None) -> None:
    torch.set_float32_matmul_precision("high")


@pytest.mark.usefixtures("as_on_a_gpu")
@pytest.mark.parametrize(
    "work",
    [
        lambda: crop_resize(IMAGES, torch.tensor([[1, 2, 5, 6]] * 4), 8),
        lambda: blur(IMAGES, torch.ones(4)),
        lambda: dsa(IMAGES, "scale", CHANCES),
        lambda: dsa(IMAGES, "rotate", CHANCES),
        lambda: knn.vote(VECTORS, torch.tensor([0, 1, 0, 1]), VECTORS, 2),
    ],
    ids=["crop", "blur", "scale", "rotate", "k-NN"],
)
def test_pixels_and_similarities_are_exact(work: Callable[[], Tensor]) -> None:
    with Precisions() as products:
        work()
        IMAGES.flatten(1) @ CHANCES[:, :1].expand(-1, 192).T
    assert len(products.seen) > 1
    assert products.seen == ["highest"] * (len(products.seen) - 1) + ["high"]


@pytest.mark.usefixtures("as_on_a_gpu")
def test_an_error_does_not_leave_products_exact() -> None:
    with pytest.raises(KeyError), exact_products():
        raise KeyError
    assert torch.get_float32_matmul_precision() == "high"
