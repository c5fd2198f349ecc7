"""Two processes with a BN group each train as one process with two groups does."""

import csv
import json
import os
import re
import signal
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
    "colour_jitter": [0.2, 0.2, 0.2, 0.1],
    "colour_jitter_p": 0.8,
    "grey_p": 0.2,
    "bn_groups": 2,
    "knn_every": 1,
}
SMALL = {"count": 1, "size": 6, "scale": [0.3, 0.6], "blur_p": 0.5}
LATER = {"blur_p": [0.5, 0.1], "solarise_p": [0.0, 0.2], "hidden": 64}
METHODS: dict[str, dict[str, Any]] = {
    "mocov2": {
        "dim": 6,
        "queue": 48,
        "target_momentum": 0.9,
        "temperature": 0.2,
        "symmetric": True,
    },
    "mocov3": {**LATER, "dim": 6, "target_momentum": 0.9, "temperature": 0.2},
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
        "target_momentum": 0.9,
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


def prepared(data: Path, method: str, processes: int, **changes: Any) -> tuple[Path, list[str]]:
    """A folder with a frozen config, and the command that trains there."""
    folder = data / "-".join(map(str, (method, processes, *changes.values())))
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
    return folder, [*launch, "scdd.squeeze", *words]


def started(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def squeeze(data: Path, method: str, processes: int, **changes: Any) -> tuple[Path, int, str]:
    """Run the program; returns its folder, exit code and errors."""
    folder, command = prepared(data, method, processes, **changes)
    running = started(command)
    errors = running.communicate()[1]
    return folder, running.returncode, errors


@pytest.mark.parametrize("method", METHODS)
def test_two_processes_equal_one_with_two_groups(data: Path, method: str) -> None:
    """With one of three seeds: rounding may carry a value over the kink of a ReLU, after which runs
    part (MoCo v3 with one of five seeds on an AMD EPYC). A fault would show with each."""
    for seed in range(3):
        states, losses = [], []
        for processes in (1, 2):
            folder, code, errors = squeeze(data, method, processes, seed=seed)
            assert code == 0, errors
            states.append(load_checkpoint(folder / "backbone.safetensors", kind="backbone").state)
            with (folder / "history.csv").open() as file:
                losses.append([float(row["loss"]) for row in csv.DictReader(file)])
        if losses[1] == pytest.approx(losses[0], rel=1e-4):
            break
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    for key, tensor in states[0].items():
        torch.testing.assert_close(states[1][key], tensor, atol=1e-4, rtol=1e-3, msg=key)


def test_groups_that_processes_cannot_share_are_refused(data: Path) -> None:
    _, code, errors = squeeze(data, "mocov3", 2, bn_groups=1)
    assert code != 0
    assert "squeeze.bn_groups: 1 cannot be shared evenly by 2 processes" in errors


def test_processes_that_are_asked_to_leave_go_on_together(data: Path) -> None:
    """SIGTERM reaches torchrun, as from Slurm; the same command then ends with the same bits."""
    whole, code, errors = squeeze(data, "mocov2", 2, epochs=40)
    assert code == 0, errors
    whole.rename(data / "whole")
    folder, command = prepared(data, "mocov2", 2, epochs=40)
    running = started(command)
    assert running.stderr is not None
    for line in running.stderr:
        if "epoch 3, " in line and "k-NN" in line:
            break
    running.send_signal(signal.SIGTERM)
    errors = running.communicate()[1]
    assert "asked to leave" in errors
    assert not (folder / "backbone.safetensors").exists()
    running = started(command)
    errors = running.communicate()[1]
    assert running.returncode == 0, errors
    assert 0 < int(re.findall(r"begins at step (\d+)", errors)[-1]) < 80
    for name in ("backbone.safetensors", "history.csv"):
        assert (folder / name).read_bytes() == (data / "whole" / name).read_bytes()
