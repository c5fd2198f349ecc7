"""The space in which images are learned: there and back, and what is refused."""

from pathlib import Path

import pytest
import torch
from toy import image_set, info

from scdd.artifacts.whitening import save_whitening
from scdd.errors import ScddError
from scdd.learn.seen import Seen
from scdd.views.zca import fit

CPU, INFO = torch.device("cpu"), info(8)
IMAGES = image_set(12, 8).pixels
DATA = Path("dataset.json")


@pytest.fixture
def whitening(tmp_path: Path) -> Path:
    assert IMAGES is not None
    path = tmp_path / "whitening.safetensors"
    save_whitening(path, fit([IMAGES], 0.1).to(torch.float32), INFO, "w", {})
    return path


def test_normalised_images_come_back() -> None:
    seen = Seen(INFO, DATA, None, None, CPU)
    assert IMAGES is not None
    expected = (IMAGES[0, 1] / 255 - INFO.mean[1]) / INFO.std[1]
    assert torch.allclose(seen.forwards(IMAGES)[0, 1], expected, atol=1e-6)
    assert torch.equal(seen.backwards(seen.forwards(IMAGES)), IMAGES)


def test_whitened_images_come_back(whitening: Path) -> None:
    seen = Seen(INFO, DATA, whitening, "w", CPU)
    assert IMAGES is not None
    whitened = seen.forwards(IMAGES)
    assert whitened.mean(0).abs().max() < 1e-4  # the mean of all images is 0
    assert torch.equal(seen.backwards(whitened.unflatten(0, (3, 4))), IMAGES.unflatten(0, (3, 4)))


def test_a_whitening_that_is_not_meant_is_refused(whitening: Path) -> None:
    with pytest.raises(ScddError, match=r"are normalised\. Leave it out"):
        Seen(INFO, DATA, whitening, None, CPU)


def test_a_missing_whitening_is_not_taken_for_normalised_images() -> None:
    with pytest.raises(ScddError, match=r"are whitened\. Name its whitening"):
        Seen(INFO, DATA, None, "w", CPU)


def test_another_whitening_than_the_one_that_is_meant_is_refused(whitening: Path) -> None:
    with pytest.raises(ScddError):
        Seen(INFO, DATA, whitening, "another", CPU)
