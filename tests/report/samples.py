"""What the report's tests share: students, looks at backbones, and a results folder of each."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from scdd.artifacts.dataset import DatasetInfo, save_info
from scdd.artifacts.frames import Frames, save_frames
from scdd.artifacts.images import make_set
from scdd.artifacts.informativeness import (
    Informativeness,
    Layer,
    Signal,
    Spread,
    save_informativeness,
)
from scdd.artifacts.shards import save_shard
from scdd.plan.stages import STAGES
from scdd.report import plots
from scdd.report.__main__ import main
from scdd.report.looks import Look
from scdd.report.scores import Column, Row, Student, Table, main_table

HEADINGS = {name: stage.heading for name, stage in STAGES.items() if stage.heading}


A = Column("scdd", "SC-DD", "scdd")


B = Column("random", "Random", None)


WHOLE = Column("whole", "Whole data", None)


def student(column=A, ipc=1, seed=0, top1=50.0, protocol="paper", arch="r18") -> Student:
    return Student(Row(protocol, arch, ipc), column, seed, top1, 90.0, 300, 10)


def table(*students: Student) -> Table:
    return main_table("digits", 10, 1437, 16, list(students))


SETTINGS = [
    {
        "part": "recover scdd-paper",
        "key": key,
        "value": value,
        "published": published,
        "source": source,
        "of": "cifar" if source else "",
        "remark": remark,
    }
    for key, value, published, source, remark in (
        ("lr", "0.4", "0.4", "paper", ""),
        ("iterations", "20", "1000", "code", "differs"),
        ("shift", "1", "", "", "set here"),
    )
]


CLASSES = ("zero", "one", "two")


def params_of_methods(folder: Path) -> dict[str, Any]:
    """A report on two students of one image set: its frozen parameters, whose files are written to
    `folder`."""
    info = DatasetInfo("digits", CLASSES, 8, (0.5,) * 3, (0.2,) * 3, 60, 30, "f", "d")
    save_info(folder / "data/digits-d/dataset.json", info, {})
    images = torch.randint(256, (3, 1, 3, 8, 8), dtype=torch.uint8)
    for index in range(3):
        save_shard(folder / "r", (0, 1), CLASSES, index, images[index], record={"digest": "r"})
    make_set(
        folder / "images/scdd-i/set.json",
        folder / "r",
        CLASSES,
        ipc=1,
        resolution=8,
        method="scdd",
        digest="i",
        sources={"r"},
    )
    cells = []
    for seed in (0, 1):
        student_folder = folder / f"validate/v-{seed}"
        student_folder.mkdir(parents=True)
        metrics = {"top1": 60.0 + 2 * seed, "top5": 100.0, "epochs": 2, "train_images": 3}
        (student_folder / "metrics.json").write_text(json.dumps(metrics | {"seed": seed}))
        (student_folder / "history.csv").write_text(
            "epoch,lr,loss,top1\n0,0.1,2.0,\n1,0.05,1.0,60.0\n"
        )
        cells.append(
            {
                "method": "scdd",
                "title": "SC-DD (MoCo v2)",
                "images": "images/scdd-i/set.json",
                "ipc": 1,
                "student": "r10",
                "protocol": "paper",
                "teacher": "scdd",
                "stored": {"form": "float16", "bytes": 62},
                "seed": seed,
                "metrics": f"validate/v-{seed}/metrics.json",
                "history": f"validate/v-{seed}/history.csv",
            }
        )
    (folder / "metrics.json").write_text('{"top1": 96.0, "top5": 99.0, "train_top1": 97.0}')
    (folder / "squeeze.csv").write_text("epoch,lr,loss\n0,0.1,7.0\n1,0.1,6.0\n")
    (folder / "losses.csv").write_text("slot,iteration,loss,ce,bn\n0,0,3,2,9\n0,1,2,1,8\n")
    frames = Frames(images.swapaxes(0, 1).repeat(4, 1, 1, 1, 1), [0, 10, 30, 60], CLASSES)
    save_frames(folder / "frames.safetensors", frames, slot=0, record={"digest": "r"})
    named = {"method": "scdd", "title": "SC-DD (MoCo v2)"}
    return {
        "experiment": "digits",
        "dataset": "digits",
        "classes": 3,
        "data": "data/digits-d/dataset.json",
        "cells": cells,
        "costs": [],
        "headings": HEADINGS,
        "holdout": 0.0,
        "probes": [{**named, "metrics": "metrics.json", "history": "squeeze.csv"}],
        "recoveries": [{**named, "losses": ["losses.csv"], "frames": "frames.safetensors"}],
        "notes": ["Assumed value: r_bn 0.05."],
        "controls": [],
        "settings": SETTINGS,
        "figures": {"grid_columns": 10, "grid_classes": 2, "scale": 1, "dpi": 50},
    }


def run(folder: Path, params: dict[str, Any], out: str = "out") -> int:
    """The program's exit code."""
    frozen = {"stage": "tables", "version": 1, "label": "digits", "digest": "t", "parents": {}}
    (folder / "config.json").write_text(json.dumps(frozen | {"params": params}))
    options = ["--config", folder / "config.json", "--results", folder, "--out", folder / out]
    return main([*map(str, options), "--device", "cpu"])


def informativeness(size: float = 1.0, channels: int = 4, layers: int = 2) -> Informativeness:
    """Layer l has spreads (l + 1) * size."""
    of_layers = tuple(
        Layer(f"bn{i}", channels, *(Spread(*[(i + 1) * size] * 3) for _ in range(2)))
        for i in range(layers)
    )
    return Informativeness(
        of_layers,
        Signal(5, 100 * size, 2, 4),
        Signal(0.01, 10 * size, 0.02, 0.4),
        50,
        0.05,
        "i",
        "t",
    )


def look(title: str = "A", network: str = "n", size: float = 1.0, **more: Any) -> Look:
    given = {
        "seed": 0,
        "probe": 90.0,
        "knn": None,
        "informativeness": informativeness(size),
        **more,
    }
    return Look(title, network, **given)


def params_of_backbones(folder: Path) -> dict[str, Any]:
    """A report on two seeds of one backbone: its frozen parameters, whose files are written to
    `folder`."""
    looks = []
    for seed in (0, 1):
        seed_folder = folder / str(seed)
        save_informativeness(seed_folder / "informativeness.json", informativeness(1.0 + seed), {})
        (seed_folder / "metrics.json").write_text(json.dumps({"top1": 90.0 + seed}))
        (seed_folder / "history.csv").write_text("epoch,lr,loss,knn\n1,0.1,2.0,70\n2,0.1,1.5,\n")
        files = {name: f"{seed}/{name}.json" for name in ("informativeness", "metrics")}
        files["history"] = f"{seed}/history.csv"
        looks.append({"title": "MoCo v2", "network": "r10", "seed": seed, **files})
    return {
        "experiment": "look",
        "dataset": "digits",
        "data": "unread.json",
        "cells": [],
        "holdout": 0.0,
        "probes": [],
        "recoveries": [],
        "backbones": looks,
        "balance": 0.1,
        "notes": ["Assumed: x."],
        "controls": [],
        "settings": SETTINGS,
        "figures": {"dpi": 50},
    }


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))


def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Keeps the figures that the next calls draw, in place of their bytes."""
    kept = []
    monkeypatch.setattr(plots, "files", lambda figure, *_: kept.append(figure) or {})
    return kept


def history(top1: list[float | None]) -> pd.DataFrame:
    return pd.DataFrame({"epoch": range(len(top1)), "top1": top1}, dtype=float)


def losses_frame(units: int) -> pd.DataFrame:
    lines = [
        (i, 3.0 / (1 + i) + u, 2.0 / (1 + i) + u, 10.0 + u) for u in range(units) for i in (0, 1)
    ]
    return pd.DataFrame(lines, columns=["iteration", "loss", "ce", "bn"])
