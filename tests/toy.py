"""A toy problem for the tests of the later stages: three classes, told apart by their colour."""

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from scdd.artifacts.dataset import DatasetInfo, load_info, save_info, save_split
from scdd.artifacts.images import SetInfo, make_set
from scdd.artifacts.network import Checkpoint, save_checkpoint
from scdd.artifacts.shards import save_shard
from scdd.artifacts.whitening import save_validation, save_whitening
from scdd.data.source import Split
from scdd.networks.resnet import build
from scdd.params.data import Pixels
from scdd.params.network import Network
from scdd.params.recover import Recover
from scdd.recover.distance import StatisticsLoss
from scdd.recover.engine import Units, recover_units
from scdd.recover.matching import objective
from scdd.recover.units import Unit
from scdd.rng import generator
from scdd.views.pixels import in_bytes, in_unit
from scdd.views.zca import Whitening, fit

CLASSES = ("a", "b", "c")
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
TEACHER = Network("resnet10", 0.125, "small")
JOBS = itertools.count()
VIEW = {"crop": "padded", "pad": 1, "scale": [0.08, 1.0], "flip": False}


def info(resolution: int) -> DatasetInfo:
    return DatasetInfo("toy", CLASSES, resolution, MEAN, STD, 0, 0, "f", "d")


def image_set(n: int, resolution: int, seed: int = 0) -> Split:
    """Noise, brighter in the channel of the image's class; labels 0, 1, 2, 0, 1, ..."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 3
    pixels = torch.randint(0, 150, (n, 3, resolution, resolution), generator=draw)
    pixels[torch.arange(n), labels] += 100
    return Split(labels, pixels.byte(), (), resolution)


def freeze(path: Path, stage: str, params: dict[str, Any], **parents: str) -> None:
    frozen = {"stage": stage, "version": 1, "label": "toy", "digest": stage, "params": params}
    path.write_text(json.dumps({**frozen, "parents": parents}))


def write(folder: Path, ipc: int) -> None:
    """data/, images/set.json with `ipc` (2 to 10) training images a class, and probe.safetensors"""
    splits = {"train": image_set(60, 8), "val": image_set(31, 8, seed=1)}
    for name, split in splits.items():
        assert split.pixels is not None
        (folder / "data").mkdir(exist_ok=True)
        save_split(folder / "data" / f"{name}.safetensors", split.labels, split.pixels, CLASSES)
    save_info(folder / "data" / "dataset.json", info(8), {})
    train = splits["train"]
    assert train.pixels is not None
    for index in range(3):
        own = train.pixels[train.labels == index]
        for slots in ((0, 1), (1, 10)):
            record = {"digest": "r1", "seed": 0, "env": {}}
            taken = own[slots[0] : slots[1]]
            save_shard(folder / "recover", slots, CLASSES, index, taken, record=record)
    make_set(
        folder / "images" / "set.json",
        folder / "recover",
        CLASSES,
        ipc=ipc,
        resolution=8,
        method="toy",
        digest="s1",
        sources={"r1"},
        mean=MEAN,
        std=STD,
    )
    state = build(TEACHER, 3, generator(1)).state_dict()
    checkpoint = Checkpoint("classifier", TEACHER, CLASSES, state, "t1")
    save_checkpoint(folder / "probe.safetensors", checkpoint, {})


def whitening() -> Whitening:
    """Fitted on the training images that `write` writes."""
    return fit([image_set(60, 8).images(torch.arange(60))], 0.1).to(torch.float32)


def as_learned(space: str) -> Tensor:
    """Ten images a class, float32 [3, 10, 3, 8, 8], in a space: real ones with noise, some of it
    beyond black and white."""
    train = image_set(60, 8)
    own = torch.stack([train.images(train.labels == c)[:10] for c in range(3)]) / 255
    pixels = own + 0.3 * torch.randn(own.shape, generator=generator("learned"))
    if space == "zca":
        return whitening().whiten(pixels.flatten(0, 1)).view_as(pixels)
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    return (pixels - mean) / std


def learned_labels() -> Tensor:
    """Of the images of `as_learned`: float32 [3, 10, 3], more than a half for their own class."""
    noise = torch.rand(3, 10, 3, generator=generator("labels"))
    return 0.6 * torch.eye(3)[:, None] + 0.4 * noise / noise.sum(-1, keepdim=True)


def write_learned(
    folder: Path, space: str, pixels: Pixels, ipc: int = 10, labels: Tensor | None = None
) -> SetInfo:
    """After `write`: learned/set.json with images that were learned in a space, with these pixels,
    and the students' learning rate 0.03. Whitened ones have their whitening in whiten/."""
    file = None
    if space == "zca":
        file, own = folder / "whiten" / "whitening.safetensors", whitening()
        dataset, val = load_info(folder / "data" / "dataset.json"), image_set(31, 8, seed=1)
        save_whitening(file, own, dataset, "w1", {})
        images = own.whiten(val.images(torch.arange(31)))
        save_validation(file.with_name("val.safetensors"), images, val.labels, own, dataset)
    record = {"digest": "l1", "seed": 0, "env": {}, "student_lr": 0.03}
    for index, floats in enumerate(as_learned(space)):
        seen = whitening().unwhiten(floats) if space == "zca" else in_unit(floats, info(8))
        for first, end in ((0, 1), (1, 10)):
            part = slice(first, end)
            more = {"floats": floats[part]}
            more |= {} if labels is None else {"labels": labels[index, part]}
            shown = in_bytes(seen[part])
            made = folder / "learn"
            save_shard(made, (first, end), CLASSES, index, shown, record=record, **more)
    return make_set(
        folder / "learned" / "set.json",
        folder / "learn",
        CLASSES,
        ipc=ipc,
        resolution=8,
        method="toy",
        digest="s2",
        sources={"l1"},
        mean=MEAN,
        std=STD,
        pixels=pixels,
        whitening=file,
    )


def recover_unit(
    network: nn.Module,
    unit: Unit,
    settings: Recover,
    valid: tuple[Tensor, Tensor],
) -> tuple[Tensor, Tensor]:
    """Images [n, 3, R, R] and losses [T, 3] of one unit alone."""
    size = len(unit.labels)
    made = recover_units([network], Units([unit.key], size, lambda _: unit), settings, valid)
    return made.images[0], made.losses[0]


def loss_of(
    network: nn.Module, first: float, views: Tensor, labels: Tensor, settings: Recover
) -> Tensor:
    """Loss, cross-entropy and BN term [3] of one unit's views [n, 3, R, R]."""
    settings = replace(settings, first_bn_multiplier=first)
    with StatisticsLoss(network.requires_grad_(False), settings) as bn:
        return objective(network, bn, views[None], labels[None], settings)[0]


def job(folder: Path) -> dict[str, object]:
    """The options of a job that may be interrupted: each call makes a job of its own."""
    (folder / "code.txt").write_text("the code\n")
    return {"work": folder / "work" / str(next(JOBS)), "code": folder / "code.txt"}


def command(folder: Path, stage: str, **options: object) -> list[str]:
    """The common options of a stage program, and `options`."""
    given = {"config": folder / f"{stage}.json", "data": folder / "data" / "dataset.json"}
    given |= {"device": "cpu", **job(folder), **options}
    return [text for key, value in given.items() for text in (f"--{key}", str(value))]
