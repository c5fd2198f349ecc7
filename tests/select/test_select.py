"""Random real images and noise."""

import json

import pytest
import torch
from PIL import Image

from scdd.artifacts.dataset import DatasetInfo, save_info, save_split
from scdd.artifacts.images import load_set, make_set
from scdd.data.source import open_dataset
from scdd.errors import ScddError
from scdd.select import __main__ as program
from scdd.select.methods import method

CLASSES, SIZE, EACH = ("ant", "bee"), 4, 15
INFO = DatasetInfo("pets", CLASSES, SIZE, (0.5, 0.4, 0.3), (0.2, 0.25, 0.3), 30, 1, "", "d")
LABELS = torch.tensor([0, 1] * EACH)


def real(index: int) -> torch.Tensor:
    """Student image `index`: one grey that no other has."""
    return torch.full((3, SIZE, SIZE), index, dtype=torch.uint8)


@pytest.fixture(params=["pixels", "files"])
def dataset(request, tmp_path):
    save_info(tmp_path / "dataset.json", INFO, {})
    content = torch.stack([real(index) for index in range(2 * EACH)])
    if request.param == "files":
        for index, image in enumerate(content):
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(tmp_path / f"{index}.png")
        content = [f"{index}.png" for index in range(2 * EACH)]
    save_split(tmp_path / "train.safetensors", LABELS, content, INFO.classes)
    return open_dataset(tmp_path / "dataset.json", tmp_path)


def picked(dataset, slots, seed=0, name="random") -> list[list[int]]:
    return [images[:, 0, 0, 0].tolist() for images in method(name).make(dataset, slots, seed)]


def test_random_images_are_real_ones_of_their_class_without_repeats(dataset):
    by_class = [[i for i in range(2 * EACH) if LABELS[i] == label] for label in (0, 1)]
    assert [sorted(greys) for greys in picked(dataset, (0, EACH))] == by_class


def test_random_images_are_whole_images(dataset):
    (first, _) = method("random").make(dataset, (0, 2), 0)
    assert first.dtype == torch.uint8
    assert first[1].equal(real(int(first[1, 0, 0, 0])))


def test_random_slots_are_nested(dataset):
    whole = picked(dataset, (0, 10))
    parts = [picked(dataset, span) for span in ((0, 1), (1, 4), (4, 10))]
    for label in (0, 1):
        assert whole[label] == [grey for part in parts for grey in part[label]]


def test_random_images_depend_on_the_seed(dataset):
    assert picked(dataset, (0, 10), seed=0) == picked(dataset, (0, 10), seed=0)
    assert picked(dataset, (0, 10), seed=0) != picked(dataset, (0, 10), seed=1)


def test_a_range_beyond_the_last_image_gives_what_exists(dataset):
    assert [len(greys) for greys in picked(dataset, (10, 20))] == [5, 5]


def test_more_images_than_exist_are_refused_naming_class_and_count(dataset):
    with pytest.raises(ScddError, match="'ant' has 15 training images"):
        picked(dataset, (15, 20))


def test_noise_is_standard_normal_clamped_to_valid_pixels(dataset):
    made = torch.cat(list(method("noise").make(dataset, (0, 200), 0)))
    for channel, (mean, std) in enumerate(zip(INFO.mean, INFO.std, strict=True)):
        draw = torch.Generator().manual_seed(channel)
        sample = mean + std * torch.randn(200_000, generator=draw, dtype=torch.float64)
        expected = (sample.clamp(0, 1) * 255).round()
        values = made[:, channel].double()
        assert values.mean().item() == pytest.approx(expected.mean().item(), abs=3)
        assert values.std().item() == pytest.approx(expected.std().item(), abs=3)


def test_noise_slots_are_nested(dataset):
    whole = list(method("noise").make(dataset, (0, 6), 0))
    part = list(method("noise").make(dataset, (2, 5), 0))
    assert all(a[2:5].equal(b) for a, b in zip(whole, part, strict=True))
    assert not whole[0].equal(whole[1])


def test_an_unknown_method_is_refused_with_the_known_names():
    with pytest.raises(ScddError, match=r"'hurding'.*noise, random"):
        method("hurding")


def test_program_writes_shards_that_make_a_set(dataset, tmp_path):
    config = {
        "stage": "select",
        "version": 1,
        "label": "random",
        "digest": "made1",
        "params": {"method": "random", "seed": 4},
        "parents": {},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    given = {"config": "config.json", "data": "dataset.json", "root": "", "out": "made"}
    for slots in ("0:1", "1:10"):
        arguments = [f"--{key}={tmp_path / name}" for key, name in given.items()]
        assert program.main([*arguments, f"--slots={slots}"]) == 0
    make_set(
        tmp_path / "set" / "set.json",
        tmp_path / "made",
        CLASSES,
        ipc=10,
        resolution=SIZE,
        method="random",
        digest="set1",
        sources=["made1"],
    )
    made = load_set(tmp_path / "set" / "set.json")
    greys = made.images[:, 0, 0, 0].tolist()
    assert [greys[:10], greys[10:]] == picked(dataset, (0, 10), seed=4)
