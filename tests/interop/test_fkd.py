"""SRe2L's label files, written here by plain torch and Pillow as their program writes them, become
a store that replays the same views; and a store becomes such files."""

import re
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import toy
import yaml
from conftest import TINY, Checkout
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, RandomSampler
from torchvision.datasets import ImageFolder
from torchvision.transforms import RandomResizedCrop
from torchvision.transforms import functional as tv

import scdd
from scdd import cli
from scdd.artifacts.dataset import save_info
from scdd.artifacts.files import sha256_of
from scdd.artifacts.images import make_set, open_set
from scdd.artifacts.labels import Origin, open_store
from scdd.artifacts.labels import save_shard as save_labels
from scdd.artifacts.shards import save_shard
from scdd.errors import ScddError
from scdd.interop import import_labels
from scdd.interop.fkd import to_draws
from scdd.interop.fkd_files import epoch_count, epoch_files
from scdd.labels.labelling import Labelling
from scdd.labels.order import sampler_orders
from scdd.params.views import Transform, View
from scdd.plan.imports import check_labels
from scdd.plan.load import plan_of
from scdd.views.mixing import Draws, draw_epoch

IPC, SIZE, BATCH, EPOCHS = 3, 32, 4, 3
COUNT = 3 * IPC


class Recorded(ImageFolder):
    """View in [0, 1] by Pillow, flip, coordinates of the crop, index of the image."""

    def __getitem__(self, index: int) -> tuple[Tensor, bool, Tensor, int]:
        image = self.loader(self.samples[index][0])
        i, j, h, w = RandomResizedCrop.get_params(image, [0.08, 1.0], [3 / 4, 4 / 3])
        coords = torch.FloatTensor((i / SIZE, j / SIZE, h / SIZE, w / SIZE))
        flip = bool(torch.rand(1) < 0.5)
        image = tv.resized_crop(image, i, j, h, w, [SIZE, SIZE])
        return tv.to_tensor(tv.hflip(image) if flip else image), flip, coords, index


def mix_batch(images: Tensor, mix: str | None) -> tuple[Tensor, Any, Any, Any]:
    """Mixed images, index, lambda and box."""
    if mix is None:
        return images, None, None, None
    index, lam = torch.randperm(len(images)), np.random.beta(0.8, 0.8)
    if mix == "mixup":
        return lam * images + (1 - lam) * images[index], index, lam, None
    side = int(SIZE * np.sqrt(1 - lam))
    x, y = np.random.randint(SIZE), np.random.randint(SIZE)
    box = [np.clip(c + d, 0, SIZE) for d in (-(side // 2), side // 2) for c in (x, y)]
    images = images.clone()
    images[:, :, box[0] : box[2], box[1] : box[3]] = images[index][
        :, :, box[0] : box[2], box[1] : box[3]
    ]
    return images, index, lam, box


def head(views: Tensor) -> Tensor:
    return torch.stack([views.mean((1, 2, 3)), views[:, 0, 0, 0], views[:, 1, 3, 5]], 1).half()


def write_files(folder: Path, images: Path, mix: str | None) -> Tensor:
    """The FKD folder of an image folder; returns all views [epochs, n, 3, R, R] in [0, 1]."""
    torch.manual_seed(0)
    np.random.seed(0)
    data = Recorded(str(images))
    seen = torch.empty(EPOCHS, len(data), 3, SIZE, SIZE)
    sampler = RandomSampler(data, generator=torch.Generator().manual_seed(42))
    loader = DataLoader(data, batch_size=BATCH, sampler=sampler)
    for epoch in range(EPOCHS):
        (folder / f"epoch_{epoch}").mkdir(parents=True)
        for number, (batch, flip, coords, index) in enumerate(loader):
            views, *mixed = mix_batch(batch, mix)
            seen[epoch, index] = views
            content = [coords, flip, *mixed, head(views)]
            torch.save(content, folder / f"epoch_{epoch}" / f"batch_{number}.tar")
    return seen


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An image folder theirs/ of noise, and the image set and the dataset.json of the same."""
    draw = torch.Generator().manual_seed(0)
    for label, name in enumerate(toy.CLASSES):
        images = torch.randint(256, (IPC, 3, SIZE, SIZE), generator=draw).byte()
        (tmp_path / "theirs" / name).mkdir(parents=True)
        for slot, image in enumerate(images):
            file = tmp_path / "theirs" / name / f"class{label:03d}_id{slot:03d}.png"
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(file)
        for slots in ((0, 1), (1, 10)):
            record = {"digest": "r1", "env": {}}
            part = images[slice(*slots)]
            save_shard(tmp_path / "made", slots, toy.CLASSES, label, part, record=record)
    make_set(
        tmp_path / "images" / "set.json",
        tmp_path / "made",
        toy.CLASSES,
        ipc=IPC,
        resolution=SIZE,
        method="toy",
        digest="s1",
        sources={"r1"},
        mean=toy.MEAN,
        std=toy.STD,
    )
    save_info(tmp_path / "dataset.json", toy.info(SIZE), {})
    return tmp_path


def hashes(labels: Path, images: int = COUNT, batch: int = BATCH) -> list[str]:
    epochs = range(epoch_count(labels))
    return [sha256_of(labels, epoch_files(labels, e, images, batch)) for e in epochs]


def convert(folder: Path, first: int = 0, stop: int = EPOCHS, **params: Any) -> int:
    """Run the program on fkd/, with one more shard in labels/."""
    params = {"batch": BATCH, "epochs_per_shard": EPOCHS, **params}
    if "sha256" not in params:
        params["sha256"] = hashes(folder / "fkd", batch=params["batch"])
    toy.freeze(folder / "fkd.json", "import_labels", params, images="s1")
    given = {"config": "fkd.json", "data": "dataset.json", "images": "images/set.json"}
    given |= {"source": "fkd", "out": f"labels/epochs_{first:04d}-{stop - 1:04d}.safetensors"}
    call = [f"--{name}={folder / path}" for name, path in given.items()]
    return import_labels.main([*call, f"--epochs={first}:{stop}"])


def replayed(folder: Path) -> tuple[Tensor, Tensor]:
    """All views [epochs, n, 3, R, R] of labels/ before normalisation, and logits."""
    dataset = scdd.load(folder / "images" / "set.json", labels=folder / "labels")
    mean, std = (torch.tensor(values)[:, None, None] for values in (toy.MEAN, toy.STD))
    views, logits = [], []
    for epoch in range(EPOCHS):
        dataset.set_epoch(epoch)
        seen, told = zip(*dataset, strict=True)
        views.append(torch.stack(seen) * std + mean)
        logits.append(torch.stack(told))
    return torch.stack(views), torch.stack(logits)


@pytest.mark.parametrize("mix", [None, "mixup", "cutmix"])
def test_every_imported_view_is_pillows(folder: Path, mix: str | None) -> None:
    seen = write_files(folder / "fkd", folder / "theirs", mix)
    assert convert(folder) == 0
    views, logits = replayed(folder)
    # Pillow rounds to whole numbers of 255 after each axis, by a half at most
    assert (views - seen).abs().max().item() <= 1 / 255 + 1e-6
    assert torch.equal(logits, torch.stack([head(epoch) for epoch in seen]))


def test_a_shard_depends_on_its_epochs_alone(folder: Path) -> None:
    write_files(folder / "fkd", folder / "theirs", "cutmix")
    assert convert(folder) == 0
    whole = replayed(folder)
    shutil.rmtree(folder / "labels")
    assert convert(folder, 0, 1) == convert(folder, 1, 3) == 0
    parts = replayed(folder)
    assert torch.equal(whole[0], parts[0])
    assert torch.equal(whole[1], parts[1])


def test_mixed_labels_want_the_batches_that_they_were_made_in(folder: Path) -> None:
    write_files(folder / "fkd", folder / "theirs", "mixup")
    assert convert(folder) == 0
    content = open_set(folder / "images" / "set.json").content
    given: dict[str, Any] = {"epochs": 3, "images": content, "classes": toy.CLASSES}
    with pytest.raises(ScddError, match="depend on batches of 4 images, but the student's have 8"):
        open_store(folder / "labels", batch=8, **given)
    with pytest.raises(ScddError, match="images of 32 pixels a side, but these have 64"):
        open_store(folder / "labels", batch=BATCH, resolution=64, **given)
    dataset = scdd.load(folder / "images" / "set.json", labels=folder / "labels")
    sampler = RandomSampler(range(COUNT), generator=torch.Generator().manual_seed(42))
    for epoch in range(EPOCHS):
        dataset.set_epoch(epoch)
        assert dataset.order.tolist() == list(sampler)


def test_labels_without_mixing_want_none(folder: Path) -> None:
    write_files(folder / "fkd", folder / "theirs", None)
    assert convert(folder) == 0
    assert scdd.load(folder / "images" / "set.json", labels=folder / "labels").order is None


# ---- what is refused ---------------------------------------------------------------------------


def change(folder: Path, work: Callable[[list[Any]], None], number: int = 0) -> None:
    path = folder / "fkd" / "epoch_1" / f"batch_{number}.tar"
    content = torch.load(path, weights_only=False)
    work(content)
    torch.save(content, path)


def put(place: int, value: Any) -> Callable[[list[Any]], None]:
    def work(content: list[Any]) -> None:
        content[place] = value

    return work


def of_smaller(content: list[Any]) -> None:
    """A box that CutMix draws for this lambda, in images of 16 pixels, which is half as large."""
    content[3:5] = [0.5, [2, 2, 12, 12]]


def cut(content: list[Any]) -> None:
    content[:] = [part[:3] if isinstance(part, Tensor) else part for part in content]


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (cut, "batch_0.tar has 3 images, but must have 4: 9 images in batches of 4"),
        (put(0, torch.rand(4, 4)), "crops are not whole pixels of images of 32 pixels a side"),
        (put(0, torch.tensor([[0, 0, 0, 0.5]]).repeat(4, 1)), "crops that are empty, or outside"),
        (put(0, torch.tensor([[0, 1, 0.5, 0.5]]).repeat(4, 1)), "crops that are empty, or outside"),
        (put(0, torch.tensor([[-1, 0, 1, 1.0]]).repeat(4, 1)), "crops that are empty, or outside"),
        (put(2, torch.tensor([0, 0, 1, 2])), "mix_index is not a permutation of its 4 images"),
        (put(2, None), "is mixed in several ways: cutmix in"),
        (put(3, None), "mix_lam is not a number"),
        (put(3, 1.5), "mix_lam is not a number from 0 to 1"),
        (put(3, float("nan")), "mix_lam is not a number from 0 to 1"),
        (of_smaller, "a side of 10 pixels, but mix_lam 0.5 makes 22 in images of 32 pixels"),
        (put(3, 0.99), "pixels, but mix_lam 0.99 makes 2 in images of 32 pixels"),
        (put(4, [0, 0, 33, 4]), "mix_bbox is not a box in images of 32 pixels a side"),
        (put(4, [0, 0]), "mix_bbox is not a list of 4 numbers"),
        (put(4, [0, None, 4, 4]), "mix_bbox is not a list of 4 numbers"),
        (put(4, [0, float("nan"), 4, 4]), "mix_bbox is not a list of 4 numbers"),
        (put(5, torch.zeros(4, 10)), "has logits of 10 classes, but the images have 3"),
        (put(5, torch.full((4, 3), 1e6)), "has logits that are not finite in float16"),
        (put(1, None), "flip is not a tensor of 1 dimensions"),
        (put(1, torch.ones(3)), "its tensors are for [3, 4] images"),
        (list.pop, "is not an FKD file: it does not hold a list of coords, flip"),
    ],
)
def test_files_that_do_not_fit_are_refused_by_name(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    work: Callable[[list[Any]], None],
    message: str,
) -> None:
    write_files(folder / "fkd", folder / "theirs", "cutmix")
    change(folder, work)
    assert convert(folder) == 1
    error = capsys.readouterr().err
    assert message in error
    assert "epoch_1" in error or "several ways" in error
    assert not (folder / "labels").exists()


def epoch_of(size: int, crops: Tensor, lam: float | None = None, box: Any = None) -> Any:
    """`to_draws` of one file, with these crops in pixels of images half of `size` a side."""
    n = len(crops)
    parts = {"coords": crops / (size // 2), "flip": torch.zeros(n).bool(), "mix_lam": lam}
    mixed = {"mix_index": None if box is None else torch.arange(n), "mix_bbox": box}
    parts |= {**mixed, "logits": torch.zeros(n, 3)}
    return to_draws([(Path("epoch_0/batch_0.tar"), parts)], torch.arange(n), size)


def test_labels_for_images_of_half_the_size_are_refused() -> None:
    crops = torch.tensor([[0, 1, 7, 9], [3, 4, 12, 10]])
    with pytest.raises(ScddError, match="all multiples of 2 pixels, so these labels are for im"):
        epoch_of(32, crops)
    assert epoch_of(32, crops + 0.5)[0].crop.tolist() == (2 * crops + 1).tolist()


def test_whole_images_tell_no_size() -> None:
    whole = torch.tensor([[0, 0, 16, 16]]).repeat(2, 1)
    assert epoch_of(32, whole)[0].crop.tolist() == [[0, 0, 32, 32]] * 2


@pytest.mark.parametrize(
    ("lam", "box", "fits"),
    [
        (0.5, [2, 2, 24, 24], True),  # 32 sqrt(0.5) = 22.6: two halves of 11
        (0.5, [0, 10, 9, 32], True),  # both sides cut at an edge, of 22 at most
        (0.5, [0, 2, 22, 24], True),
        (1 - 9 * 20 / 32**2, [0, 5, 9, 25], True),  # an export of ours has the share of the box
        (0.5, [0, 2, 9, 23], False),  # 21 pixels, with no edge that could have cut it
        (0.5, [0, 2, 23, 24], False),
        (1.0, [5, 5, 5, 5], True),
        (0.0, [0, 0, 32, 32], True),
    ],
)
def test_a_box_is_one_that_cutmix_draws_for_its_share(lam: float, box: Any, fits: bool) -> None:
    whole = torch.tensor([[0, 0, 16, 16]])
    if fits:
        x1, y1, x2, y2 = box
        assert epoch_of(32, whole, lam, box)[0].box.tolist() == [[x1, y1, x2 - x1, y2 - y1]]
    else:
        with pytest.raises(ScddError, match="these labels are for another size"):
            epoch_of(32, whole, lam, box)


def test_files_that_changed_after_the_plan_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    write_files(folder / "fkd", folder / "theirs", None)
    before = hashes(folder / "fkd")
    change(folder, put(5, torch.zeros(4, 3)))
    assert convert(folder, sha256=before) == 1
    told = "epoch_1 has changed since this run was planned. Run snakemake again."
    assert told in capsys.readouterr().err
    check_labels("labels", folder / "fkd", COUNT, batch=BATCH, epochs=EPOCHS)  # as a plan does
    assert convert(folder, sha256=before) == 1
    (kept,) = re.findall("planned. Delete (.+), its stored hash", capsys.readouterr().err)
    assert Path(kept).read_text().strip() == hashes(folder / "fkd")[1]


# ---- export ------------------------------------------------------------------------------------


def export(folder: Path, batch: int = BATCH) -> int:
    given = {"--images": folder / "images" / "set.json", "--out": folder / "fkd_again"}
    options = [text for name, path in given.items() for text in (name, str(path))]
    return cli.main(["export-labels", str(folder / "labels"), *options, "--batch", str(batch)])


@pytest.mark.parametrize("mix", [None, "mixup", "cutmix"])
def test_import_and_export_give_the_same_files(folder: Path, mix: str | None) -> None:
    write_files(folder / "fkd", folder / "theirs", mix)
    assert convert(folder) == 0
    assert export(folder) == 0
    names = sorted(path.relative_to(folder / "fkd") for path in folder.glob("fkd/*/*"))
    again = folder / "fkd_again"
    assert sorted(path.relative_to(again) for path in again.rglob("*.tar")) == names
    assert sorted(entry.name for entry in again.iterdir()) == ["epoch_0", "epoch_1", "epoch_2"]
    for name in names:
        first = torch.load(folder / "fkd" / name, weights_only=False)
        second = torch.load(again / name, weights_only=True)
        assert second[4] == first[4]
        if mix == "mixup":
            assert second[3] == pytest.approx(first[3], rel=1e-6)
        if mix == "cutmix":  # as drawn it is that of a box before the image's edges cut it
            x1, y1, x2, y2 = first[4]
            assert second[3] == pytest.approx(1 - (x2 - x1) * (y2 - y1) / SIZE**2)
        for place in (0, 1, 2, 5):
            assert (first[place] is None) == (second[place] is None)
            if first[place] is not None:
                assert torch.equal(second[place], first[place])
                assert second[place].dtype == first[place].dtype


def write_store(
    folder: Path, mix: str, draw: Callable[[int], Draws], seed: int = 0, **tied: Any
) -> None:
    """A store of our own of three epochs."""
    made: dict[str, list[Tensor]] = {}
    for epoch in range(EPOCHS):
        logits = torch.randn(COUNT, 3, generator=torch.Generator().manual_seed(epoch)).half()
        for name, tensor in {**draw(epoch).stored(), "logits": logits}.items():
            made.setdefault(name, []).append(tensor)
    content = open_set(folder / "images" / "set.json").content
    transform = {"view": {}, "mix": mix, "alpha": 1.0, **tied}
    origin = Origin("ours", content, toy.CLASSES, "t1", transform, "float16", seed)
    stacked = {name: torch.stack(parts) for name, parts in made.items()}
    save_labels(folder / "labels" / "epochs_0000-0002.safetensors", stacked, origin, (0, 3), {})


@pytest.mark.parametrize("crop", ["padded", "resized"])
def test_export_and_import_give_the_same_views(folder: Path, crop: str) -> None:
    transform = Transform(View(crop, 4, (0.08, 1.0), True), "none", 1.0)
    write_store(folder, "none", lambda epoch: draw_epoch(transform, COUNT, SIZE, 0, epoch))
    before = replayed(folder)
    assert export(folder) == 0
    shutil.rmtree(folder / "labels")
    (folder / "fkd_again").rename(folder / "fkd")
    assert convert(folder) == 0
    after = replayed(folder)
    assert torch.equal(after[0], before[0])
    assert torch.equal(after[1], before[1])


@pytest.mark.parametrize("mix", ["mixup", "cutmix"])
def test_labels_mixed_by_batch_are_exported_too(folder: Path, mix: str) -> None:
    transform = Transform(View("resized", 4, (0.08, 1.0), True), mix, 1.0)
    labelling = Labelling(transform, 42, "batch", 3)
    draw = partial(labelling.draw, COUNT, SIZE)
    write_store(folder, mix, draw, 42, mix_by="batch", teacher_bn="eval", batch=3)
    before = replayed(folder)
    assert export(folder, batch=3) == 0
    shutil.rmtree(folder / "labels")
    (folder / "fkd_again").rename(folder / "fkd")
    assert convert(folder, batch=3) == 0
    assert torch.equal(replayed(folder)[0], before[0])


def test_labels_mixed_over_the_whole_set_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    transform = Transform(View("resized", 0, (0.08, 1.0), True), "mixup", 1.0)
    write_store(folder, "mixup", lambda epoch: draw_epoch(transform, COUNT, SIZE, 0, epoch))
    assert export(folder) == 1
    assert "were not mixed within batches of 4 images" in capsys.readouterr().err
    assert not (folder / "fkd_again").exists()


def test_another_batch_than_they_were_mixed_in_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_files(folder / "fkd", folder / "theirs", "cutmix")
    assert convert(folder) == 0
    assert export(folder, batch=3) == 1
    assert "depend on batches of 4 images in the order of seed 42" in capsys.readouterr().err


@pytest.mark.parametrize(("batch", "seed"), [(9, 42), (3, 0)])
def test_labels_that_depend_on_batches_are_exported_in_these_alone(
    folder: Path, capsys: pytest.CaptureFixture[str], batch: int, seed: int
) -> None:
    """Also where nothing is mixed: the teacher had the batches' BN statistics."""
    view = Transform(View("resized", 0, (0.08, 1.0), True), "none", 1.0)
    draw = partial(Labelling(view, seed, "set", 3, batch_bn=True).draw, COUNT, SIZE)
    write_store(folder, "none", draw, seed, mix_by="set", teacher_bn="batch", batch=3)
    assert export(folder, batch=batch) == 1
    told = (
        f"depend on batches of 3 images in the order of seed {seed}, but the files are of {batch}"
    )
    assert told in capsys.readouterr().err
    assert not (folder / "fkd_again").exists()


@pytest.mark.parametrize("mix", ["none", "mixup"])
def test_a_last_image_that_joined_the_batch_before_has_no_file(
    folder: Path, capsys: pytest.CaptureFixture[str], mix: str
) -> None:
    view = Transform(View("resized", 0, (0.08, 1.0), True), mix, 1.0)
    draw = partial(Labelling(view, 42, "batch", 4, batch_bn=True).draw, COUNT, SIZE)
    write_store(folder, mix, draw, 42, mix_by="batch", teacher_bn="batch", batch=4)
    assert export(folder) == 1
    told = "the last of its 9 images joined the batch before, which then has 5"
    assert told in capsys.readouterr().err


def test_a_batch_of_none_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export(folder, batch=0) == 1
    assert "--batch 0: a batch must have at least 1 image" in capsys.readouterr().err


def test_the_order_is_that_of_a_dataloader_over_the_whole_run() -> None:
    sampler = RandomSampler(range(11), generator=torch.Generator().manual_seed(42))
    loader = DataLoader(list(range(11)), batch_size=4, sampler=sampler, num_workers=0)
    for _, order in zip(range(4), sampler_orders(11, 42), strict=False):
        assert torch.equal(torch.cat(list(loader)), order)


# ---- the plan ----------------------------------------------------------------------------------


@pytest.fixture
def config(tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The small experiment, and three images of others with their labels for two epochs."""
    monkeypatch.chdir(tmp_path)
    write_tiny(tmp_path)
    tiny["methods"].append({"name": "theirs", "import": "theirs", "labels": "fkd"})
    tiny["protocol"]["scdd-paper"].update({"batch": 2, "epochs": 2})
    return tiny


def write_tiny(folder: Path) -> None:
    """One image of 16 pixels for each of the digits 0, 1 and 2; labels in batches of 2."""
    draw = torch.Generator().manual_seed(0)
    for name in "012":
        (folder / "theirs" / name).mkdir(parents=True)
        image = torch.randint(256, (16, 16, 3), generator=draw).byte()
        Image.fromarray(image.numpy()).save(folder / "theirs" / name / "0.png")
    for epoch in range(2):
        (folder / "fkd" / f"epoch_{epoch}").mkdir(parents=True)
        for number, n in enumerate((2, 1)):
            coords = torch.tensor([[0, 1 / 16, 0.5, 15 / 16]]).repeat(n, 1)
            content = [coords, torch.zeros(n).bool(), torch.arange(n), 0.3, None, torch.zeros(n, 3)]
            torch.save(content, folder / "fkd" / f"epoch_{epoch}" / f"batch_{number}.tar")


def refusal(config: dict[str, Any]) -> str:
    with pytest.raises(ScddError) as caught:
        plan_of(config)
    return str(caught.value)


def test_what_others_made_has_no_cost_here(config: dict[str, Any]) -> None:
    (table,) = plan_of(config).of("tables")
    stages = {one["method"]: list(one["stages"]) for one in table.params["costs"]}
    assert stages["theirs"] == ["data", "imageset", "validate"]
    (stored,) = (c["stored"] for c in table.params["cells"] if c["method"] == "theirs")
    assert stored["form"] == "as imported"


def test_labels_of_others_take_the_place_of_a_teachers(config: dict[str, Any]) -> None:
    plan = plan_of(config)
    (node,) = plan.of("import_labels")
    assert len(plan.of("relabel")) == 1  # of the other method
    assert plan.imports[node.key] == "fkd"
    (student,) = (n for n in plan.of("validate") if n.parents == {"labels": node.key})
    shards = plan.label_shards(node, student.params["epochs"])
    assert [shard.name for shard in shards] == ["epochs_0000-0001.safetensors"]
    assert plan.targets(node) == shards
    assert plan.store_bytes(node) == 2 * 3 * (25 + 2 * 3)
    cells = plan.of("tables")[0].params["cells"]
    assert [cell["teacher"] for cell in cells] == ["scdd", "imported"]


def test_a_ranking_leaves_out_labels_whose_teacher_is_not_there(config: dict[str, Any]) -> None:
    config["ranking"] = "scdd-paper"
    (tables,) = plan_of(config).of("tables")
    assert {cell["of"]["method"] for cell in tables.params["ranking"]} == {"scdd"}
    told = "theirs: not ranked, since the teacher of its labels is not there."
    assert told in tables.params["notes"]


def test_continual_learning_leaves_out_labels_that_mix_all_classes(config: dict[str, Any]) -> None:
    config["continual"] = {"steps": [2], "orders": 1}
    config["methods"][0] = {"name": "scdd", "ipc": [2]}
    (tables,) = plan_of(config).of("tables")
    assert {cell["method"] for cell in tables.params["continual"]} == {"scdd"}
    told = "theirs: not in continual learning by protocol scdd-paper, since its soft labels are of"
    assert any(note.startswith(told) for note in tables.params["notes"])


def test_the_notes_tell_that_the_files_have_the_views(config: dict[str, Any]) -> None:
    told = "theirs: views, mixing and their form are the files', not the protocol's."
    assert told in plan_of(config).of("tables")[0].params["notes"]


def test_epochs_that_nobody_uses_are_no_part_of_the_identity(config: dict[str, Any]) -> None:
    """Two protocols share the store of the longer one's epochs; the others are not even read."""
    config["protocol"]["short"] = {"like": "scdd-paper", "epochs": 1}
    config["protocols"] = ["scdd-paper", "short"]
    before = plan_of(config).of("import_labels")
    assert len(before) == 1
    for epoch in (2, 3):
        shutil.copytree("fkd/epoch_1", f"fkd/epoch_{epoch}")
    (node,) = plan_of(config).of("import_labels")
    assert node == before[0]
    assert len(node.params["sha256"]) == 2
    config["protocol"]["scdd-paper"]["label_epochs"] = 1
    assert len(plan_of(config).of("import_labels")[0].params["sha256"]) == 1


def test_shards_have_one_size_but_for_the_last(config: dict[str, Any]) -> None:
    """29 is a prime, which no shard of several epochs divides."""
    for epoch in range(2, 29):
        shutil.copytree("fkd/epoch_1", f"fkd/epoch_{epoch}")
    config["protocol"]["scdd-paper"]["epochs"] = 29
    plan = plan_of(config)
    (node,) = plan.of("import_labels")
    names = [shard.name for shard in plan.label_shards(node, 29)]
    assert names == ["epochs_0000-0024.safetensors", "epochs_0025-0028.safetensors"]
    assert plan.label_shards(node, 10) == plan.label_shards(node, 25)
    assert plan.store_epochs(node) == 29


def test_much_to_hash_is_told_once(
    config: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("scdd.plan.imports.MUCH", 1)
    plan_of(config)
    assert "fkd: hashing 0 GiB, once" in capsys.readouterr().err
    plan_of(config)
    assert capsys.readouterr().err == ""


def test_fewer_label_epochs_are_used_over_and_over(config: dict[str, Any]) -> None:
    config["protocol"]["scdd-paper"].update({"epochs": 5, "label_epochs": 2})
    plan = plan_of(config)
    (labels,) = plan.of("import_labels")
    (student,) = (n for n in plan.of("validate") if n.parents == {"labels": labels.key})
    assert (student.params["epochs"], student.params["label_epochs"]) == (5, 2)


@pytest.mark.parametrize(
    ("method", "protocol", "message"),
    [
        ({}, {"batch": 1}, "epoch_0/batch_2.tar is missing: 3 images in batches of 1 are 3 files"),
        ({}, {"batch": 3}, "epoch_0 has 2 files, but 3 images in batches of 3 are 1"),
        ({}, {"epochs": 3}, "fkd has 2 epochs, but the protocol trains for 3"),
        ({"labels": "gone"}, {}, "methods.theirs.labels: there is no folder gone"),
        ({"labels": "theirs"}, {}, "has no epoch_0: it is not an FKD folder"),
        ({"teacher": "scdd"}, {}, "methods.theirs.teacher: this method has no use for it"),
        ({"ipc": [1, 2]}, {}, "methods.theirs.labels: they are of all images"),
        ({"name": "random", "import": None}, {}, "methods.random.labels: they belong to images"),
    ],
)
def test_labels_that_do_not_fit_are_refused_before_the_first_job(
    config: dict[str, Any], method: dict[str, Any], protocol: dict[str, Any], message: str
) -> None:
    config["methods"][1].update(method)
    config["protocol"]["scdd-paper"].update(protocol)
    assert message in refusal(config)


def test_a_missing_file_and_epoch_are_named(config: dict[str, Any]) -> None:
    Path("fkd/epoch_1/batch_1.tar").unlink()
    assert "fkd/epoch_1/batch_1.tar is missing" in refusal(config)
    shutil.rmtree("fkd/epoch_0")
    assert "fkd/epoch_0 is missing" in refusal(config)


def test_more_images_than_ipc_are_refused_with_labels(config: dict[str, Any]) -> None:
    shutil.copy("theirs/1/0.png", "theirs/1/1.png")
    assert "1 has 2 images, but ipc is 1: labels are of all images" in refusal(config)


def test_classes_in_another_order_than_the_folders_are_refused(config: dict[str, Any]) -> None:
    config["dataset"]["classes"] = ["1", "0", "2"]
    assert "sort in another order than the dataset's classes" in refusal(config)


def test_another_label_file_is_another_identity(config: dict[str, Any]) -> None:
    before = plan_of(config).of("import_labels")[0].digest
    path = Path("fkd/epoch_1/batch_0.tar")
    content = torch.load(path)
    torch.save([*content[:5], torch.ones(2, 3)], path)
    assert plan_of(config).of("import_labels")[0].digest != before


@pytest.mark.workflow
def test_images_and_labels_of_others_reach_the_table(again: Checkout) -> None:
    write_tiny(again.folder)
    config = yaml.safe_load(yaml.safe_dump(TINY))
    config["methods"].append({"name": "theirs", "import": "theirs", "labels": "fkd"})
    config["protocol"]["scdd-paper"]["batch"] = 2
    again.configure(config)
    jobs = again.jobs()
    assert jobs["import_images"] == jobs["import_labels"] == 1
    assert jobs["relabel"] == 0
    (table,) = again.folder.glob("results/tables/tiny/main.md")
    assert "theirs" in table.read_text()
