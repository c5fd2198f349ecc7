"""Two processes with a BN group each train as one process with two groups does."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ROOT
from toy import CLASSES, image_set, info, job

from scdd.artifacts.dataset import save_info, save_split
from scdd.artifacts.network import load_checkpoint

COMMON: dict[str, Any] = {
    "arch": "resnet10",
    "width": 0.125,
    "stem": "small",
    "epochs": 2,
    "batch": 24,  # rounding grows fast where BatchNorm sees a handful of images
    "lr": 0.01,
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "warmup_epochs": 0,
    "seed": 0,
    "precision": "float32",
    "view": {"crop": "resized", "pad": 0, "scale": [0.5, 1.0], "flip": True},
    "jitter": [0.2, 0.2, 0.2, 0.1],
    "jitter_p": 0.8,
    "grey_p": 0.2,
    "bn_groups": 2,
    "knn_every": 1,
}
SMALL = {"count": 1, "size": 6, "scale": [0.3, 0.6], "blur_p": 0.5}
LATER = {"blur_p": [0.5, 0.1], "solarise_p": [0.0, 0.2], "hidden": 64}
METHODS: dict[str, dict[str, Any]] = {
    "mocov2": {"dim": 6, "queue": 48, "ema": 0.9, "temperature": 0.2, "symmetric": True},
    "mocov3": {**LATER, "dim": 6, "ema": 0.9, "temperature": 0.2},
    "swav": {
        **LATER,
        "small": SMALL,
        "dim": 6,
        "temperature": 0.1,
        "prototypes": 5,
        "epsilon": 0.1,
        "iterations": 3,
        "queue": 24,
        "queue_from": 0,
        "freeze_steps": 1,
    },
    "dino": {
        **LATER,
        "small": SMALL,
        "bottleneck": 5,
        "outputs": 7,
        "head_bn": True,
        "ema": 0.9,
        "temperature": 0.1,
        "teacher_temperatures": [0.04, 0.07],
        "temperature_epochs": 2,
        "centre_momentum": 0.9,
        "freeze_epochs": 1,
        "clip": 3.0,
    },
    "supervised": {},
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    split = image_set(48, 8)
    assert split.pixels is not None
    for name in ("train", "val"):
        save_split(tmp_path / f"{name}.safetensors", split.labels, split.pixels, CLASSES)
    save_info(tmp_path / "dataset.json", info(8), {})
    return tmp_path


def squeeze(
    data: Path, method: str, processes: int, **changes: Any
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """Run the program; returns its folder and how it ended."""
    folder = data / f"{method}-{processes}"
    folder.mkdir()
    params = {**COMMON, **METHODS[method], "method": method, **changes}
    frozen = {"stage": "squeeze", "version": 1, "label": "toy", "digest": "d", "parents": {}}
    (folder / "config.json").write_text(json.dumps({**frozen, "params": params}))
    launch = [sys.executable, "-m"]
    if processes > 1:
        launch += ["torch.distributed.run", f"--nproc-per-node={processes}", "--standalone", "-m"]
    options = {
        "config": folder / "config.json",
        "data": data / "dataset.json",
        "root": data,
        "out": folder / "backbone.safetensors",
        "history": folder / "history.csv",
        "device": "cpu",
        **job(folder),
    }
    words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    done = subprocess.run(
        [*launch, "scdd.squeeze", *words],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return folder, done


@pytest.mark.parametrize("method", METHODS)
def test_two_processes_equal_one_with_two_groups(data: Path, method: str) -> None:
    states, losses = [], []
    for processes in (1, 2):
        folder, done = squeeze(data, method, processes)
        assert done.returncode == 0, done.stderr
        states.append(load_checkpoint(folder / "backbone.safetensors", kind="backbone").state)
        with (folder / "history.csv").open() as file:
            losses.append([float(row["loss"]) for row in csv.DictReader(file)])
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    for key, tensor in states[0].items():
        torch.testing.assert_close(states[1][key], tensor, atol=1e-4, rtol=1e-3, msg=key)


def test_groups_that_processes_cannot_share_are_refused(data: Path) -> None:
    _, done = squeeze(data, "mocov3", 2, bn_groups=1)
    assert done.returncode != 0
    assert "squeeze.bn_groups: 1 do not go to 2 processes evenly" in done.stderr
