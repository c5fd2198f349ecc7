"""What every engine gets, and what it must offer."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from scdd.jobs.capture import Compiled
from scdd.jobs.epochs import Part
from scdd.learn.real import RealImages
from scdd.params.network import Network


class Trajectories(Protocol):
    """The parameters of `count` experts after each of their first `epochs` epochs."""

    count: int
    epochs: int

    def parameters(self, expert: int, epoch: int) -> Tensor:
        """One flat vector float [P] on the device, in the order of the network's parameters; epoch
        0 is before training."""
        ...


@dataclass(frozen=True)
class Task:
    """What images are learned for, and from what.

    start: float [K * ipc, 3, R, R], as networks see them, class by class, on the device; the whole
    work has its dtype. network: which one images are learned with. experts: None for methods
    without them.
    """

    start: Tensor
    classes: int
    real: RealImages
    network: Network
    seed: int
    experts: Trajectories | None = None
    compiled: Compiled = "none"

    @property
    def ipc(self) -> int:
        return len(self.start) // self.classes

    @property
    def resolution(self) -> int:
        return self.start.shape[-1]

    @property
    def device(self) -> torch.device:
        return self.start.device


class Learner(ABC):
    """Images on their way. Its random numbers come from the task's seed and the position alone.

    images: float [K * ipc, 3, R, R], a leaf; labels: float [K * ipc, K], learned labels;
    student_lr: [], the learned learning rate of students: None where the method learns none.
    steps: how many steps of the images an iteration of the method has at most. state: all that
    `advance` changes, by name; setting its parts in place continues a run.
    """

    images: Tensor
    labels: Tensor | None = None
    student_lr: Tensor | None = None
    steps: int = 1
    state: Mapping[str, Part]

    @property
    @abstractmethod
    def iteration(self) -> int:
        """How many iterations of the method are done."""

    @abstractmethod
    def advance(self) -> Tensor:
        """Make the next step of the images, and what training of networks follows it. Returns the
        loss before the step, [], on the device and detached. Never waits for the device unless the
        method itself needs a number."""
