"""Which real images an observer puts first, the images that are put together of them, and the
programs from the probe to the shards."""

import math
from pathlib import Path

import numpy as np
import pretended
import pytest
import torch
from PIL import Image
from pretended import GPU
from torch import Tensor, nn
from toy import CLASSES, TEACHER, command, freeze, image_set, info, write

from scdd.artifacts import tensors
from scdd.artifacts.dataset import save_info, save_split
from scdd.artifacts.images import load_set, make_set
from scdd.artifacts.patches import Ranking, load_rankings, rankings_of, save_rankings
from scdd.artifacts.slots import shard_path
from scdd.data.source import Split, open_dataset
from scdd.errors import ScddError
from scdd.networks.resnet import build
from scdd.params.patches import Patches
from scdd.patches import __main__ as program
from scdd.patches import ranking
from scdd.patches.crops import cut, fitted
from scdd.patches.images import patch_images, ranked_images
from scdd.patches.mosaic import cells_by_ipc, cells_by_slot, mosaic
from scdd.rng import generator
from scdd.select import __main__ as choosing
from scdd.views.geometry import draw_chances
from scdd.views.pixels import in_bytes, kept, normalise, unit

CPU = torch.device("cpu")
SIZE = 8


def observer() -> nn.Module:
    return build(TEACHER, len(CLASSES), generator(1)).eval()


def pictures(*sizes: tuple[int, int]) -> list[Tensor]:
    """Noise uint8 [3, H, W] of each height and width."""
    draw = generator("pictures")
    return [torch.randint(0, 256, (3, *size), generator=draw).byte() for size in sizes]


# ---- crops -------------------------------------------------------------------------------------


def test_crops_of_images_of_different_sizes_are_those_of_each_alone() -> None:
    images = pictures((9, 14), (20, 7), (9, 14))
    chances = draw_chances(12, (0.1, 1.0), generator(0), (1.0, 1.0)).view(3, 4, -1)
    boxes = fitted(images, chances)
    together = cut(images, boxes, 5, CPU)
    for place, image in enumerate(images):
        top, left, height, width = boxes[place].unbind(1)
        assert height.equal(width)
        assert bool((top + height <= image.shape[1]).all() & (left + width <= image.shape[2]).all())
        alone = cut([image], boxes[place : place + 1], 5, CPU)[0]
        torch.testing.assert_close(together[place], alone, rtol=0, atol=1e-6)


def test_a_crop_that_is_made_smaller_is_torchvisions() -> None:
    """With antialiasing, from the image's own pixels."""
    from torchvision.transforms.v2.functional import resized_crop

    (image,) = pictures((30, 40))
    boxes = torch.tensor([[[3, 8, 21, 21], [0, 0, 30, 30]]])
    for found, box in zip(cut([image], boxes, 6, CPU)[0], boxes[0].tolist(), strict=True):
        expected = resized_crop(unit(image), *box, [6, 6], antialias=True)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


# ---- mosaics -----------------------------------------------------------------------------------


def test_the_cells_of_an_ipc_take_the_easiest_crops_first() -> None:
    """Cell q of image k has the crop of rank q IPC + k."""
    assert cells_by_ipc(3, 2).tolist() == [[0, 3, 6, 9], [1, 4, 7, 10], [2, 5, 8, 11]]
    assert cells_by_ipc(3, 1).equal(cells_by_slot(3, 1))


def test_the_cells_of_slots_are_those_of_fewer_slots_and_more() -> None:
    assert cells_by_slot(2, 2).tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert cells_by_slot(9, 3)[:2].equal(cells_by_slot(2, 3))


@pytest.mark.parametrize(("factor", "size"), [(1, 7), (2, 8), (2, 7), (3, 8), (3, 10)])
def test_a_mosaic_has_its_crops_row_by_row(factor: int, size: int) -> None:
    """Larger cells come first; their pixels are those of the crop at the place rounded down."""
    side, larger = divmod(size, factor)
    crops = torch.rand(2, factor**2, 3, side, side, generator=generator(size))
    found = mosaic(crops, size)
    assert found.shape == (2, 3, size, size)
    lengths = [side + 1] * larger + [side] * (factor - larger)
    origin = [(cell, place * side // n) for cell, n in enumerate(lengths) for place in range(n)]
    for y, (row, top) in enumerate(origin):
        for x, (column, left) in enumerate(origin):
            assert found[:, :, y, x].equal(crops[:, row * factor + column, :, top, left])


# ---- rankings ----------------------------------------------------------------------------------


def test_a_crop_is_seen_small_in_the_middle_of_zeros() -> None:
    """With an odd rest below and to the right."""
    crops = torch.rand(2, 3, 5, 5, generator=generator(0)) + 1
    found = ranking.padded(crops, 8)
    assert found[:, :, 1:6, 1:6].equal(crops)
    assert int((found == 0).sum()) == 2 * 3 * (64 - 25)


def test_of_equal_scores_the_first_crop_and_the_first_image_are_taken() -> None:
    scores = torch.tensor([[2.0, 1.0, 1.0], [0.0, 3.0, 0.0], [1.0, 5.0, 5.0]])
    boxes = torch.arange(9).view(3, 3, 1).expand(-1, -1, 4)
    found = ranking.easiest_first(scores, boxes, torch.tensor([10, 11, 12]))
    assert found.images.tolist() == [11, 10, 12]
    assert found.scores.tolist() == [0.0, 1.0, 1.0]
    assert found.boxes is not None
    assert found.boxes[:, 0].tolist() == [3, 1, 6]


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_a_class_is_ranked_by_the_observers_cross_entropy_of_its_easiest_crops(factor: int) -> None:
    split, network, label = image_set(60, SIZE), observer(), 1
    params = Patches(factor=factor, pool=12, crops=4)
    found = ranking.easiest(network, split, info(SIZE), params, label, CPU)
    assert found.boxes is not None
    assert len(found.images.unique()) == len(found) == 12
    assert set(split.labels[found.images].tolist()) == {label}
    assert found.scores.equal(found.scores.sort().values)
    side = SIZE // factor
    crops = ranked_images(split, info(side), found, torch.arange(12)[:, None])
    seen = torch.zeros(12, 3, SIZE, SIZE)
    start = (SIZE - side) // 2
    seen[:, :, start : start + side, start : start + side] = normalise(crops, info(side))
    with torch.no_grad():
        expected = nn.functional.cross_entropy(
            network(seen), torch.full((12,), label), reduction="none"
        )
    torch.testing.assert_close(found.scores, expected, rtol=1e-4, atol=1e-6)


def test_a_ranking_depends_on_the_seed_and_the_class_alone() -> None:
    split, network = image_set(60, SIZE), observer()

    def images(seed: int, pixels: Split = split) -> list[int]:
        params = Patches(pool=8, crops=2, seed=seed)
        return ranking.easiest(network, pixels, info(SIZE), params, 0, CPU).images.tolist()

    assert images(0) == images(0)
    assert images(0) != images(1)


def delt(n: int, ipc: int) -> list[int]:
    """The places that DELT's program takes of n sorted images."""
    taken, sign = [], -1
    for place in range(ipc):
        taken.append(math.ceil(n / 2) + int(sign * (place + 1) / 2))
        sign = -sign
    return taken


@pytest.mark.parametrize("n", [9, 10, 500])
def test_from_the_middle_images_are_taken_as_by_delts_program(n: int) -> None:
    order = ranking.from_the_middle(n).tolist()
    assert order[: n // 2] == delt(n, n // 2)
    assert sorted(order) == list(range(n))


def test_a_single_image_is_in_the_middle() -> None:
    assert ranking.from_the_middle(1).tolist() == [0]


def test_around_the_median_are_the_images_of_middling_probability() -> None:
    split, network = image_set(33, SIZE), observer()
    found = ranking.around_median(network, split, info(SIZE), 2, CPU)
    own = (split.labels == 2).nonzero().flatten()
    with torch.no_grad():
        seen = network(normalise(split.images(own), info(SIZE))).softmax(1)[:, 2]
    expected = sorted(zip(seen.tolist(), own.tolist(), strict=True))
    assert found.images.tolist() == [
        expected[place][1] for place in (6, 7, 5, 8, 4, 9, 3, 10, 2, 1, 0)
    ]
    made = ranked_images(split, info(SIZE), found, cells_by_slot(3, 1))
    assert in_bytes(made).equal(split.images(found.images[:3]))


def test_a_resolution_of_sevenths_is_seen_as_delt_sees_it() -> None:
    """14 pixels: resized to 16, of which the centre is cut out."""
    split = image_set(3, 14)
    (found,) = ranking.standard_views(split, torch.tensor([1]), info(14), CPU)
    array = split.images(torch.tensor([1]))[0].permute(1, 2, 0).numpy()
    larger = Image.fromarray(array).resize((16, 16), Image.Resampling.BILINEAR)
    expected = np.asarray(larger.crop((1, 1, 15, 15)))
    assert found[0].permute(1, 2, 0).numpy().tolist() == expected.tolist()


def test_no_crop_waits_for_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many waits for many crops as for few."""
    monkeypatch.setattr(ranking, "BATCH", 4)
    split, counts = image_set(36, SIZE), []
    for crops in (1, 1, 6):  # mean and std are put there once
        with pretended.gpu() as waits:
            network, there = observer().to(GPU), split.to(GPU)
            before = len(waits)
            params = Patches(factor=2, pool=12, crops=crops)
            ranking.easiest(network, there, info(SIZE), params, 0, GPU)
            counts.append(len(waits) - before)
    assert counts[1] == counts[2]


# ---- the file ----------------------------------------------------------------------------------

LABELS = torch.tensor([0, 1, 0, 1, 0])
RANKED = {
    "images": torch.tensor([[4, 0, 2], [3, 1, -1]]),
    "scores": torch.tensor([[0.1, 0.2, 0.3], [0.5, 0.6, 0.0]]),
    "boxes": torch.arange(24).view(2, 3, 4),
}


def read(path: Path, digest: str = "p1") -> list[Ranking]:
    data = Path("dataset.json")
    read = load_rankings(path, digest=digest, labels=LABELS, classes=("x", "y"), classes_of=data)
    assert read.factor == 2
    return read.classes


def test_rankings_come_back_class_by_class(tmp_path: Path) -> None:
    save_rankings(tmp_path / "p", RANKED, 2, ("x", "y"), "p1", {})
    first, second = read(tmp_path / "p")
    assert first.images.tolist() == [4, 0, 2]
    assert second.images.tolist() == [3, 1]
    assert second.scores.tolist() == pytest.approx([0.5, 0.6])
    assert second.boxes is not None
    assert second.boxes.tolist() == [[12, 13, 14, 15], [16, 17, 18, 19]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"digest": "p2"}, "is of artifact p2, but this configuration was made for artifact p1"),
        ({"classes": ("y", "x")}, "class order differs"),
        ({"rankings": {**RANKED, "images": RANKED["images"] + 1}}, "not training images of class"),
        ({"rankings": {k: t[:1] for k, t in RANKED.items()}}, "ranks 1 classes, not 2"),
    ],
)
def test_rankings_of_something_else_are_refused(
    change: dict[str, object], message: str, tmp_path: Path
) -> None:
    given = {"rankings": RANKED, "factor": 2, "classes": ("x", "y"), "digest": "p1", "env": {}}
    save_rankings(tmp_path / "p", **{**given, **change})
    with pytest.raises(ScddError, match=message):
        read(tmp_path / "p")


# ---- the programs ------------------------------------------------------------------------------


def ranked(folder: Path, **params: object) -> Path:
    """The file that the program makes of the toy problem."""
    freeze(folder / "patches.json", "patches", params, teacher="t1")
    options = {"root": folder, "teacher": folder / "probe.safetensors"}
    out = folder / "patches.safetensors"
    assert program.main(command(folder, "patches", **options, out=out)) == 0
    return out


def chosen(folder: Path, slots: str, patches: Path | None, **params: object) -> int:
    freeze(
        folder / "select.json", "select", {"method": "rded", **params}, data="d", patches="patches"
    )
    given = {
        "config": folder / "select.json",
        "data": folder / "data" / "dataset.json",
        "root": folder,
        "slots": slots,
        "out": folder / "made",
    }
    given |= {} if patches is None else {"patches": patches}
    return choosing.main([f"--{key}={value}" for key, value in given.items()])


@pytest.mark.parametrize("storage", ["lossless", "jpeg"])
def test_from_the_probe_to_nested_images(storage: str, tmp_path: Path) -> None:
    write(tmp_path, ipc=2)
    own = {"factor": 1, "pool": 15, "crops": 3}
    file = ranked(tmp_path, method="easiest", **own)
    for slots in ("0:1", "1:10"):
        assert chosen(tmp_path, slots, file, storage=storage) == 0
    whole = {"resolution": SIZE, "method": "rded", "digest": "s", "sources": {"select"}}
    make_set(tmp_path / "set" / "set.json", tmp_path / "made", CLASSES, ipc=10, **whole)
    images = load_set(tmp_path / "set" / "set.json").images
    for label in range(3):
        found = ranking.easiest(
            observer(), image_set(60, SIZE), info(SIZE), Patches(**own), label, CPU
        )
        expected = ranked_images(image_set(60, SIZE), info(SIZE), found, cells_by_slot(10, 1))
        assert images[10 * label :][:10].equal(kept(expected, storage))


def test_mosaics_are_made_for_an_ipc(tmp_path: Path) -> None:
    write(tmp_path, ipc=2)
    file = ranked(tmp_path, method="easiest", factor=2, pool=20, crops=2)
    for slots in ("0:1", "1:10"):
        assert chosen(tmp_path, slots, file, storage="lossless", ipc=3) == 0
    split, (first, *_) = image_set(60, SIZE), rankings_of(tensors.load(file)[0], 2).classes
    expected = in_bytes(ranked_images(split, info(SIZE), first, cells_by_ipc(3, 2)))
    parts = [
        tensors.load(shard_path(tmp_path / "made", slots, 0))[0]["images"]
        for slots in ((0, 1), (1, 10))
    ]
    assert [len(part) for part in parts] == [1, 2]
    assert torch.cat(parts).equal(expected)


def test_a_class_of_too_few_images_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, ipc=2)
    file = ranked(tmp_path, method="easiest", factor=2, pool=10, crops=1)
    assert chosen(tmp_path, "0:1", file, storage="lossless", ipc=3) == 1
    error = capsys.readouterr().err
    assert "class 'a' has 10 training images to choose patches from, but 12 are needed." in error


def test_without_its_patches_the_choice_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, ipc=2)
    assert chosen(tmp_path, "0:1", None, storage="lossless") == 1
    assert "--patches is needed" in capsys.readouterr().err


def test_the_median_is_ranked_by_the_program_too(tmp_path: Path) -> None:
    write(tmp_path, ipc=2)
    (first, *_) = rankings_of(tensors.load(ranked(tmp_path, method="median"))[0], 1).classes
    expected = ranking.around_median(observer(), image_set(60, SIZE), info(SIZE), 0, CPU)
    assert first.boxes is None
    assert first.images.equal(expected.images)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Ten files of three classes, larger than the resolution and of several sizes; their pixels at
    the resolution beside their names."""
    labels, names = torch.arange(10) % 3, [f"{number}.png" for number in range(10)]
    sizes = [(40, 30), (25, 50)] * 5
    for name, image in zip(names, pictures(*sizes), strict=True):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(tmp_path / name)
    pixels = torch.zeros(10, 3, SIZE, SIZE, dtype=torch.uint8)
    save_split(tmp_path / "train.safetensors", labels, pixels, CLASSES, names)
    save_info(tmp_path / "dataset.json", info(SIZE), {})
    return tmp_path


def test_of_photos_the_crops_come_from_the_files_in_full_size(photos: Path) -> None:
    split = open_dataset(photos / "dataset.json", photos).originals
    made = ranking.rankings(observer(), split, info(SIZE), Patches(pool=4, crops=3), CPU)
    (first, *_) = rankings_of(made, 1).classes
    place = int(first.images[0])
    image = pictures(*[(40, 30), (25, 50)] * 5)[place]
    assert first.boxes is not None
    expected = cut([image], first.boxes[None, :1], SIZE, CPU)[0]
    assert first.boxes[:, 2].max() > SIZE
    found = patch_images(split, info(SIZE), rankings_of(made, 1), (0, 1), None, "lossless")
    assert next(found).equal(in_bytes(expected))


def test_of_photos_the_median_is_seen_resized_and_cut(photos: Path) -> None:
    split = open_dataset(photos / "dataset.json", photos).originals
    made = ranking.rankings(observer(), split, info(SIZE), None, CPU)
    (first, *_) = rankings_of(made, 1).classes
    image = Image.open(photos / f"{int(first.images[0])}.png")
    width, height = image.size
    least = min(width, height)
    small = image.resize(
        (int(SIZE * width / least), int(SIZE * height / least)), Image.Resampling.BILINEAR
    )
    left, top = round((small.width - SIZE) / 2), round((small.height - SIZE) / 2)
    expected = np.asarray(small.crop((left, top, left + SIZE, top + SIZE)))
    found = ranked_images(split, info(SIZE), first, cells_by_slot(1, 1))
    assert in_bytes(found)[0].permute(1, 2, 0).numpy().tolist() == expected.tolist()
