"""docs/input.md about image files and folders: an example of each row, and what becomes of it."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from pictures import PICTURES
from PIL import Image

from scdd.data.decoding import read_rgb
from scdd.data.folders import SUFFIXES
from scdd.data.reading import require_images
from scdd.data.sets import Loaded, module
from scdd.errors import ScddError
from scdd.plan.load import plan_of

PAGE = (ROOT / "docs" / "input.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("\n## Image files and folders\n")[2].partition("\n## ")[0]
REFUSED = "refused: "


def table(heading: str) -> dict[str, list[str]]:
    """The rows below a heading of the section: all further cells by the first one."""
    part = SECTION.partition(f"\n### {heading}\n")[2].partition("\n### ")[0]
    lines = [line for line in part.splitlines() if line.startswith("|")][2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {first: rest for first, *rest in rows}


FILES, FOLDERS, LAYOUTS = map(table, ("Image files", "Files and folders", "Validation images"))


def save(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8)).save(path, "PNG")


# ---- image files -------------------------------------------------------------------------------


def test_every_kind_of_image_has_a_row() -> None:
    assert list(FILES) == list(PICTURES)


@pytest.mark.parametrize("row", FILES)
def test_an_image_becomes_what_the_page_says(tmp_path: Path, row: str) -> None:
    what, example = FILES[row]
    suffix, make = PICTURES[row]
    given, _, made = example.partition(" → ")
    make(tmp_path / f"x{suffix}", [float(value) for value in given.split()])
    if what.startswith(REFUSED):
        with pytest.raises(ScddError, match=re.escape(f"x{suffix} {what.removeprefix(REFUSED)}")):
            read_rgb(tmp_path / f"x{suffix}")
        return
    pixel = np.asarray(read_rgb(tmp_path / f"x{suffix}"))[0, 0]
    assert pixel.tolist() == [int(value) for value in made.split()]


# ---- files and folders -------------------------------------------------------------------------


def link(path: Path, target: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(target)


def linked(train: Path) -> None:
    save(train.parent / "elsewhere" / "1.png")
    link(train / "cat" / "link", train.parent / "elsewhere")


def linked_file(train: Path) -> None:
    save(train.parent / "elsewhere" / "1.png")
    link(train / "cat" / "1.png", train.parent / "elsewhere" / "1.png")


def at(name: str) -> Callable[[Path], None]:
    return lambda train: save(train / name)


NAMED = {
    "`cat/1`, an image without a suffix": at("cat/1"),
    "`cat/link/1.png`, where `link` is a link to a folder": linked,
    "`cat/1.png`, a link to a file": linked_file,
    "`cat/1.png`, a broken link": lambda train: link(train / "cat" / "1.png", Path("gone")),
    "`dog`, a broken link": lambda train: link(train / "dog", Path("gone")),
    "`cat/link`, a link to `train`": lambda train: link(train / "cat" / "link", train),
    "`cat/1.png`, a pipe": lambda train: os.mkfifo(train / "cat" / "1.png"),
    "a file whose name is not UTF-8": at("cat/\udce9.png"),
    "a class whose name is not UTF-8": at("\udce9/1.png"),
    "a file with a line break in its name": at("cat/1\n2.png"),
    "a class without images": lambda train: (train / "dog").mkdir(),
}


def read(root: Path) -> Loaded:
    """What the job `data` reads before it decodes."""
    loaded: Loaded = module("imagefolder").load(root, False)
    require_images(loaded, loaded.classes)
    return loaded


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes with an image each, in both splits."""
    for name in ("train/cat", "train/fox", "val/cat", "val/fox"):
        save(tmp_path / name / "0.png")
    return tmp_path


@pytest.mark.parametrize("row", FOLDERS)
def test_a_file_or_folder_becomes_what_the_page_says(root: Path, row: str, capsys: Any) -> None:
    what = FOLDERS[row][0]
    make = NAMED.get(row) or at(row.strip("`"))
    make(root / "train")
    if what.startswith(REFUSED):
        with pytest.raises(ScddError, match=re.escape(what.removeprefix(REFUSED))) as caught:
            read(root)
        assert "\n" not in str(caught.value)
        return
    loaded = read(root)
    assert loaded.classes == ("cat", "fox")
    assert len(loaded.splits["train"][0]) == (3 if what == "read" else 2)
    if what.startswith("left out: "):
        assert f"(not read: {what.removeprefix('left out: ')})" in capsys.readouterr().err


def test_the_page_has_every_suffix_that_is_read() -> None:
    sentence = re.search(r"\nRead are (.*?), in small", SECTION, re.DOTALL)
    assert sentence
    assert re.findall(r"`(\.\w+)`", sentence[1]) == sorted(SUFFIXES)


# ---- validation images -------------------------------------------------------------------------


def layout(*names: str, lines: str = "") -> Callable[[Path], None]:
    def make(root: Path) -> None:
        for name in names:
            save(root / name)
        if lines:
            (root / "val" / "val_annotations.txt").write_text(lines)

    return make


PHOTOS = tuple(f"val/images/val_{i}.JPEG" for i in range(4))
TOLD = "".join(f"val_{i}.JPEG\t{name}\t0\t0\t62\t62\n" for i, name in enumerate(["cat", "fox"] * 2))
MADE = {
    "`val/<class>/*`": layout("val/cat/1.png", "val/fox/1.png"),
    "`val/<class>/images/*`": layout("val/cat/images/1.png", "val/fox/images/1.png"),
    "`val/images/*` and `val/val_annotations.txt`: Tiny-ImageNet as it comes": layout(
        *PHOTOS, lines=TOLD
    ),
    "`validation/<class>/*`": layout("validation/cat/1.png", "validation/fox/1.png"),
    "`test/<class>/*`": layout("test/cat/1.png", "test/fox/1.png"),
    "`val/val/<class>/*`": layout("val/val/cat/1.png", "val/val/fox/1.png"),
    "`val/*`: ImageNet's images without folders": layout(
        *(f"val/ILSVRC2012_val_{i:08d}.JPEG" for i in range(4))
    ),
    "`val/images/*` without `val_annotations.txt`": layout(*PHOTOS),
    "`val/0/*`, `val/1/*`": layout("val/0/1.png", "val/1/1.png"),
    "`val` lacks a class": layout("val/cat/1.png"),
    "`val/<class>` is empty": layout("val/cat/1.png", "val/fox/notes.txt"),
    "no validation images": layout(),
}
NAMES = {"`val` lacks a class": "dog"}  # of the second class; without it fox


@pytest.mark.parametrize("row", LAYOUTS)
def test_a_layout_is_read_or_refused_before_the_first_job(
    tmp_path: Path, tiny: dict[str, Any], row: str
) -> None:
    what = LAYOUTS[row][0]
    for name in ("cat", NAMES.get(row, "fox")):
        save(tmp_path / "train" / name / "0.png")
    MADE[row](tmp_path)
    tiny["dataset"] = {"name": "imagefolder", "root": str(tmp_path), "resolution": 8}
    tiny["recover"]["block"] = 2
    if not what.startswith(REFUSED):
        plan_of(tiny)
        labels, files = read(tmp_path).splits["val"]
        assert sorted(set(labels)) == [0, 1]
        assert len(files) == len(set(files)) >= 2
        return
    message = re.escape(what.removeprefix(REFUSED))
    with pytest.raises(ScddError, match=message) as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)
    if "empty" in row:
        plan_of(tiny)
        return
    with pytest.raises(ScddError, match=rf"^dataset\.val: .*{message}"):
        plan_of(tiny)
    plan_of({**tiny, "dataset": {**tiny["dataset"], "holdout": 0.1}})
