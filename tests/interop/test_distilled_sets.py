"""Distilled sets of others: image folders and tensors become shards; the plan and the programs."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import toy
from conftest import Checkout
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from scdd import imageset
from scdd.artifacts.files import sha256_of
from scdd.artifacts.images import load_set, open_set, whitening_of
from scdd.artifacts.slots import Range
from scdd.data.folders import set_files
from scdd.errors import ScddError
from scdd.interop import import_images
from scdd.interop.distilled_sets import OfClass, class_images
from scdd.interop.exports import export_set
from scdd.params.select import Import
from scdd.plan.code import print_path
from scdd.plan.load import plan_of
from scdd.plan.plan import Node

Config = dict[str, Any]
SIZE = 8
NEW = [f"new{i:03d}" for i in range(3)]


def image(label: int, slot: int, size: int = SIZE) -> Tensor:
    draw = torch.Generator().manual_seed(100 * label + slot)
    return torch.randint(256, (3, size, size), generator=draw).byte()


def save(path: Path, pixels: Tensor) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(path)


def folder_of(path: Path, names: list[str], count: int = 3, size: int = SIZE) -> Path:
    """An image folder of `count` images a class; the names' order is the class order."""
    for label, name in enumerate(names):
        for slot in range(count):
            save(path / name / f"class{label:03d}_id{slot:03d}.png", image(label, slot, size))
    return path


def tensors(count: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """Images as pixels, normalised, and their labels, classes mixed."""
    labels = torch.arange(3).repeat(count)
    pixels = torch.stack([image(label, i // 3) for i, label in enumerate(labels.tolist())])
    mean, std = (torch.tensor(values)[:, None, None] for values in (toy.MEAN, toy.STD))
    return pixels, (pixels / 255 - mean) / std, labels


def read(path: Path, slots: Range = (0, 10), **stated: Any) -> list[OfClass]:
    given = Import(str(path), **stated)
    whitening = toy.whitening() if given.whitened else None
    return list(class_images(path, toy.info(SIZE), slots, given, whitening))


def made(path: Path, slots: Range = (0, 10), **stated: Any) -> list[Tensor]:
    return [each.images for each in read(path, slots, **stated)]


def refusal(path: Path, slots: Range = (0, 1)) -> str:
    with pytest.raises(ScddError) as caught:
        made(path, slots)
    return str(caught.value)


# ---- image folders -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names", [["a", "b", "c"], NEW, ["00000", "00001", "00002"], ["0_a", "1_b", "2_c"]]
)
def test_folders_are_found_by_name_or_index(tmp_path: Path, names: list[str]) -> None:
    found = made(folder_of(tmp_path / "set", names))
    for label in range(3):
        expected = torch.stack([image(label, slot) for slot in range(3)])
        assert torch.equal(found[label], expected)


def test_slots_are_the_files_in_order_and_stop_where_there_are_no_more(tmp_path: Path) -> None:
    path = folder_of(tmp_path / "set", NEW, count=4)
    assert [len(images) for images in made(path, (0, 1))] == [1, 1, 1]
    rest = made(path, (1, 10))
    assert torch.equal(rest[2], torch.stack([image(2, slot) for slot in (1, 2, 3)]))
    assert "class 'a' has 4 images: too few for slots from 10 on. Lower ipc to 4" in refusal(
        path, (10, 20)
    )


def test_jpegs_are_taken_as_pillow_decodes_them(tmp_path: Path) -> None:
    for name in NEW:
        save(tmp_path / "set" / name / "x.jpg", image(0, 0))
    with Image.open(tmp_path / "set" / NEW[0] / "x.jpg") as opened:
        expected = torch.from_numpy(np.asarray(opened).copy()).permute(2, 0, 1)
    assert torch.equal(made(tmp_path / "set")[0][0], expected)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a", "b"], "has 2 class folders, but the dataset has 3 classes"),
        (["a", "b", "d"], "d is not a class of the dataset"),
        (["new000", "new001", "new003"], "new000 is not a class of the dataset"),
        (["0", "1", "10"], "0 is not a class of the dataset"),
        (["0_a", "1_c", "2_b"], "1_c should be class 1, which is 'b'"),
    ],
)
def test_folders_that_are_not_the_classes_are_refused(
    tmp_path: Path, names: list[str], message: str
) -> None:
    assert message in refusal(folder_of(tmp_path / "set", names))


def test_a_file_that_tells_another_class_is_refused(tmp_path: Path) -> None:
    path = folder_of(tmp_path / "set", NEW)
    (path / "new001").rename(path / "x")
    (path / "new002").rename(path / "new001")
    (path / "x").rename(path / "new002")
    assert "class002_id000.png is of class 2, but its folder is class 1" in refusal(path)


def test_images_of_another_size_are_refused_not_resized(tmp_path: Path) -> None:
    path = folder_of(tmp_path / "set", NEW, size=9)
    assert "images of 9 x 9 pixels, but the dataset's resolution is 8" in refusal(path)


def test_a_damaged_image_is_named(tmp_path: Path) -> None:
    path = folder_of(tmp_path / "set", NEW)
    (path / "new001" / "class001_id000.png").write_bytes(b"no image")
    assert "class001_id000.png is not a readable image" in refusal(path)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_levels_of_16_bits_are_those_of_8(tmp_path: Path, suffix: str) -> None:
    """They were all white."""
    grey = np.arange(SIZE * SIZE, dtype=np.uint8).reshape(SIZE, SIZE) * 4
    for name in NEW:
        (tmp_path / "set" / name).mkdir(parents=True)
        deep = Image.fromarray(grey.astype(np.uint16) * 257)
        deep.save(tmp_path / "set" / name / f"x.{suffix}")
    expected = torch.from_numpy(grey).expand(3, SIZE, SIZE)
    assert torch.equal(made(tmp_path / "set")[0][0], expected)


def test_float_levels_are_refused(tmp_path: Path) -> None:
    path = folder_of(tmp_path / "set", NEW)
    Image.new("F", (SIZE, SIZE), 0.5).save(path / "new001" / "a.tif")
    assert "a.tif has float numbers as levels" in refusal(path)


def test_files_that_are_not_read_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder_of(tmp_path / "set", NEW)
    for name in ("new000/x.gif", "new001/y.jfif", ".ipynb_checkpoints/z.png"):
        save(path / name, image(0, 0)) if name.endswith("png") else (path / name).write_bytes(b"")
    assert [len(images) for images in made(path)] == [3, 3, 3]
    assert "set: 9 images (not read: 1 .gif, 1 .jfif)" in capsys.readouterr().err


# ---- tensors -----------------------------------------------------------------------------------


def test_the_last_experiment_of_dcs_file(tmp_path: Path) -> None:
    pixels, normalised, labels = tensors()
    earlier = [torch.zeros_like(normalised), labels]
    accuracies = {"ConvNet": [np.float64(0.5)]}  # as their program has them
    content = {"data": [earlier, [normalised, labels]], "accs_all_exps": accuracies}
    torch.save(content, tmp_path / "res_DM_toy_ConvNet_2ipc.pt")
    found = made(tmp_path / "res_DM_toy_ConvNet_2ipc.pt")
    for label in range(3):
        assert torch.equal(found[label], pixels[labels == label])


@pytest.mark.parametrize("given", ["", "images_best.pt"])
def test_mtts_images_and_labels(tmp_path: Path, given: str) -> None:
    pixels, normalised, labels = tensors()
    torch.save(normalised.requires_grad_(), tmp_path / "images_best.pt")
    torch.save(labels, tmp_path / "labels_best.pt")
    torch.save(torch.zeros(1), tmp_path / "images_100.pt")
    assert torch.equal(made(tmp_path / given)[1], pixels[labels == 1])


def test_learned_labels_give_the_class_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels, normalised, labels = tensors()
    torch.save(normalised, tmp_path / "images_5.pt")
    torch.save(torch.nn.functional.one_hot(labels, 3) + 0.1, tmp_path / "labels_5.pt")
    assert torch.equal(made(tmp_path / "images_5.pt")[2], pixels[labels == 2])
    assert "learned labels are not used" in capsys.readouterr().err


def saved(path: Path, images: Tensor, labels: Tensor) -> Path:
    torch.save({"data": [[images, labels]]}, path)
    return path


def test_learned_labels_are_kept_where_it_is_said(tmp_path: Path) -> None:
    _, normalised, labels = tensors()
    learned = (3 * torch.eye(3)[labels] + torch.rand(6, 3)).softmax(1)
    path = saved(tmp_path / "x.pt", normalised, learned.double())
    for label, each in enumerate(read(path, learned_labels=True)):
        assert each.labels is not None
        assert torch.equal(each.labels, learned[labels == label])
    assert all(each.labels is None for each in read(path))


def test_learned_labels_that_do_not_tell_the_classes_are_in_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """TESLA's, whose largest may be of another class."""
    images = torch.stack([tensors()[1][i] for i in (0, 3, 1, 4, 2, 5)])
    learned = torch.tensor([[0.1, 0.8, 0.1]]).repeat(6, 1)
    found = read(saved(tmp_path / "x.pt", images, learned), learned_labels=True)
    assert torch.equal(found[1].images, torch.stack([image(1, slot) for slot in range(2)]))
    assert "images are taken class by class" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.eye(3) - 0.1, "are not probabilities (the least is -0.1, sums are off by up to 0.3"),
        (torch.eye(3) + 0.1, "are not probabilities (the least is 0.1, sums are off by up to 0.3"),
        (torch.arange(3), "has class indices, not learned labels. Leave learned_labels out."),
    ],
)
def test_labels_that_students_cannot_learn_are_refused(
    tmp_path: Path, labels: Tensor, message: str
) -> None:
    path = saved(tmp_path / "x.pt", tensors()[1][:3], labels)
    with pytest.raises(ScddError) as caught:
        read(path, learned_labels=True)
    assert message in str(caught.value)


def test_floats_are_kept_normalised_by_the_datasets_numbers(tmp_path: Path) -> None:
    """Nothing is rounded or clamped; the pictures are those without `storage`."""
    pixels, normalised, labels = tensors()
    learned = normalised + torch.randn(normalised.shape)
    path = saved(tmp_path / "x.pt", learned, labels)
    for each, without in zip(read(path, storage="float32"), read(path), strict=True):
        assert torch.equal(each.images, without.images)
        assert without.floats is None
    found = torch.cat(
        [each.floats for each in read(path, storage="float32") if each.floats is not None]
    )
    torch.testing.assert_close(found, learned[[0, 3, 1, 4, 2, 5]])
    theirs = saved(tmp_path / "y.pt", (pixels / 255 - 0.5) / 0.25, labels)
    scale: Any = {"mean": (0.5,) * 3, "std": (0.25,) * 3}
    again = read(theirs, storage="float32", **scale)[0].floats
    assert again is not None
    torch.testing.assert_close(again, normalised[labels == 0])


def whitened_file(path: Path) -> Path:
    """Ten images a class, as MTT saves them."""
    images = toy.as_learned("zca").flatten(0, 1)
    return saved(path, images, torch.arange(3).repeat_interleave(10))


def test_whitened_tensors_are_kept_and_their_pictures_are_their_pixels(tmp_path: Path) -> None:
    path = whitened_file(tmp_path / "x.pt")
    for own, each in zip(toy.as_learned("zca"), read(path, whitened=True), strict=True):
        assert each.floats is not None
        assert torch.equal(each.floats, own)
        back = toy.whitening().unwhiten(own)
        assert torch.equal(each.images, (back.clamp(0, 1) * 255).round().byte())
    assert read(path, whitened=True, storage="uint8")[0].floats is None


@pytest.mark.parametrize("change", [lambda x: x * 255, lambda x: x * 255 - 128])
def test_what_is_not_whitened_is_refused_as_whitened(tmp_path: Path, change: Any) -> None:
    images = change(toy.image_set(30, SIZE).images(torch.arange(30)) / 255)
    path = saved(tmp_path / "x.pt", images, torch.arange(30) % 3)
    with pytest.raises(ScddError, match=r"x\.pt: its values are not images that were whitened"):
        read(path, whitened=True)


def test_pixels_are_denormalised_clamped_and_rounded(tmp_path: Path) -> None:
    values = torch.tensor([-9.0, -1.0, 0.0, 0.5, 9.0, 0.1, 0.2, 0.3])
    normalised = values.expand(3, 3, 8, 8).clone()
    torch.save({"data": [[normalised, torch.arange(3)]]}, tmp_path / "x.pt")
    found = made(tmp_path / "x.pt", mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.1))
    for channel, (mean, std) in enumerate([(0.5, 0.2), (0.4, 0.2), (0.3, 0.1)]):
        expected = [round(255 * min(max(v * std + mean, 0), 1)) for v in values.tolist()]
        assert found[0][0, channel, 0].tolist() == expected


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (torch.zeros(3, 1, 8, 8), torch.arange(3), "images of 1 channels"),
        (torch.zeros(3, 3, 9, 8), torch.arange(3), "images of 8 x 9 pixels"),
        (torch.zeros(3, 3, 8).byte(), torch.arange(3), "holds images uint8 [3, 3, 8]"),
        (torch.zeros(3, 3, 8, 8), torch.arange(2), "with a label for each"),
        (torch.zeros(3, 3, 8, 8), torch.tensor(3), "labels int64 []; images must be [n, 3, R, R]"),
        (torch.zeros(0, 3, 8, 8), torch.arange(0), "holds images float32 [0, 3, 8, 8]"),
        (torch.zeros(3, 3, 8, 8), torch.eye(3)[[0, 1, 1]], "x.pt: class 'c' has no images."),
        (torch.zeros(3, 3, 8, 8) / 0, torch.arange(3), "not finite"),
        (torch.zeros(3, 3, 8, 8), torch.tensor([0, 1, 1]), "images of 2 classes, 0 to 1"),
        (torch.zeros(3, 3, 8, 8), torch.tensor([0.0, 1.5, 2]), "are not class indices"),
        (torch.zeros(3, 3, 8, 8), torch.zeros(3, 10), "labels of 10 classes, but the dataset"),
        (torch.zeros(3, 3, 8, 8), [0, 1, 2], "images and labels must be tensors"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(
    tmp_path: Path, images: Tensor, labels: Any, message: str
) -> None:
    torch.save({"data": [[images, labels]]}, tmp_path / "x.pt")
    assert message in refusal(tmp_path / "x.pt")


def test_what_is_no_distilled_set_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "x.pt")
    assert "is not a known form of distilled set" in refusal(tmp_path / "x.pt")
    (tmp_path / "y.pt").write_bytes(b"nothing")
    assert "y.pt is not a file of torch.save, or is damaged" in refusal(tmp_path / "y.pt")
    (tmp_path / "images_best.pt").write_bytes(b"nothing")
    assert "has no labels_best.pt beside it" in refusal(tmp_path / "images_best.pt")
    assert "there is no file or folder" in refusal(tmp_path / "gone")
    (tmp_path / "x.zip").write_bytes(b"")
    assert "nor a file that ends in .pt" in refusal(tmp_path / "x.zip")


# ---- the program -------------------------------------------------------------------------------


def test_the_programs_make_an_image_set_of_an_export(tmp_path: Path) -> None:
    """What is exported and imported again has the same pixels."""
    toy.write(tmp_path, ipc=3)
    export_set(tmp_path / "images" / "set.json", "imagefolder", tmp_path / "theirs", "png")
    theirs = tmp_path / "theirs" / "train"
    content = sha256_of(theirs, set_files(theirs))
    params = {"sha256": content, "mean": None, "std": None}
    toy.freeze(tmp_path / "import_images.json", "import_images", params, data="d")
    data = f"--data={tmp_path / 'data' / 'dataset.json'}"
    call = [f"--config={tmp_path / 'import_images.json'}", data, f"--source={tmp_path / 'theirs'}"]
    for slots in ("0:1", "1:10"):
        assert import_images.main([*call, f"--slots={slots}", f"--out={tmp_path / 'made'}"]) == 0
    params = {"ipc": 3, "method": "x", "pixels": "uint8"}
    toy.freeze(tmp_path / "set.json", "imageset", params, source="import_images")
    call = [f"--config={tmp_path / 'set.json'}", data, f"--source={tmp_path / 'made'}"]
    assert imageset.main([*call, f"--out={tmp_path / 'again' / 'set.json'}"]) == 0
    again, first = (load_set(tmp_path / name / "set.json") for name in ("again", "images"))
    assert torch.equal(again.images, first.images)
    assert again.content == first.content


def test_the_programs_make_a_set_of_whitened_tensors(tmp_path: Path) -> None:
    """As MTT saves them: the learning rate that belongs to them is told."""
    toy.write(tmp_path, ipc=2)
    toy.write_learned(tmp_path, "zca", "zca")
    file = whitened_file(tmp_path / "res.pt")
    params = {"sha256": sha256_of(file, [file]), "mean": None, "std": None}
    params |= {"whitened": True, "storage": None, "student_lr": 0.02}
    parents = {"data": "d", "whitening": "w1"}
    toy.freeze(tmp_path / "import_images.json", "import_images", params, **parents)
    common = [f"--data={tmp_path / 'data' / 'dataset.json'}"]
    common += [f"--whitening={tmp_path / 'whiten' / 'whitening.safetensors'}"]
    call = [*common, f"--config={tmp_path / 'import_images.json'}", f"--source={file}"]
    for slots in ("0:1", "1:10"):
        assert import_images.main([*call, f"--slots={slots}", f"--out={tmp_path / 'made'}"]) == 0
    params = {"ipc": 10, "method": "x", "pixels": "zca"}
    parents = {"source": "import_images", "whitening": "w1"}
    toy.freeze(tmp_path / "set.json", "imageset", params, **parents)
    call = [*common, f"--config={tmp_path / 'set.json'}", f"--source={tmp_path / 'made'}"]
    assert imageset.main([*call, f"--out={tmp_path / 'again' / 'set.json'}"]) == 0
    path = tmp_path / "again" / "set.json"
    assert torch.equal(load_set(path).images, toy.as_learned("zca").flatten(0, 1))
    info = open_set(path)
    assert (info.pixels, info.student_lr, info.labelled) == ("zca", 0.02, False)
    assert whitening_of(path, info) == path.parent / "../whiten/whitening.safetensors"


def test_files_that_changed_after_the_plan_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toy.write(tmp_path, ipc=2)
    folder_of(tmp_path / "theirs", NEW)
    params = {"sha256": "0" * 64, "mean": None, "std": None}
    toy.freeze(tmp_path / "import_images.json", "import_images", params, data="d")
    given = {"source": "theirs", "data": "data/dataset.json", "config": "import_images.json"}
    call = [f"--{key}={tmp_path / name}" for key, name in given.items()]
    assert import_images.main([*call, "--slots=0:1", f"--out={tmp_path / 'made'}"]) == 1
    assert "theirs has changed since this run was planned" in capsys.readouterr().err


# ---- the plan ----------------------------------------------------------------------------------


@pytest.fixture
def config(tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """The small experiment with a set of others, an image folder of digits."""
    monkeypatch.chdir(tmp_path)
    folder_of(tmp_path / "theirs", ["0", "1", "2"], count=2)
    tiny["dataset"]["resolution"] = SIZE
    tiny["methods"].append({"name": "theirs", "import": str(tmp_path / "theirs")})
    return tiny


def imported(config: Config) -> Node:
    (node,) = plan_of(config).of("import_images")
    return node


def plan_refusal(config: Config) -> str:
    with pytest.raises(ScddError) as caught:
        plan_of(config)
    return str(caught.value)


def test_a_set_of_others_goes_through_the_same_protocol(config: Config) -> None:
    plan = plan_of(config)
    (node,) = plan.of("import_images")
    (images,) = (n for n in plan.of("imageset") if n.parents == {"source": node.key})
    (labels,) = (n for n in plan.of("relabel") if n.parents["images"] == images.key)
    assert labels.parents["teacher"] == plan.of("probe")[0].key
    assert str(print_path(node)) == "results/code/import_images.txt"
    cells = plan.of("tables")[0].params["cells"]
    assert [cell["title"] for cell in cells] == ["SC-DD", "theirs"]
    assert "theirs: images of others, from theirs." in plan.of("tables")[0].params["notes"]


def test_its_content_is_its_identity_and_its_path_is_not(config: Config, tmp_path: Path) -> None:
    before = imported(config)
    (tmp_path / "theirs").rename(tmp_path / "moved")
    config["methods"][1]["import"] = {"path": str(tmp_path / "moved")}
    plan = plan_of(config)
    assert imported(config).key == before.key
    assert plan.imports[before.key] == str(tmp_path / "moved")
    assert "moved" not in json.dumps(before.params)
    save(tmp_path / "moved" / "2" / "class002_id001.png", image(9, 9))
    assert imported(config).key != before.key


def test_a_hash_is_kept_until_a_file_changes(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = imported(config)
    monkeypatch.setattr("scdd.plan.imports.sha256_of", None)
    assert imported(config).key == before.key


def test_an_export_is_named_by_its_folder_or_by_train(config: Config, tmp_path: Path) -> None:
    before = imported(config)
    (tmp_path / "export").mkdir()
    (tmp_path / "theirs").rename(tmp_path / "export" / "train")
    for path in ("export", "export/train"):
        config["methods"][1]["import"] = str(tmp_path / path)
        assert imported(config).key == before.key


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"import": "gone"}, "methods.theirs.import: there is no file or folder gone"),
        ({"import": {"path": "x", "mean": [0.5] * 3}}, "methods.1.import: mean [0.5, 0.5, 0.5]"),
        (
            {"import": {"path": "theirs", "mean": [0.5] * 3, "std": [0.5] * 3}},
            "methods.theirs.import.mean: theirs is an image folder, whose pixels are not normal",
        ),
        (
            {"import": {"path": "theirs", "range": "byte"}},
            "methods.theirs.import.range: theirs is an image folder, whose pixels are not normal",
        ),
        (
            {"import": {"path": "x", "mean": [0] * 3, "std": [1] * 3, "range": "unit"}},
            "methods.1.import: mean and std are of normalised tensors, but range is unit",
        ),
        ({"import": {"pth": "x"}}, "unknown key methods.1.import.pth. Did you mean 'path'?"),
        ({"imprt": "x"}, "unknown key methods.1.imprt. Did you mean 'import'?"),
        ({"imported": "x"}, "unknown key methods.1.imported. Did you mean 'import'?"),
        ({"like": "random"}, "methods.theirs.like: this method has no use for it"),
        ({"recover": {"lr": 1}}, "methods.theirs.recover: this method has no use for it"),
        ({"ipc": [3]}, "has 2 images, but ipc is 3. Lower ipc."),
    ],
)
def test_a_wrong_import_gets_one_clear_message(
    config: Config, change: Config, message: str
) -> None:
    config["methods"][1].update(change)
    assert message in plan_refusal(config)


def test_a_set_without_images_tells_what_it_has(config: Config, tmp_path: Path) -> None:
    for file in (tmp_path / "theirs").rglob("*.png"):
        file.rename(file.with_suffix(".gif"))
    assert "with images (not read: 6 .gif), and no images_best.pt" in plan_refusal(config)


def test_too_few_images_tell_what_is_beside_them(config: Config, tmp_path: Path) -> None:
    file = tmp_path / "theirs" / "1" / "class001_id001.png"
    file.rename(file.with_suffix(".jfif"))
    config["methods"][1]["ipc"] = [2]
    assert "1 has 1 images (not read: 1 .jfif), but ipc is 2" in plan_refusal(config)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("0/link.png", "theirs/0/link.png is a link to gone, where no file or folder is"),
        ("link", "theirs/link is a link to gone, where no file or folder is"),
        ("0/\udce9.png", "0/\\udce9.png' has bytes that are not UTF-8 in its name"),
        ("\udce9/0.png", "theirs/\\udce9' has bytes that are not UTF-8 in its name"),
        ("0/a\nb.png", "0/a\\nb.png' has a line break in its name"),
    ],
)
def test_files_that_cannot_be_read_are_named_before_the_first_job(
    config: Config, tmp_path: Path, name: str, message: str
) -> None:
    if "link" in name:
        (tmp_path / "theirs" / name).symlink_to("gone")
    else:
        save(tmp_path / "theirs" / name, image(0, 0))
    refused = plan_refusal(config)
    assert refused.startswith("methods.theirs.import: ")
    assert message in refused
    assert "\n" not in refused


def test_a_float_image_is_seen_before_the_first_job(config: Config, tmp_path: Path) -> None:
    Image.new("F", (SIZE, SIZE)).save(tmp_path / "theirs" / "0" / "a.tif")
    assert "a.tif has float numbers as levels" in plan_refusal(config)


def test_the_size_of_its_images_is_seen_before_the_first_job(
    config: Config, tmp_path: Path
) -> None:
    folder_of(tmp_path / "theirs", ["0", "1", "2"], count=2, size=9)
    assert "class000_id000.png has images of 9 x 9 pixels" in plan_refusal(config)


def test_folders_are_checked_before_the_first_job(config: Config, tmp_path: Path) -> None:
    (tmp_path / "theirs" / "2").rename(tmp_path / "theirs" / "3")
    assert "methods.theirs.import:" in plan_refusal(config)


def indexed(config: Config, path: Path, classes: Any, names: list[str] = NEW) -> None:
    """A set in folders with these names, and these classes of the digits."""
    for label, name in enumerate(names):
        save(path / "indexed" / name / f"{label}.png", image(label, 0))
    config["methods"][1]["import"] = "indexed"
    config["dataset"]["classes"] = classes


@pytest.mark.parametrize("classes", [["1", "0", "2"], ["0", "1", "7"]])
@pytest.mark.parametrize("names", [NEW, ["00000", "00001", "00002"]])
def test_an_index_that_is_another_class_in_the_dataset_is_refused(
    config: Config, tmp_path: Path, classes: list[str], names: list[str]
) -> None:
    indexed(config, tmp_path, classes, names)
    message = plan_refusal(config)
    assert f"methods.theirs.import: indexed/{names[0]} tells its class by an index alone" in message
    assert "Give the folders the names of the classes" in message


@pytest.mark.parametrize("classes", [3, ["0", "1", "2"]])
def test_an_index_of_the_datasets_first_classes_is_assumed(
    config: Config, tmp_path: Path, classes: Any
) -> None:
    indexed(config, tmp_path, classes)
    notes = plan_of(config).of("tables")[0].params["notes"]
    assert "indexed does not tell its class order; assumed the dataset's." in notes


@pytest.mark.parametrize("names", [["1", "0", "2"], ["0_1", "1_0", "2_2"]])
def test_folders_with_the_classes_names_have_any_order(
    config: Config, tmp_path: Path, names: list[str]
) -> None:
    indexed(config, tmp_path, ["1", "0", "2"], names)
    assert "class order" not in str(plan_of(config).of("tables")[0].params["notes"])


def test_tensors_do_not_tell_their_classes_and_the_table_says_so(
    config: Config, tmp_path: Path
) -> None:
    torch.save({"data": []}, tmp_path / "res.pt")
    config["methods"][1]["import"] = str(tmp_path / "res.pt")
    notes = plan_of(config).of("tables")[0].params["notes"]
    assert "res.pt does not tell its class order; assumed the dataset's." in notes


# ---- learned images in the plan ----------------------------------------------------------------


@pytest.fixture
def learned(config: Config, tmp_path: Path) -> Config:
    """The set of others is a file of tensors, for a protocol with soft labels and one without."""
    torch.save({"data": []}, tmp_path / "res.pt")
    config["methods"][1]["import"] = {"path": "res.pt"}
    config["protocols"] = ["scdd-paper", "dc"]
    return config


def sets_of(config: Config) -> dict[str, Node]:
    """The image sets of the import, by its students' labels."""
    plan = plan_of(config)
    (source,) = plan.of("import_images")
    found = {}
    for student in plan.of("validate"):
        role = "labels" if "labels" in student.parents else "images"
        node = plan.parent(student, role)
        images = plan.parent(node, "images") if role == "labels" else node
        if plan.parent(images, "source") == source:
            found[student.params["labels"]] = images
    return found


def test_whitened_images_train_students_whitened_and_are_labelled_as_pictures(
    learned: Config,
) -> None:
    learned["methods"][1]["import"]["whitened"] = True
    plan, sets = plan_of(learned), sets_of(learned)
    (whitening,), (source,) = plan.of("whiten"), plan.of("import_images")
    assert list(source.parents) == ["data", "whitening"]
    assert sets["hard"].parents == {"source": source.key, "whitening": whitening.key}
    assert sets["soft"].parents == {"source": source.key}
    assert [sets[labels].params["pixels"] for labels in ("hard", "soft")] == ["zca", "uint8"]
    assert plan.bytes(sets["hard"]) == 4 * (plan.bytes(sets["soft"]) or 0)
    notes = plan.of("tables")[0].params["notes"]
    assert any(
        "theirs: students with hard labels train and are tested on white" in n for n in notes
    )
    assert any("theirs: its images are float32, as they were learned" in n for n in notes)


def test_8_bit_images_of_whitened_tensors_are_whitened_when_they_are_read(learned: Config) -> None:
    learned["methods"][1]["import"] |= {"whitened": True, "storage": "uint8"}
    sets = sets_of(learned)
    assert [sets[labels].params["pixels"] for labels in ("hard", "soft")] == ["uint8", "uint8"]
    assert "whitening" in sets["hard"].parents
    assert "whitening" not in sets["soft"].parents


def test_a_given_matrix_is_known_by_its_content(learned: Config, tmp_path: Path) -> None:
    learned["methods"][1]["import"]["whitened"] = True
    digests = [plan_of(learned).of("whiten")[0].digest]
    for name, content in (("a.pt", b"1"), ("b.pt", b"2"), ("c.pt", b"1")):
        (tmp_path / name).write_bytes(content)
        learned["methods"][1]["import"]["matrix"] = name
        plan = plan_of(learned)
        (whitening,) = plan.of("whiten")
        assert plan.imports[whitening.key] == name
        digests.append(whitening.digest)
    assert digests[1] == digests[3]
    assert len(set(digests)) == 3


def test_normalised_floats_serve_all_students(learned: Config) -> None:
    learned["methods"][1]["import"]["storage"] = "float32"
    sets = sets_of(learned)
    assert sets["hard"] == sets["soft"]
    assert sets["hard"].params["pixels"] == "normalised"


def test_an_import_without_the_later_keys_is_as_before(learned: Config) -> None:
    before = imported(learned)
    keys = {"whitened": False, "storage": None, "learned_labels": False, "student_lr": None}
    learned["methods"][1]["import"] |= keys
    assert imported(learned).key == before.key
    for key, value in (("storage", "float32"), ("learned_labels", True), ("student_lr", 0.02)):
        learned["methods"][1]["import"] |= {**keys, key: value}
        assert imported(learned).key != before.key


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"import": {"path": "res.pt", "whitened": True, "range": "unit"}},
            "methods.1.import: range is not for whitened tensors; leave it out, or whitened",
        ),
        (
            {"import": {"path": "theirs", "whitened": True}},
            "methods.theirs.import.whitened: theirs is an image folder, of 8-bit images",
        ),
        (
            {"import": {"path": "theirs", "storage": "float32"}},
            "import.storage: theirs is an image",
        ),
        (
            {"import": {"path": "theirs", "learned_labels": True}},
            "import.learned_labels: theirs is",
        ),
        ({"import": {"path": "res.pt", "student_lr": 0}}, "student_lr: input should be greater"),
        (
            {"import": {"path": "res.pt", "matrix": "zca.pt"}},
            "import: matrix is for whitened tensors; set whitened: true, or leave it out",
        ),
        (
            {"import": {"path": "res.pt", "whitened": True, "matrix": "zca.pt"}},
            "methods.theirs.import.matrix: zca.pt is not a file.",
        ),
        (
            {"import": "zca/images_best.pt"},
            "images_best.pt is whitened (ZCA) by its name. Set whit",
        ),
        (
            {"import": {"path": "images_zca_5.pt", "whitened": True}},
            "import.whitened: images_zca_5.pt has the images that MTT has brought back from white"
            "ned space. Name images_5.pt.",
        ),
    ],
)
def test_what_is_said_of_learned_images_must_fit(
    learned: Config, tmp_path: Path, change: Config, message: str
) -> None:
    (tmp_path / "zca").mkdir()
    for name in ("zca/images_best.pt", "zca/labels_best.pt", "images_zca_5.pt", "labels_5.pt"):
        torch.save(torch.zeros(1), tmp_path / name)
    learned["methods"][1].update(change)
    assert message in plan_refusal(learned)


@pytest.mark.parametrize(
    ("name", "stated"),
    [
        ("CIFAR10_zca.pt", {"whitened": True}),
        ("CIFAR10_zca.pt", {"range": "normalised"}),
        ("CIFAR10_NO_ZCA.pt", {}),
        ("images_zca_5.pt", {}),
    ],
)
def test_a_name_that_says_whitened_is_read_as_it_is_stated(
    learned: Config, tmp_path: Path, name: str, stated: Config
) -> None:
    for file in (name, "labels_5.pt"):
        torch.save({"data": []}, tmp_path / file)
    learned["methods"][1]["import"] = {"path": name, **stated}
    assert imported(learned).params["whitened"] == ("whitened" in stated)


def test_a_dataset_of_large_images_is_not_whitened(learned: Config) -> None:
    learned["methods"][1]["import"]["whitened"] = True
    learned["dataset"]["resolution"] = 96
    assert "dataset.resolution: 96, but whitening (ZCA) has a matrix" in plan_refusal(learned)


def test_randaugment_is_not_for_whitened_images(learned: Config) -> None:
    learned["methods"][1]["import"]["whitened"] = True
    learned["protocol"]["dc"] = {"randaugment": {"operations": 1}}
    assert "protocol.dc.randaugment: its operations are for pixels" in plan_refusal(learned)


@pytest.mark.workflow
def test_whitened_tensors_reach_the_table(again: Checkout, tiny: Config) -> None:
    """With the learning rate that belongs to them, by students with soft labels and without."""
    images = 0.3 * torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    saved(again.folder / "res.pt", images, torch.arange(3))
    matrix = {"mean_vector": torch.full((768,), 0.5), "transform_matrix": 2 * torch.eye(768)}
    torch.save(matrix, again.folder / "zca.pt")
    given = {"path": "res.pt", "whitened": True, "matrix": "zca.pt", "student_lr": 0.02}
    tiny["methods"].append({"name": "theirs", "import": given})
    tiny["protocols"] = ["scdd-paper", "dc"]
    tiny["protocol"]["dc"] = {"epochs": 3}
    again.configure(tiny)
    jobs = again.jobs()
    counts = [jobs[rule] for rule in ("whiten", "import_images", "imageset", "relabel")]
    assert counts == [1, 1, 2, 1]
    assert jobs["validate"] == 3  # the import's, and SC-DD's by dc
    (history,) = again.folder.glob("results/validate/*imported*convnet3*/history.csv")
    rates = [line.split(",")[1] for line in history.read_text().splitlines()[1:]]
    assert [float(rate) for rate in rates] == pytest.approx([0.02, 0.02, 0.02])
    (table,) = again.folder.glob("results/tables/tiny/main.md")
    assert "theirs" in table.read_text()
    (whitened,) = again.folder.glob("results/whiten/*/val.safetensors")
    assert load_file(whitened)["images"].abs().max() == 1  # (0 - 0.5) * 2 is black
