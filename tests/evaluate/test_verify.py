"""The verifier's look at distilled images."""

import json
from pathlib import Path

import pytest
import torch
from toy import CLASSES, MEAN, STD, TEACHER, command, freeze, write

from scdd.artifacts.images import load_set
from scdd.evaluate import verify
from scdd.networks.resnet import build
from scdd.rng import generator


def test_top_1_is_the_share_of_images_that_it_takes_for_their_class(tmp_path: Path) -> None:
    write(tmp_path, ipc=10)
    freeze(tmp_path / "verify.json", "verify", {}, images="s1", teacher="t1")
    given = {"images": tmp_path / "images/set.json", "teacher": tmp_path / "probe.safetensors"}
    options = command(tmp_path, "verify", **given, out=tmp_path / "metrics.json")
    kept = [
        o for i, o in enumerate(options) if not {"--work", "--code"} & {*options[i - 1 : i + 1]}
    ]
    assert verify.main(kept) == 0

    held = load_set(tmp_path / "images/set.json", CLASSES, "here", "s1")
    network = build(TEACHER, 3, generator(1)).eval()
    mean, std = (torch.tensor(one)[:, None, None] for one in (MEAN, STD))
    seen = network((held.images / 255 - mean) / std).argmax(1)
    found = json.loads((tmp_path / "metrics.json").read_text())
    assert found["top1"] == pytest.approx(100 * (seen == held.labels).float().mean().item())
    assert (found["images"], found["verifier"]) == (30, "t1")
