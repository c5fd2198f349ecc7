"""RDED's crops, scores, choice and mosaics against runs of its authors' code."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import Tensor, nn

from scdd.patches.crops import cut
from scdd.patches.mosaic import cells_by_ipc, mosaic
from scdd.patches.ranking import difficulty, easiest_first
from scdd.views.pixels import in_bytes_truncated, in_unit, standardise

GOLDEN = Path(__file__).parent / "golden"
CPU = torch.device("cpu")
CROPPING = 2e-6  # what two ways of resizing a crop differ by, of normalised values up to 2.6


@dataclass(frozen=True)
class ImageNet:
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)


SCALE = ImageNet()


class Observer(nn.Module):
    """The files' network: three times convolution, BatchNorm, ReLU, pooling; a classifier."""

    def __init__(self, parts: dict[str, Tensor]) -> None:
        super().__init__()
        self.parts = {
            name.removeprefix("net."): part
            for name, part in parts.items()
            if name.startswith("net.")
        }

    def forward(self, x: Tensor) -> Tensor:
        own = self.parts
        for layer in range(3):
            conv, norm = f"layers.conv.{layer}", f"layers.norm.{layer}"
            x = F.conv2d(x, own[f"{conv}.weight"], own[f"{conv}.bias"], padding=1)
            known = own[f"{norm}.running_mean"], own[f"{norm}.running_var"]
            x = F.batch_norm(x, *known, own[f"{norm}.weight"], own[f"{norm}.bias"])
            x = F.avg_pool2d(x.relu(), 2)
        return F.linear(x.flatten(1), own["classifier.weight"], own["classifier.bias"])


class Run:
    """One class of a golden file."""

    def __init__(self, file: str, label: int) -> None:
        with safe_open(GOLDEN / f"{file}.safetensors", "pt") as opened:
            self.parts = {name: opened.get_tensor(name).clone() for name in opened.keys()}  # noqa: SIM118
            facts = {key: int(value) for key, value in opened.metadata().items()}
        self.label, self.size, self.ipc = label, facts["size"], facts["ipc"]
        self.factor = facts["factor"]
        order = self["order"]
        self.images = list(self["pictures"][order].permute(0, 3, 1, 2))
        self.boxes, self.scores = self["crops"].long(), self["dist"].T
        self.observer = Observer(self.parts)

    def __getitem__(self, name: str) -> Tensor:
        return self.parts[name][self.label]

    def crops(self) -> Tensor:
        return cut(self.images, self.boxes, self.size // self.factor, CPU)

    def scored(self, crops: Tensor) -> Tensor:
        return difficulty(self.observer, crops, self.label, SCALE, self.size)


@pytest.fixture(
    params=[(file, c) for file in ("rded_factor1", "rded_factor2", "rded_odd") for c in (0, 1)],
    ids=lambda param: f"{param[0]}-class{param[1]}",
)
def run(request: pytest.FixtureRequest) -> Run:
    return Run(*request.param)


def test_crops_are_the_authors(run: Run) -> None:
    crops = run.crops()[:3]
    found = standardise(crops.flatten(0, 1), SCALE).view_as(crops)
    torch.testing.assert_close(found, run["patches"], rtol=0, atol=CROPPING)


def test_scores_of_the_authors_crops_are_theirs(run: Run) -> None:
    found = run.scored(in_unit(run["patches"], SCALE))
    torch.testing.assert_close(found, run.scores[:3], rtol=1e-6, atol=3e-7)


def test_scores_of_our_crops_are_theirs(run: Run) -> None:
    torch.testing.assert_close(run.scored(run.crops()), run.scores, rtol=CROPPING, atol=1e-6)


def test_the_choice_is_theirs(run: Run) -> None:
    """Of each image its crop, and the images in their order."""
    n = run.ipc * run.factor**2
    found = easiest_first(run.scored(run.crops()), run.boxes, torch.arange(len(run.images)))
    least, which = run.scores.min(1)
    expected = least.argsort(stable=True)[:n]
    assert found.images[:n].equal(expected)
    assert found.boxes is not None
    assert found.boxes[:n].equal(run.boxes[expected, which[expected]])


def test_mosaics_of_their_crops_are_theirs_to_the_bit(run: Run) -> None:
    cells = cells_by_ipc(run.ipc, run.factor)
    assert mosaic(run["chosen"][cells], run.size).equal(run["mosaic"])


def test_images_from_pictures_on_are_theirs(run: Run) -> None:
    """The bytes before JPEG up to a level, where theirs are rounded before they are truncated."""
    cells = cells_by_ipc(run.ipc, run.factor)
    found = easiest_first(run.scores, run.boxes, torch.arange(len(run.images)))
    assert found.boxes is not None
    pictures = [run.images[place] for place in found.images]
    crops = cut(pictures, found.boxes[:, None], run.size // run.factor, CPU)[:, 0]
    made = mosaic(crops[cells], run.size)
    torch.testing.assert_close(standardise(made, SCALE), run["mosaic"], rtol=0, atol=CROPPING)
    bytes_of = in_bytes_truncated(made).permute(0, 2, 3, 1).int() - run["saved"].int()
    assert bytes_of.abs().max() <= 1
    assert bytes_of.ne(0).float().mean() < 0.021
    theirs = in_bytes_truncated(in_unit(run["mosaic"], SCALE)).permute(0, 2, 3, 1)
    assert (theirs.int() - run["saved"].int()).abs().max() <= 1
    assert theirs.ne(run["saved"]).float().mean() < 0.012
