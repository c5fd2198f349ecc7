"""ZCA matrices of others."""

from pathlib import Path
from typing import Any

import pytest
import torch
import toy
from safetensors.torch import save_file
from torch import Tensor

from scdd.errors import ScddError
from scdd.interop.whitenings import read_whitening

OWN = toy.whitening()  # of images of 8 pixels a side


def kornias(**changes: Any) -> dict[str, Any]:
    """The values of kornia's ZCAWhitening, whose mean is a row."""
    values = {"mean_vector": OWN.mean[None], "transform_matrix": OWN.transform}
    return values | {"transform_inv": OWN.inverse} | changes


def saved(path: Path, content: dict[str, Any]) -> Path:
    torch.save({key: value for key, value in content.items() if value is not None}, path)
    return path


def test_kornias_values_are_read(tmp_path: Path) -> None:
    read = read_whitening(saved(tmp_path / "zca.pt", kornias()), 8)
    for part in ("mean", "transform", "inverse"):
        assert torch.equal(getattr(read, part), getattr(OWN, part))


def test_a_missing_inverse_is_that_of_the_transform(tmp_path: Path) -> None:
    read = read_whitening(saved(tmp_path / "zca.pt", kornias(transform_inv=None)), 8)
    torch.testing.assert_close(read.inverse, OWN.inverse, atol=1e-4, rtol=0)


def test_a_file_of_the_stage_whiten_is_read(tmp_path: Path) -> None:
    parts: dict[str, Tensor] = vars(OWN)
    save_file(parts, tmp_path / "whitening.safetensors")
    read = read_whitening(tmp_path / "whitening.safetensors", 8)
    assert torch.equal(read.transform, OWN.transform)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"transform_matrix": None}, r"has no tensor transform_matrix \(or transform\)\. Save the"),
        ({"transform_matrix": "T"}, r"has no tensor transform_matrix"),
        (
            {"mean_vector": torch.zeros(1, 27)},
            r"mean_vector has the shape \[1, 27\], but images of 8 pixels a side need \[192\]",
        ),
        ({"transform_matrix": OWN.transform * torch.inf}, "transform_matrix has values that are"),
        ({"mean_vector": 255 * OWN.mean}, r"but pixels are in \[0, 1\] here\. Fit the whitening"),
    ],
)
def test_what_does_not_whiten_such_images_is_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ScddError, match=r"zca\.pt.*" + message):
        read_whitening(saved(tmp_path / "zca.pt", kornias(**changes)), 8)
