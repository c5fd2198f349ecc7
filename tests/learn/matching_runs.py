"""What the tests of DC, DSA, DM and CAFE share: their programs' runs, and a small task.

golden/{dc,dsa,dm,dmaug,cafe}.safetensors are runs of the authors' programs on made-up images. Real
images, and learned ones that do not start from noise, are multiples of 1/128 and kept as integers.
Of gradients and images every fifth entry was taken (CAFE: every sixteenth); of the float32 runs
only what the first step gave.
"""

import copy
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from toy import image_set, info

from scdd.jobs import epochs
from scdd.learn.learner import Learner, Task
from scdd.learn.matching import Draws, Matching
from scdd.learn.real import RealImages
from scdd.learn.siamese import Siamese
from scdd.params.network import Network
from scdd.rng import generator
from scdd.views.dsa import CROP, CUTOUT, STRATEGIES
from scdd.views.pixels import normalise

FOLDER = Path(__file__).parent / "golden"
EVERY = {"cafe": 16}  # of how many entries one was taken; 5 where nothing else is said
TYPES = {"f64": torch.float64, "f32": torch.float32}
TOLERANCE = {"f64": 1e-10, "f32": 1e-4}


class Golden:
    """A run of a program in float64 or float32."""

    def __init__(self, name: str, suffix: str) -> None:
        self.content = load_file(FOLDER / f"{name}.safetensors")
        self.suffix, self.dtype, self.every = suffix, TYPES[suffix], EVERY.get(name, 5)
        self.classes, _, width, self.size = self.content[
            "meta.classes_ipc_width_resolution"
        ].tolist()
        self.network = Network("convnet3", width / 128, "imagenet")
        self.rate = self.content["lr_img"].item()

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Real images."""
        return self._images("pool")[rows]

    def _images(self, name: str) -> Tensor:
        kept = self.content[name]
        return kept.to(self.dtype) / (1 if kept.is_floating_point() else 128)

    def task(self) -> Task:
        real: Any = self
        return Task(self._images("images_before"), self.classes, real, self.network, seed=0)

    def __contains__(self, name: str) -> bool:
        return f"{name}_{self.suffix}" in self.content

    def weights(self, step: int) -> Tensor:
        """The network's before a step of the images."""
        return self.content[f"s{step}.params_f64"].to(self.dtype)

    def draws(self, step: int) -> Draws:
        rows, siamese = self.content[f"s{step}.real_index"], None
        if f"s{step}.op" in self.content:
            strategies = [STRATEGIES[op] for op in self.content[f"s{step}.op"].tolist()]
            values = self.content[f"s{step}.values"]
            pairs = zip(strategies, values, strict=True)
            chances = torch.stack([chances_of(*pair, self.size) for pair in pairs])
            siamese = Siamese(strategies, chances)
        return Draws(rows, siamese)

    def off(self, name: str, found: Tensor) -> float:
        """The largest difference over the largest entry."""
        kept = self.content[f"{name}_{self.suffix}"]
        found = found.detach().flatten()[:: self.every if kept.ndim else 1]
        return ((found - kept.flatten()).abs().max() / kept.abs().max()).item()

    def step(self, learner: Matching, number: int) -> None:
        """Make a step of the images, and compare loss, gradient and images with the program's."""
        tolerance = TOLERANCE[self.suffix]
        loss = learner.step(self.draws(number))
        assert self.off(f"s{number}.loss", loss) < tolerance
        if f"s{number}.grad" in self:
            assert learner.images.grad is not None
            assert self.off(f"s{number}.grad", learner.images.grad) < tolerance
            assert self.off(f"s{number}.images_after", learner.images) < tolerance


def chances_of(strategy: str, values: Tensor, size: int) -> Tensor:
    """The numbers in [0, 1) that give the program's: of crop and cutout these are whole pixels."""
    if strategy == "crop":
        most = int(CROP * size + 0.5)
        return (values + most + 0.5) / (2 * most + 1)
    if strategy == "cutout":
        hole = int(CUTOUT * size + 0.5)
        return (values + 0.5) / (size + 1 - hole % 2)
    return values


def set_weights(learner: Matching, flat: Tensor) -> None:
    parts = flat.split([weight.numel() for weight in learner.weights])
    with torch.no_grad():
        for weight, part in zip(learner.weights, parts, strict=True):
            weight.copy_(part.view_as(weight))


def flat_weights(learner: Matching) -> Tensor:
    return torch.cat([weight.detach().flatten() for weight in learner.weights])


SMALL = Network("convnet3", 1 / 16, "imagenet")  # 8 filters


def small_task(ipc: int = 2, network: Network = SMALL, dtype: torch.dtype = torch.float32) -> Task:
    """Three classes of 20 real images of 8 pixels a side; learned ones start from noise."""
    split = image_set(60, 16 if network.arch == "convnet4" else 8)
    size = split.resolution
    real = RealImages(split, 3, lambda pixels: normalise(pixels, info(size)).to(dtype))
    start = torch.randn(3 * ipc, 3, size, size, generator=generator("start")).to(dtype)
    return Task(start, 3, real, network, seed=0)


def continued(learner: Learner, other: Learner) -> Learner:
    """`other`, which has not begun, where `learner` is."""
    for name, part in learner.state.items():
        epochs._load(other.state[name], copy.deepcopy(epochs._state(part)))
    return other
