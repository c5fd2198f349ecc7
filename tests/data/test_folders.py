"""Folders of images as people have them: links, hidden ones, names, and validation images."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from test_data import make
from torchvision.datasets import ImageFolder

from scdd.data.folders import class_folders, image_files, look
from scdd.data.layouts import require_validation
from scdd.data.reading import require_images
from scdd.data.sets import module
from scdd.data.source import open_dataset
from scdd.errors import ScddError, shown
from scdd.plan.load import plan_of

CLASSES = ("n01", "n02")


def save(path: Path, grey: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (grey,) * 3).save(path, "PNG")


def refusal(root: Path, **options: Any) -> str:
    """The message of the job `data` before it decodes."""
    with pytest.raises(ScddError) as caught:
        loaded = module("imagefolder").load(root, False, **options)
        require_images(loaded, loaded.classes)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A training image of each class."""
    for name in CLASSES:
        save(tmp_path / "pets" / "train" / name / "0.png")
    return tmp_path / "pets"


def tiny_imagenet(root: Path, lines: str | None = None) -> Path:
    """Validation images as Tiny-ImageNet comes: image i is grey i, its class that of i mod 2.

    Returns the file of annotations.
    """
    for i in range(12):
        save(root / "val" / "images" / f"val_{i}.JPEG", i)
    told = "".join(f"val_{i}.JPEG\t{CLASSES[i % 2]}\t0\t32\t44\t62\n" for i in range(12))
    annotations = root / "val" / "val_annotations.txt"
    annotations.write_text(told if lines is None else lines)
    return annotations


# ---- which files are images --------------------------------------------------------------------


def test_a_folder_has_the_images_that_torchvision_reads(tmp_path: Path) -> None:
    """Through links, sorted by folder and then by name."""
    for name in ("b", "b-c/x", "b/a", "B/z", "b.d/y", "10", "9"):
        save(tmp_path / "set" / "cat" / f"{name}.png")
        save(tmp_path / "set" / "cat" / f"{name}.JPG")
        save(tmp_path / "elsewhere" / f"{name}.bmp")
    (tmp_path / "set" / "cat" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "cat" / "again").symlink_to("linked/b")
    (tmp_path / "set" / "dog").symlink_to(tmp_path / "elsewhere" / "b")
    theirs = ImageFolder(str(tmp_path / "set"), allow_empty=True)
    ours = [
        (str(file), label)
        for label, folder in enumerate(class_folders(tmp_path / "set"))
        for file in image_files(folder)
    ]
    assert len(ours) == 23
    assert ours == theirs.samples


def test_a_link_from_a_deeper_folder_to_one_above_it_is_refused(tmp_path: Path) -> None:
    """Its images would be read again and again."""
    save(tmp_path / "cat" / "a" / "b" / "0.png")
    (tmp_path / "cat" / "a" / "b" / "up").symlink_to("../..", target_is_directory=True)
    with pytest.raises(ScddError, match=r"cat/a/b/up is a link to .*cat, a folder that it is in"):
        look(tmp_path / "cat")


def test_a_link_to_itself_is_a_broken_link(tmp_path: Path) -> None:
    (tmp_path / "0.png").symlink_to("0.png")
    with pytest.raises(ScddError, match=r"0\.png is a link to 0\.png, where no file"):
        look(tmp_path)


@pytest.mark.parametrize("name", ["._0.png", ".DS_Store", ".Trash/0.png", "@eaDir/0.png"])
def test_what_a_system_adds_is_neither_class_nor_image(root: Path, name: str) -> None:
    save(root / "train" / "n01" / name)
    save(root / "train" / name)
    loaded = module("imagefolder").load(root, False, ("train",))
    assert loaded.classes == CLASSES
    assert loaded.splits["train"][1] == ["train/n01/0.png", "train/n02/0.png"]


def test_other_files_are_told_by_suffix(root: Path, tmp_path: Path, capsys: Any) -> None:
    for name in ("1.gif", "2.GIF", "3.jfif", "boxes.txt", "README", ".4.png"):
        save(root / "train" / "n01" / name)
    save(root / "val" / "n01" / "0.heic")
    for name in CLASSES:
        save(root / "val" / name / "0.png")
    assert make(tmp_path / "a", root, name="imagefolder", resolution=8) == 0
    printed = capsys.readouterr().err
    assert (
        "train: 2 images (not read: 2 .gif, 1 .jfif, 1 .txt, 1 hidden, 1 without a suffix)"
        in printed
    )
    assert "val: 2 images (not read: 1 .heic)" in printed


def test_what_is_beside_the_class_folders_is_told(root: Path, tmp_path: Path, capsys: Any) -> None:
    save(root / "train" / "stray.png")
    save(root / "train" / "thumb.gif")
    for name in (*CLASSES, "n03", ".ipynb_checkpoints"):
        save(root / "val" / name / "0.png")
    assert make(tmp_path / "a", root, name="imagefolder", resolution=8) == 0
    printed = capsys.readouterr().err
    assert "train: 2 images (not read: 1 beside the class folders)" in printed
    assert "val: 2 images (not read: 1 folders of other classes)" in printed


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("names", [[], ["0.gif", "1.gif", "2.jfif"]])
def test_a_class_without_images_is_told_before_anything_is_decoded(
    root: Path, tmp_path: Path, capsys: Any, split: str, names: list[str]
) -> None:
    for name in CLASSES:
        save(root / "val" / name / "0.png")
    (root / split / "n02" / "0.png").unlink()
    for name in names:
        save(root / split / "n02" / name)
    (root / "train" / "n01" / "0.png").write_bytes(b"damaged")
    assert make(tmp_path / "a", root, name="imagefolder", resolution=8) == 1
    what = " (not read: 2 .gif, 1 .jfif)" if names else ""
    printed = capsys.readouterr().err
    assert f"{root / split / 'n02'} has no images{what}. Add some, which end in .bmp" in printed


def test_a_class_without_images_is_not_said_to_be_too_small_to_hold_out(
    root: Path, tmp_path: Path, capsys: Any
) -> None:
    (root / "train" / "n02" / "0.png").unlink()
    assert make(tmp_path / "a", root, name="imagefolder", resolution=8, holdout=0.1) == 1
    assert f"{root / 'train' / 'n02'} has no images" in capsys.readouterr().err


def test_a_folder_that_cannot_be_read_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = os.scandir

    def closed(path: Any) -> Any:
        if str(path).endswith("n02"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", closed)
    assert refusal(root, splits=("train",)) == (
        f"{root / 'train' / 'n02'} cannot be read (Permission denied)."
    )


# ---- names -------------------------------------------------------------------------------------


def test_a_name_that_is_not_utf_8_is_shown_as_python_shows_it(root: Path) -> None:
    (root / "train" / "n02").rename(root / "train" / os.fsdecode(b"caf\xe9"))
    assert refusal(root) == (
        f"'{root}/train/caf\\udce9' has bytes that are not UTF-8 in its name. Rename it."
    )


def test_a_class_in_latin_1_is_refused_before_the_first_job(
    root: Path, tiny: dict[str, Any]
) -> None:
    (root / "train" / "n02").rename(root / "train" / os.fsdecode(b"caf\xe9"))
    tiny["dataset"] = {"name": "imagefolder", "root": str(root), "resolution": 8}
    with pytest.raises(ScddError, match="not UTF-8"):
        plan_of(tiny)


def test_a_line_break_does_not_make_another_file_of_a_name(root: Path) -> None:
    """It would be read, if it was there, and reported, if not."""
    for name in CLASSES:
        save(root / "val" / name / "0.png")
    (root / "val" / "n02" / "a.png\nval").mkdir()
    save(root / "val" / "n02" / "a.png\nval" / "b.png")
    assert refusal(root) == (
        f"'{root}/val/n02/a.png\\nval/b.png' has a line break in its name. Rename it."
    )


@pytest.mark.parametrize("name", ["ein Bild.png", "Фото.png", "1\u202fPM.png", "a'b\"c{d}.png"])
def test_other_names_are_read(root: Path, name: str) -> None:
    save(root / "train" / "n02" / name)
    assert (
        f"train/n02/{name}"
        in module("imagefolder").load(root, False, ("train",)).splits["train"][1]
    )


def test_a_message_shows_a_name_that_does_not_print_in_one_line() -> None:
    assert shown("a b") == "a b"
    assert shown("a\nb") == "'a\\nb'"


# ---- validation images -------------------------------------------------------------------------


def test_tiny_imagenet_as_it_comes_is_what_it_is_sorted_into_folders(
    root: Path, tmp_path: Path
) -> None:
    tiny_imagenet(root)
    for i in range(12):
        save(tmp_path / "sorted" / "val" / CLASSES[i % 2] / f"val_{i}.JPEG", i)
    for name in CLASSES:
        save(tmp_path / "sorted" / "train" / name / "0.png")
    made = []
    for folder in (root, tmp_path / "sorted"):
        out = tmp_path / f"made-{folder.name}"
        params = {"name": "tiny-imagenet", "resolution": 8}
        assert make(out, folder, **params) == 0
        made.append(open_dataset(out / "dataset.json", folder).val)
    assert made[0].labels.tolist() == [0] * 6 + [1] * 6
    assert made[0].labels.equal(made[1].labels)
    index = torch.arange(12)
    assert made[0].images(index).equal(made[1].images(index))


def test_folders_of_classes_count_more_than_annotations(root: Path) -> None:
    """Some people sort the images and leave the file where it is."""
    tiny_imagenet(root)
    for name in CLASSES:
        save(root / "val" / name / "images" / "val_0.JPEG")
    files = module("imagefolder").load(root, False).splits["val"][1]
    assert files == [f"val/{name}/images/val_0.JPEG" for name in CLASSES]


def test_annotated_images_of_other_classes_are_not_needed(root: Path, capsys: Any) -> None:
    """Of a part of Tiny-ImageNet the file of annotations may be whole."""
    file = tiny_imagenet(root)
    file.write_text(file.read_text() + "\nval_77.JPEG\tn99\t0\t0\t1\t1\n")
    save(root / "val" / "images" / "stray.png")
    assert len(module("imagefolder").load(root, False).splits["val"][0]) == 12
    assert "12 images (not read: 1 images without a class)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("val_0.JPEG\n", "val_annotations.txt, line 1 is not a file name and a class"),
        ("val_0.JPEG\tn01\nval_0.JPEG\tn02\n", "val_annotations.txt, line 2 names an image again"),
        ("val_0.JPEG\tn01\n../x.png\tn02\n", "line 2 is not a file name and a class: '../x"),
        ("val_0.JPEG\tn01\n\nval_99.JPEG\tn02\n", "line 3: 'val_99.JPEG' is not an image in"),
        ("val_0.JPEG\tn01\n", "val_annotations.txt names no image of class 'n02'"),
        ("\n", "val_annotations.txt names no image of class 'n01'"),
    ],
)
def test_damaged_annotations_are_refused(root: Path, lines: str, message: str) -> None:
    tiny_imagenet(root, lines)
    assert message in refusal(root)


def test_annotations_that_are_not_text_are_refused(root: Path) -> None:
    tiny_imagenet(root).write_bytes(b"\xff\xfe\x00")
    assert "val_annotations.txt cannot be read" in refusal(root)


def test_another_name_of_the_validation_folder(root: Path, tmp_path: Path) -> None:
    for name in CLASSES:
        save(root / "splits" / "test" / name / "7.png")
    params = {"name": "imagefolder", "resolution": 8, "val": "splits/test"}
    assert make(tmp_path / "a", root, **params) == 0
    val = open_dataset(tmp_path / "a" / "dataset.json", root).validation(8)
    assert [str(file) for file in val.files] == [
        str(root / "splits" / "test" / name / "7.png") for name in CLASSES
    ]


def test_the_validation_folder_is_in_the_digest_where_it_counts(
    root: Path, tiny: dict[str, Any]
) -> None:
    """Under an equal digest the results of another folder would be taken for its own."""
    for folder in ("val", "test"):
        for name in CLASSES:
            save(root / folder / name / "0.png")
    tiny["recover"]["block"] = 2
    digests = {}
    for val in (None, "val", "./val/", "test"):
        for holdout in (0.0, 0.5):
            own = {"name": "imagefolder", "root": str(root), "resolution": 8, "holdout": holdout}
            tiny["dataset"] = own if val is None else {**own, "val": val}
            digests[val, holdout] = plan_of(tiny).of("data")[0].digest
    assert digests[None, 0.0] == digests["val", 0.0] == digests["./val/", 0.0]
    assert digests["test", 0.0] != digests["val", 0.0]
    assert len({digests[val, 0.5] for val in (None, "val", "./val/", "test")}) == 1


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ({"name": "digits", "val": "test"}, "dataset.val: digits has no folders"),
        ({"val": "train"}, "dataset.val: train has the training images"),
        ({"val": "/data/val"}, "dataset.val: '/data/val' is not the name of a folder below"),
        ({"val": "../val"}, "dataset.val: '../val' is not the name of a folder below"),
        ({"val": ""}, "dataset.val: '' is not the name of a folder below"),
        ({"val": "tset"}, "dataset.val: there is no folder"),
    ],
)
def test_a_validation_folder_that_cannot_be_is_refused(
    root: Path, tiny: dict[str, Any], dataset: dict[str, Any], message: str
) -> None:
    tiny["dataset"] = {"name": "imagefolder", "root": str(root), "resolution": 8, **dataset}
    with pytest.raises(ScddError) as caught:
        plan_of(tiny)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["validation/n01", "test/n01"],
            "there is 'test', 'validation' beside train. Set dataset.val",
        ),
        (["Test/x"], "there is 'Test' beside train. Set dataset.val: Test, or"),
        (["some/n01"], "there is 'some' beside train. Set dataset.val: some, or"),
        (["test2/x"], "Name the folder of the validation images, below"),
        (["val/n1", "val/n2"], "are named 'n1', 'n2', and those in train 'n01', 'n02'. Give them"),
        (["val/N01", "val/n02"], "lacks 1 of 2 classes ('n01'), and has 'N01', which train lacks"),
        (["val/.hidden"], "has no images and no class folders"),
    ],
)
def test_a_message_says_what_is_there(root: Path, names: list[str], message: str) -> None:
    for name in names:
        save(root / name / "0.png")
    with pytest.raises(ScddError) as caught:
        require_validation(root, "val", CLASSES)
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["imagefolder", "tiny-imagenet", "imagenet1k"])
@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("tiny-imagenet-200/train/n01", "Set dataset.root: {}/tiny-imagenet-200."),
        ("Train/n01", "Rename {}/Train to train."),
        ("n01", "There is 'n01'."),
    ],
)
def test_where_the_training_images_are_not_is_said(
    tmp_path: Path, tiny: dict[str, Any], name: str, folder: str, message: str
) -> None:
    save(tmp_path / folder / "0.png")
    tiny["dataset"] = {"name": name, "root": str(tmp_path), "resolution": 8}
    with pytest.raises(
        ScddError, match=r"dataset\.root: there is no folder .*/train with"
    ) as caught:
        plan_of(tiny)
    assert message.format(tmp_path) in str(caught.value)


def test_classes_that_are_not_used_need_no_validation_images(root: Path) -> None:
    save(root / "val" / "n02" / "0.png")
    require_validation(root, "val", ["n02"])
