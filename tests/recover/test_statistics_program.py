"""The stage `statistics`, and a recovery that reads what it leaves."""

from pathlib import Path
from typing import NoReturn

import pytest
import torch
from safetensors import safe_open
from toy import CLASSES, command, freeze, info, write

from scdd.artifacts.network import load_checkpoint
from scdd.artifacts.statistics import load_statistics
from scdd.data.source import open_dataset
from scdd.networks.teachers import network_of
from scdd.params.recover import Recover
from scdd.recover import __main__ as recovery
from scdd.recover import statistics
from scdd.recover.blocks import block_units, kept_pixels
from scdd.recover.engine import recover_units
from scdd.recover.statistics import of_training_set
from scdd.views.pixels import valid_range

CPU = torch.device("cpu")
PARAMS = Recover(
    iterations=2,
    block=3,
    convolutions="patches",
    patch=3,
    momentum=0.5,
    class_share=0.5,
    slots=5,
    shift=1,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, 10)
    assert PARAMS.gathers is not None
    freeze(tmp_path / "statistics.json", "statistics", PARAMS.gathers.dump(), teacher="t1")
    parents = {"teacher": "t1", "statistics": "statistics"}
    freeze(tmp_path / "recover.json", "recover", PARAMS.dump(), **parents)
    return tmp_path


def needless() -> NoReturn:
    """Real images, in place of those that a recovery from noise does not read."""
    raise AssertionError


def gather(folder: Path) -> int:
    root, teacher = folder / "data", folder / "probe.safetensors"
    out = folder / "out" / "statistics.safetensors"
    return statistics.main(command(folder, "statistics", root=root, teacher=teacher, out=out))


def recover(folder: Path, *more: str) -> int:
    given = command(folder, "recover", classes="0:3", slots="1:10", out=folder / "images")
    return recovery.main([*given, "--teacher", str(folder / "probe.safetensors"), *more])


def test_a_recovery_from_a_file_of_statistics_is_the_engines(folder: Path) -> None:
    assert gather(folder) == 0
    assert recover(folder, "--statistics", str(folder / "out" / "statistics.safetensors")) == 0

    dataset = open_dataset(folder / "data" / "dataset.json", folder / "data")
    checkpoint = load_checkpoint(
        folder / "probe.safetensors",
        kind="classifier",
        digest="t1",
        classes=CLASSES,
        classes_of=folder,
    )
    network = network_of(checkpoint).eval()
    assert PARAMS.gathers is not None
    real = of_training_set(network, dataset.train, info(8), PARAMS.gathers, CPU)
    given = info(8), 0, (0, 3), (1, 10), [network], needless, needless
    units = block_units(PARAMS, *given, [real])
    assert list(units.keys) == [1, 4, 7]
    made = recover_units([network], units, PARAMS, valid_range(info(8), CPU), real=[real])
    pixels = kept_pixels(made, PARAMS, info(8), 3)
    for label in range(3):
        file = folder / "images" / "slots_0001-0009" / f"class_{label:04d}.safetensors"
        with safe_open(file, framework="pt") as opened:
            assert opened.get_tensor("images").equal(pixels[label])


def test_real_images_have_one_order_for_all(folder: Path) -> None:
    """A second run leaves the same numbers."""
    assert gather(folder) == 0
    path = folder / "out" / "statistics.safetensors"
    first = load_statistics(path, digest="statistics", classes=CLASSES, classes_of=folder)
    path.unlink()
    assert gather(folder) == 0
    again = load_statistics(path, digest="statistics", classes=CLASSES, classes_of=folder)
    assert first.dataset[0].equal(again.dataset[0])


def test_a_recovery_without_its_statistics_says_what_is_missing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert recover(folder) == 1
    assert "--statistics: 1 files are needed: statistics." in capsys.readouterr().err
