"""Recoveries that start from ranked real images: at learning rate 0 the start is what is left."""

from pathlib import Path

import pytest
import torch
from test_ranking_and_mosaics import CPU, SIZE, observer, ranked
from torch import Tensor
from toy import CLASSES, command, freeze, image_set, info, write

from scdd.artifacts import tensors
from scdd.artifacts.slots import Range, shard_path
from scdd.params.patches import Patches
from scdd.params.recover import Recover
from scdd.patches import ranking
from scdd.patches.images import ranked_images
from scdd.patches.mosaic import cells_by_slot
from scdd.recover import __main__ as program
from scdd.views.pixels import in_bytes


def recover(folder: Path, slots: str, patches: Path | None, **changes: object) -> int:
    params = {**Recover(2, 0.0, r_bn=0.1, shift=0, block=3).dump(), **changes}
    freeze(folder / "recover.json", "recover", params, teacher="t1", patches="patches")
    options = {"root": folder, "teacher": folder / "probe.safetensors", "classes": "0:3"}
    options |= {} if patches is None else {"patches": patches}
    given = command(folder, "recover", **options, slots=slots, out=folder / "out")
    return program.main(given)


def images(folder: Path, slots: Range, label: int) -> Tensor:
    return tensors.load(shard_path(folder / "out", slots, label))[0]["images"]


@pytest.mark.parametrize("factor", [1, 2])
def test_each_slot_starts_from_the_next_patches_of_its_class(factor: int, tmp_path: Path) -> None:
    write(tmp_path, ipc=2)
    own = {"factor": factor, "pool": 20, "crops": 2}
    file = ranked(tmp_path, method="easiest", **own)
    for slots in ("0:1", "1:5"):
        assert recover(tmp_path, slots, file, start="patches") == 0
    split = image_set(60, SIZE)
    for label in range(len(CLASSES)):
        found = ranking.easiest(observer(), split, info(SIZE), Patches(**own), label, CPU)
        cells = cells_by_slot(5, factor)
        expected = in_bytes(ranked_images(split, info(SIZE), found, cells))
        made = torch.cat([images(tmp_path, slots, label) for slots in ((0, 1), (1, 5))])
        # normalising rounds: some values are a level off
        assert (made.int() - expected.int()).abs().max() <= 1
        assert made.eq(expected).float().mean() > 0.97


@pytest.mark.parametrize("statistics", ["dataset", "class"])
def test_or_from_the_images_around_the_median(statistics: str, tmp_path: Path) -> None:
    write(tmp_path, ipc=2)
    file = ranked(tmp_path, method="median")
    assert recover(tmp_path, "1:5", file, start="median", statistics=statistics) == 0
    split = image_set(60, SIZE)
    found = ranking.around_median(observer(), split, info(SIZE), 1, CPU)
    assert images(tmp_path, (1, 5), 1).equal(split.images(found.images[1:5]))


def test_too_few_images_for_the_slots_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, ipc=2)
    file = ranked(tmp_path, method="easiest", factor=2, pool=20, crops=1)
    assert recover(tmp_path, "1:10", file, start="patches") == 1
    error = capsys.readouterr().err
    assert "class 'a' has 20 training images to choose patches from, but 40 are needed." in error


def test_the_patches_must_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, ipc=2)
    assert recover(tmp_path, "0:1", None, start="patches") == 1
    assert "recover.start is patches: --patches must name" in capsys.readouterr().err
