"""Opening a dataset: folders, names, tensors and torch Datasets."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset
from torchvision.transforms.v2.functional import to_pil_image
from toy import CLASSES, image_set

from scdd import notebook as dd
from scdd.data.__main__ import main
from scdd.data.source import open_dataset
from scdd.errors import ScddError


def pair(n: int = 12, seed: int = 0) -> tuple[Tensor, Tensor]:
    split = image_set(n, 8, seed=seed)
    assert split.pixels is not None
    return split.pixels, split.labels


TRAIN, VAL = pair(), pair(6, seed=1)


class Pictures(Dataset[tuple[Any, int]]):
    """Images of Pillow, as torchvision's datasets have them."""

    classes = CLASSES

    def __init__(self, images: Tensor, labels: Tensor, mode: str = "RGB") -> None:
        self.images, self.labels, self.mode = images, labels, mode

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return to_pil_image(self.images[index]).convert(self.mode), int(self.labels[index])


def folder(root: Path) -> Path:
    for split, (images, labels) in (("train", TRAIN), ("val", VAL)):
        for number, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
            place = root / split / CLASSES[label]
            place.mkdir(parents=True, exist_ok=True)
            to_pil_image(image).save(place / f"{number:03d}.png")
    return root


def sorted_by_class(pixels: Tensor, labels: Tensor) -> Tensor:
    return pixels[labels.argsort(stable=True)]


def test_a_folder_is_what_the_program_reads(tmp_path: Path) -> None:
    root = folder(tmp_path / "photos")
    data = dd.open_data(root, resolution=8, device="cpu")
    (tmp_path / "data.json").write_text(json.dumps(data.draft.data.frozen()))
    options = {"config": tmp_path / "data.json", "root": root, "out": tmp_path / "dataset.json"}
    assert main([f"--{key}={value}" for key, value in options.items()] + ["--device=cpu"]) == 0
    made = open_dataset(tmp_path / "dataset.json", root)
    assert data.classes == made.info.classes == CLASSES
    assert (data.info.mean, data.info.std) == (made.info.mean, made.info.std)
    for own, other in ((data.train, made.train), (data.val, made.val)):
        assert torch.equal(own.labels, other.labels)
        assert own.pixels is not None and other.pixels is not None
        assert torch.equal(own.pixels, other.pixels)
    assert torch.equal(data.train.pixels, sorted_by_class(*TRAIN))  # type: ignore[arg-type]


def test_large_photos_are_tested_on_cuts_of_the_files(tmp_path: Path) -> None:
    data = dd.open_data(str(folder(tmp_path)), resolution=100, device="cpu")
    assert (data.val.short, data.tested.short) == (None, 114)
    assert data.tested.images(torch.tensor([0])).shape == (1, 3, 100, 100)


def test_a_name_is_a_dataset() -> None:
    data = dd.open_data("digits", classes=["3", "1"], device="cpu")
    assert (data.classes, data.info.resolution, data.draft.family) == (("3", "1"), 16, "digits")


@pytest.mark.parametrize(
    ("train", "val"),
    [
        (TRAIN, VAL),
        ((TRAIN[0].numpy(), TRAIN[1].numpy()), VAL),
        (TensorDataset(*TRAIN), TensorDataset(*VAL)),
        ((TRAIN[0].float() / 255, TRAIN[1].int()), VAL),
        (Pictures(*TRAIN), Pictures(*VAL)),
    ],
)
def test_tensors_and_torch_datasets_are_the_same_images(train: Any, val: Any) -> None:
    data = dd.open_data(train, val, device="cpu")
    for split, (pixels, labels) in ((data.train, TRAIN), (data.tested, VAL)):
        assert split.pixels is not None and split.pixels.dtype == torch.uint8
        assert torch.equal(split.pixels, pixels)
        assert torch.equal(split.labels, labels)
    assert data.classes == (CLASSES if isinstance(train, Pictures) else ("0", "1", "2"))
    assert data.draft.family == "cifar"
    assert data.info.mean == (0.485, 0.456, 0.406)  # a user's folder has them too


def test_grey_images_have_three_channels() -> None:
    grey = TRAIN[0][:, :1]
    data = dd.open_data((grey, TRAIN[1]), VAL, device="cpu")
    assert torch.equal(data.train.pixels, grey.expand(-1, 3, -1, -1))  # type: ignore[arg-type]
    pictures = Pictures(grey, TRAIN[1], mode="L")
    again = dd.open_data(pictures, VAL, device="cpu")
    assert torch.equal(again.train.pixels, data.train.pixels)  # type: ignore[arg-type]


def test_a_share_is_held_out_where_no_validation_images_are_given() -> None:
    data = dd.open_data(TRAIN, holdout=0.25, classes=CLASSES, device="cpu")
    assert (len(data.train), len(data.val)) == (9, 3)
    assert sorted(data.val.labels.tolist()) == [0, 1, 2]
    kept = torch.cat([data.train.pixels, data.val.pixels])  # type: ignore[list-item]
    assert sorted(x.sum().item() for x in kept) == sorted(x.sum().item() for x in TRAIN[0])


def test_another_resolution_resizes() -> None:
    data = dd.open_data(TRAIN, VAL, resolution=4, device="cpu")
    pictures = dd.open_data(Pictures(*TRAIN), Pictures(*VAL), resolution=4, device="cpu")
    assert data.info.resolution == 4
    assert torch.equal(data.train.pixels, pictures.train.pixels)  # type: ignore[arg-type]


def test_other_images_have_another_digest() -> None:
    some, same, others = (
        dd.open_data(train, VAL, device="cpu").draft.data.digest
        for train in (TRAIN, TRAIN, pair(seed=2))
    )
    assert some == same != others


@pytest.mark.parametrize(
    ("source", "keys", "message"),
    [
        ((TRAIN,), {}, "val: give validation images, or holdout"),
        ((TRAIN, VAL), {"holdout": 0.5}, "val: give validation images, or holdout"),
        (("digits", VAL), {}, "val: a folder has validation images of its own."),
        (("nowhere",), {}, "dataset.root: the folder nowhere/train does not exist"),
        ((TRAIN, VAL), {"rot": 1}, "unknown key dataset.rot."),
        ((TRAIN, VAL), {"root": "x"}, "dataset.root: there are no files."),
        ((TRAIN, VAL), {"classes": 3}, "dataset.classes: a list of names is needed"),
        ((TRAIN, VAL), {"classes": ["a", "b"]}, "dataset.classes: 2 names, but labels reach 2."),
        ((TRAIN, VAL), {"classes": [*"abcd"]}, "has no images of class 'd'"),
        (((TRAIN[0][0], TRAIN[1]), VAL), {}, "train: images [n, 3, R, R] are needed"),
        (((TRAIN[0][:0], TRAIN[1][:0]), VAL), {}, "train: images [n, 3, R, R] are needed"),
        (((TRAIN[0], TRAIN[1][1:]), VAL), {}, "train: labels are needed"),
        (((TRAIN[0], TRAIN[1] - 1), VAL), {}, "train: labels are needed"),
        (((TRAIN[0].float(), TRAIN[1]), VAL), {}, "Leave normalising out"),
        ((TRAIN, (VAL[0][..., :4, :4], VAL[1])), {}, "val: images of 4 pixels a side"),
        ((TRAIN, VAL), {"device": "gpu"}, "machine.device: "),
    ],
)
def test_mistakes_are_told_in_one_line(source: Any, keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ScddError) as caught:
        dd.open_data(*source, **{"device": "cpu", **keys})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_photos_of_several_sizes_need_a_resolution() -> None:
    class Sizes(Pictures):
        def __getitem__(self, index: int) -> tuple[Any, int]:
            image, label = super().__getitem__(index)
            return image.resize((8 + index, 8)), label

    with pytest.raises(ScddError, match="Set resolution"):
        dd.open_data(Sizes(*TRAIN), VAL, device="cpu")
    data = dd.open_data(Sizes(*TRAIN), Pictures(*VAL), resolution=8, device="cpu")
    assert data.train.resolution == 8
