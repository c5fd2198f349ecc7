"""Experts as the authors of MTT and TESLA publish them: replay_buffer_<n>.pt, a list of experts,
each a list of epochs, each a list of the parameters of a ConvNet in order.

The files say neither dataset nor pixel space. The shapes tell the network and the number of
classes.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scdd.errors import ScddError
from scdd.interop.buffer_files import buffer_files
from scdd.interop.unpickle import read_pickled
from scdd.networks.students import build
from scdd.params.network import Network
from scdd.rng import generator


class Buffers:
    """The experts of some files, in order; parameters stay in the files until they are used."""

    def __init__(self, experts: list[list[list[Tensor]]], device: torch.device) -> None:
        self.experts, self.device = experts, device
        self.count, self.epochs = len(experts), min(len(each) for each in experts) - 1

    def parameters(self, expert: int, epoch: int) -> Tensor:
        """float32 [P] on the device; epoch 0 is before training."""
        parts = [part.detach().flatten().float() for part in self.experts[expert][epoch]]
        return torch.cat(parts).to(self.device)


def open_buffers(
    path: Path,
    network: Network,
    classes: int,
    resolution: int,
    epochs: int,
    device: torch.device,
) -> Buffers:
    """The experts in a folder of buffers, or in one file.

    epochs: how many they must have been trained for. Raises ScddError, naming the file, where it is
    damaged or holds something else, where its experts are of another network than `network` for so
    many classes and such images, were trained for fewer epochs, or do not move.
    """
    student = build(network, classes, resolution, generator("shapes"))
    shapes = [tuple(each.shape) for each in student.parameters()]
    experts: list[list[list[Tensor]]] = []
    for file in buffer_files(path):
        content = read_pickled(file, mapped=True)
        _require_buffer(file, content)
        for number, expert in enumerate(content):
            _require_fits(file, number, expert, shapes, network, classes, epochs)
            experts.append(expert)
    if not experts:
        raise ScddError(f"{path} has no experts.")
    return Buffers(experts, device)


def _require_buffer(file: Path, content: Any) -> None:
    """Raises ScddError where the file is not a list of experts."""

    def lists(value: Any, depth: int) -> bool:
        if depth == 0:
            return isinstance(value, Tensor) and value.is_floating_point()
        return isinstance(value, list) and bool(value) and all(lists(v, depth - 1) for v in value)

    if not lists(content, 3):
        raise ScddError(
            f"{file} is not a replay buffer: a list of experts, each a list of epochs, each a list "
            "of parameters."
        )


def _require_fits(
    file: Path,
    number: int,
    expert: list[list[Tensor]],
    shapes: list[tuple[int, ...]],
    network: Network,
    classes: int,
    epochs: int,
) -> None:
    for parameters in expert:
        theirs = [tuple(each.shape) for each in parameters]
        if theirs != shapes:
            raise ScddError(
                f"{file}: expert {number} has parameters {_shown(theirs)}, but {network.label} for "
                f"{classes} classes has {_shown(shapes)}. Set learn's network and dataset.classes "
                "to theirs."
            )
    if len(expert) - 1 < epochs:
        raise ScddError(
            f"{file}: expert {number} was trained for {len(expert) - 1} epochs, but {epochs} are "
            "followed. Lower learn's max_start or expert_epochs."
        )
    first, second = expert[0], expert[1]
    if all(torch.equal(a, b) for a, b in zip(first, second, strict=True)):
        raise ScddError(
            f"{file}: expert {number} does not move: its parameters are the same after every "
            "epoch. The authors' buffer.py stores such files if it runs on a CPU, where it keeps "
            "views of the final parameters. Train the experts here, or make the files on a GPU."
        )


def _shown(shapes: list[tuple[int, ...]]) -> str:
    """The number of tensors, with the first and the last but one, which tell width and classes."""
    ends = [list(shapes[0]), list(shapes[-2])] if len(shapes) > 1 else [list(s) for s in shapes]
    return f"({len(shapes)} tensors, from {ends[0]} to {ends[-1]})"
