"""Experts' parameters by epoch, float32 or bf16 [epochs, experts, P] in a file for each range.

A file's header says what the numbers are parameters of: network, classes, and the pixel space.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scdd.artifacts import tensors
from scdd.artifacts.classes import class_hash, require_same_classes
from scdd.artifacts.expert_files import paths
from scdd.artifacts.files import damaged, require_digest
from scdd.artifacts.slots import Range
from scdd.errors import ScddError
from scdd.params.network import Network


@dataclass(frozen=True)
class Space:
    """What experts are networks for: their architecture, the classes in order, and the images that
    they see, normalised by mean and std or, where there is a hash, by that whitening."""

    network: Network
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    whitening: str | None = None

    @property
    def pixels(self) -> str:
        if self.whitening is not None:
            return f"whitened by {self.whitening[:16]}"
        return f"normalised by mean {list(self.mean)} and std {list(self.std)}"


def save_experts(
    path: Path,
    parameters: Tensor,
    space: Space,
    *,
    experts: Range,
    epochs: Range,
    storage: str,
    record: Mapping[str, Any],
) -> None:
    """Write parameters float32 [epochs, E, P] after each of the epochs; the first file, of epochs
    from 0, also has those before training. storage: 'float32' or 'bf16'. `record` (digest, seed,
    env) goes into the header."""
    parts = {"parameters": parameters}
    if storage == "bf16":
        parts = {"parameters": parameters.bfloat16(), "last": parameters[-1].clone()}
    header = {
        "kind": "experts",
        **asdict(space),
        "class_hash": class_hash(space.classes),
        "experts": list(experts),
        "epochs": list(epochs),
        **record,
    }
    tensors.save(path, parts, header)


def last_parameters(path: Path, space: Space, digest: str, experts: Range, epoch: int) -> Tensor:
    """The parameters after the last epoch of a file, float32 [E, P], from which training goes on.

    Raises ScddError where the file is damaged, of another artifact or space, or does not have these
    experts up to `epoch`.
    """
    parts, header = tensors.load(path)
    _require(path, header, space, digest)
    if tuple(header["experts"]) != experts or header["epochs"][1] != epoch:
        raise damaged(path, f"has experts {header['experts']} in epochs {header['epochs']}")
    return parts["last"] if "last" in parts else parts["parameters"][-1].clone()


class StoredExperts:
    """The parameters of all experts of an artifact, read when they are used."""

    def __init__(
        self,
        folder: Path,
        space: Space,
        digest: str,
        *,
        count: int,
        per_file: int,
        epochs: int,
        device: torch.device,
    ) -> None:
        """Raises ScddError where a file is missing or damaged, or of another artifact, network,
        class order or pixel space: both are named."""
        self.count, self.epochs, self.device = count, epochs, device
        self.places: dict[tuple[int, int], tuple[Tensor, int, int]] = {}
        for path in paths(folder, count, per_file, epochs):
            parts, header = tensors.load_mapped(path, verify=True)
            _require(path, header, space, digest)
            first, end = header["epochs"]
            before = 1 if first == 0 else 0  # a row with the parameters before training
            for row, epoch in enumerate(range(first + 1 - before, end + 1)):
                for column, expert in enumerate(range(*header["experts"])):
                    self.places[expert, epoch] = (parts["parameters"], row, column)

    def parameters(self, expert: int, epoch: int) -> Tensor:
        """float32 [P] on the device; epoch 0 is before training."""
        stored, row, column = self.places[expert, epoch]
        return stored[row, column].to(self.device, torch.float32, copy=True)


def _require(path: Path, header: Mapping[str, Any], space: Space, digest: str) -> None:
    tensors.require_kind(path, header, "experts")
    stored = Space(
        Network(**header["network"]),
        tuple(header["classes"]),
        tuple(header["mean"]),
        tuple(header["std"]),
        header["whitening"],
    )
    if stored.network != space.network:
        raise ScddError(
            f"{path} has experts of {stored.network.label}, but images are learned with "
            f"{space.network.label}. Set learn's network to theirs, or train others."
        )
    require_same_classes(stored.classes, path, space.classes, "the dataset")
    if stored.pixels != space.pixels:
        raise ScddError(
            f"{path} has experts of images that are {stored.pixels}, but those to be learned are "
            f"{space.pixels}. Set zca, or the dataset's mean and std, to theirs, or train others."
        )
    require_digest(path, header["digest"], digest)
