"""What the calls return: tensors, and the parameters that they were made with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor

from scdd.artifacts.images import content_of, make_set
from scdd.artifacts.labels import save_shard, shard_file
from scdd.artifacts.network import Checkpoint
from scdd.artifacts.shards import save_shards
from scdd.artifacts.slots import slot_ranges
from scdd.data.source import Split
from scdd.evaluate.train import Row as Epoch
from scdd.jobs.curve import Row
from scdd.jobs.runtime import environment
from scdd.labels.replay import Remembered
from scdd.notebook.data import Data
from scdd.params.experiment import Method
from scdd.plan.plan import Node
from scdd.report.pictures import sheet


@dataclass(frozen=True)
class Made:
    """data: what it is made from; node: its stage, digest, and parameters with all defaults, as the
    workflow has them."""

    data: Data = field(repr=False)
    node: Node = field(repr=False)

    @property
    def params(self) -> dict[str, Any]:
        return self.node.params


@dataclass(frozen=True)
class Backbone(Made):
    """A squeezed network. checkpoint: its tensors and architecture. history: by epoch (epoch from
    1, learning rate, loss, k-NN accuracy or None). method: what it was asked to be."""

    checkpoint: Checkpoint = field(repr=False)
    history: list[Row] = field(repr=False)
    method: Method = field(repr=False)


@dataclass(frozen=True)
class Teacher(Made):
    """A backbone with its classifier. metrics: accuracies in percent: top1 and top5 of the
    validation images, and train_top1."""

    checkpoint: Checkpoint = field(repr=False)
    metrics: dict[str, float]


@dataclass(frozen=True)
class Images(Made):
    """Distilled images. pixels: uint8 [classes, ipc, 3, R, R] (CPU), in the data's class order."""

    pixels: Tensor = field(repr=False)

    @property
    def ipc(self) -> int:
        return self.pixels.shape[1]

    @cached_property
    def content(self) -> str:
        """The hash of class order and pixels that binds labels to images."""
        return content_of(self.data.classes, self.pixels)

    @property
    def split(self) -> Split:
        """The images one after the other, with their classes, on the data's device."""
        labels = torch.arange(len(self.pixels)).repeat_interleave(self.ipc)
        pixels = self.pixels.flatten(0, 1)
        return Split(labels, pixels, (), pixels.shape[-1]).to(self.data.device)

    def grid(self, classes: int = 10, columns: int = 10, scale: int = 2) -> Image:
        """A picture of the first `columns` images of the first `classes` classes; their edges are
        32 * scale pixels or more."""
        shown = self.pixels[:classes, :columns]
        return sheet(shown.numpy(), self.data.classes[:classes], scale)

    def save(self, folder: str | Path) -> Path:
        """Write them as the workflow's image set; returns the set.json in the folder, which
        `scdd.load` and `scdd export` read."""
        path, info, digest = Path(folder) / "set.json", self.data.info, self.node.digest
        record = {"digest": digest, "env": environment(self.data.device)}
        for first, end in slot_ranges(self.ipc):
            part = self.pixels[:, first:end]
            every = (0, len(info.classes))
            save_shards(path.parent, (first, end), info.classes, every, part, record=record)
        make_set(
            path,
            path.parent,
            info.classes,
            ipc=self.ipc,
            resolution=info.resolution,
            method=self.params["method"],
            digest=digest,
            sources=[digest],
            mean=info.mean,
            std=info.std,
        )
        return path


@dataclass(frozen=True)
class SoftLabels(Made):
    """A teacher's labels of images, for students of one protocol. store: views and logits by
    epoch. protocol, keys: its name, and what `relabel` was given. teacher: whose labels they are.
    """

    store: Remembered = field(repr=False)
    protocol: str
    keys: Mapping[str, Any]
    teacher: Node = field(repr=False)

    def save(self, folder: str | Path) -> None:
        """Write them as the workflow's label files, which `scdd.load` reads with their images."""
        folder, store, env = Path(folder), self.store, environment(self.data.device)
        for span, tensors in store.shards.items():
            save_shard(folder / shard_file(span), tensors, store.origin, span, env)


@dataclass(frozen=True)
class Student(Made):
    """A student's accuracies in percent after its last epoch, top5 None for fewer than five
    classes; and its history by epoch."""

    top1: float
    top5: float | None
    history: list[Epoch] = field(repr=False)
