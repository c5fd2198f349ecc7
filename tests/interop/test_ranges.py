"""The range of imported tensors: told by the numbers, or stated; real and learned sets pass."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from scdd.errors import ScddError
from scdd.interop.distilled_sets import class_images
from scdd.interop.ranges import Reading, reading_of
from scdd.params.select import Import
from scdd.plan.config import parse
from scdd.views.pixels import denormalise
from scdd.views.zca import fit

GOLDEN = Path(__file__).parents[2].resolve().parent / "shared" / "golden" / "classics"
CIFAR = Reading((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))
DIGITS = Reading((0.305,) * 3, (0.319,) * 3)
DARK = Reading((0.15,) * 3, (0.274,) * 3)
HALVES = Reading((0.5,) * 3, (0.5,) * 3)
AS_IS = Reading((0.0,) * 3, (1.0,) * 3)


def pictures(seed: int = 0, size: int = 32, count: int = 10) -> Tensor:
    """uint8 images as photos are: shades with edges, some of them black or white."""
    draw = torch.Generator().manual_seed(seed)
    coarse = 0.47 + 0.35 * torch.randn(count, 3, 6, 6, generator=draw)
    shades = torch.nn.functional.interpolate(coarse, size=size, mode="bilinear")
    return (shades.clamp(0, 1) * 255).round().byte()


def drawings(size: int = 16) -> Tensor:
    """uint8 images as digits are: white strokes on black."""
    draw = torch.Generator().manual_seed(1)
    strokes = torch.rand(10, 1, size, size, generator=draw)
    return ((strokes - 0.62).clamp(min=0) * 2.7 * 255).clamp(max=255).byte().repeat(1, 3, 1, 1)


def noise(like: Tensor, std: float = 1.0) -> Tensor:
    return std * torch.randn(like.shape, generator=torch.Generator().manual_seed(2))


def columns(scale: Reading) -> tuple[Tensor, Tensor]:
    return torch.tensor(scale.mean)[:, None, None], torch.tensor(scale.std)[:, None, None]


def normalised(images: Tensor, scale: Reading = CIFAR) -> Tensor:
    mean, std = columns(scale)
    return (images / 255 - mean) / std


def judged(values: Tensor, scale: Reading = CIFAR, stated: str | None = None, **more: Any) -> str:
    """What the values are read as, or the refusal."""
    try:
        reading, _ = reading_of("x.pt", values, stated, scale, more.get("dataset", scale))
    except ScddError as error:
        assert "\n" not in str(error)
        return str(error)
    return reading.what


Change = Callable[[Tensor], Tensor]
OTHERS: list[tuple[str, Change]] = [
    ("pixels in [0, 1]. Set range: unit, or range: normalised", lambda x: x / 255),
    ("pixels in [0, 1]. Set range: unit, or", lambda x: (x / 255).half()),
    ("pixels in [0, 1]. Set range: unit, or", lambda x: x.float().mean(0, True) / 255),
    ("pixels in [0, 1]. Set range: unit, or", lambda x: x[:1, :, :8, :8] / 255),
    ("pixels in [0, 1]. Set range: unit, or", lambda x: x / 255 + noise(x, 0.05)),
    ("bytes in [0, 255]. Set range: byte, in", lambda x: x.float()),
    ("bytes in [0, 255]. Set range: byte, in", lambda x: x.double() / 4),
    ("bytes in [0, 255]. Set range: byte, in", lambda x: x.bfloat16()),
    ("pixels in [-1, 1]. Set range: symmetric, or", lambda x: x / 127.5 - 1),
    ("pixels in [-1, 1]. Set range: symmetric, or", lambda x: x[:2] / 127.5 - 1),
    (
        "pixels in [-0.5, 0.5]. Set mean: [0.5, 0.5, 0.5] and std: [1, 1, 1]",
        lambda x: x / 255 - 0.5,
    ),
    ("no range that is known. Set mean and std to those of the file", lambda x: x.float() - 128),
    ("no range that is known", lambda x: normalised(normalised(x) * 255)),
    ("no range that is known", lambda x: x * 257.0),
]


@pytest.mark.parametrize(("message", "change"), OTHERS)
def test_another_range_is_refused_by_its_name(message: str, change: Change) -> None:
    found = judged(change(pictures()))
    assert "x.pt: its values go from " in found
    assert f"not normalised pixels, they look like {message}" in found


@pytest.mark.parametrize("std", [0.0, 0.2])
def test_whitened_images_are_told_near_to_where_learning_starts(std: float) -> None:
    whitening = fit([pictures(seed=5, size=8, count=200)], 0.1).to(torch.float32)
    images = whitening.whiten(pictures(size=8, count=30))
    found = judged(images + noise(images, std))
    message = "they look like whitened images (ZCA). Set whitened: true, or range: normalised if"
    assert message in found
    assert judged(images, stated="normalised") == "normalised pixels"


@pytest.mark.parametrize("scale", [DIGITS, DARK])
def test_drawings_on_black_are_told_too(scale: Reading) -> None:
    images = drawings()
    assert judged(normalised(images, scale), scale) == "normalised pixels"
    assert "like pixels in [0, 1]" in judged(images / 255, scale)
    assert "like bytes in [0, 255]" in judged(images.float(), scale)
    assert "like pixels in [-1, 1]" in judged(images / 127.5 - 1, scale)


@pytest.mark.parametrize(
    ("scale", "values"),
    [
        (CIFAR, normalised(pictures())),
        (CIFAR, normalised(pictures(count=1, size=8))),
        (CIFAR, normalised(pictures()) + noise(pictures(), 0.5)),
        (CIFAR, normalised(pictures()) + noise(pictures(), 1.0)),
        (CIFAR, normalised(pictures(count=100).float().mean(0, True))),  # a mean of images
        (CIFAR, normalised(pictures(count=60).view(10, 6, 3, 32, 32).float().mean(1))),
        (CIFAR, normalised(pictures() // 4)),  # dark
        (CIFAR, normalised(pictures() // 4 + 96)),  # of little contrast
        (CIFAR, noise(pictures())),  # where DC starts
        (CIFAR, torch.zeros(3, 3, 8, 8)),  # flat: no range can be told
        (CIFAR, torch.full((3, 3, 8, 8), 0.7)),
        (DIGITS, normalised(drawings(), DIGITS) + noise(drawings(), 0.5)),
        (DIGITS, normalised(drawings(), DIGITS) + noise(drawings(), 1.0)),
        (DIGITS, noise(drawings())),
        (DARK, normalised(drawings(), DARK) + noise(drawings(), 1.0)),
        (DARK, noise(drawings())),
    ],
)
def test_normalised_sets_are_read_even_where_some_values_clamp(
    scale: Reading, values: Tensor
) -> None:
    assert judged(values, scale) == "normalised pixels"


def test_a_few_extreme_values_decide_nothing() -> None:
    """MTT's learned images have them."""
    values = normalised(pictures())
    values.view(-1)[::500] = 60.0
    values.view(-1)[1::500] = -60.0
    assert judged(values) == "normalised pixels"


@pytest.mark.skipif(
    not GOLDEN.exists(), reason="the golden data of the classic methods is not here"
)
@pytest.mark.parametrize(
    "name", ["dc", "dsa", "dm", "dmaug", "mtt", "mttaug", "tesla", "teslasoft"]
)
def test_images_that_the_authors_programs_learned_are_read(name: str) -> None:
    tensors = load_file(GOLDEN / f"{name}.safetensors")
    sets = [key for key in tensors if "images_after" in key or key == "images_before"]
    assert sets
    for key in sets:
        for scale in (CIFAR, DIGITS, DARK):
            assert judged(tensors[key], scale) == "normalised pixels", (key, scale.mean)


def test_ranges_that_are_the_same_for_a_dataset_are_not_told_apart() -> None:
    """Normalised by 0.5 and 0.5 is [-1, 1], by 0 and 1 it is [0, 1]."""
    images = pictures()
    for scale in (HALVES, Reading((0.49,) * 3, (0.5,) * 3)):
        assert judged(normalised(images, scale), scale) == "normalised pixels"
        assert "like pixels in [0, 1]" in judged(images / 255, scale)
    assert judged(images / 255, AS_IS) == "normalised pixels"
    assert judged(images / 255, AS_IS, dataset=CIFAR) == "normalised pixels"
    assert "like pixels in [-1, 1]" in judged(images / 127.5 - 1, AS_IS)
    assert "like bytes in [0, 255]" in judged(images.float(), AS_IS, dataset=CIFAR)


@pytest.mark.parametrize(
    ("stated", "change"),
    [
        ("unit", lambda x: x / 255),
        ("byte", lambda x: x.float()),
        ("symmetric", lambda x: x / 127.5 - 1),
        ("normalised", normalised),
        (None, lambda x: x),
        ("byte", lambda x: x.long()),
        (None, lambda x: x.short()),
        (None, lambda x: x.int()),
    ],
)
def test_a_stated_range_and_integers_give_the_exact_pixels(
    stated: str | None, change: Change
) -> None:
    images = pictures()
    reading, clamped = reading_of("x.pt", change(images), stated, CIFAR, CIFAR)
    assert torch.equal(denormalise(change(images), reading), images)
    assert clamped < 1e-3


@pytest.mark.parametrize("change", [lambda x: x / 255, lambda x: x / 127.5 - 1, lambda x: x / 510])
def test_what_is_stated_is_believed(change: Change) -> None:
    assert judged(change(pictures()), stated="normalised") == "normalised pixels"


@pytest.mark.parametrize(
    ("stated", "values", "message"),
    [
        ("unit", pictures().float(), "not pixels in [0, 1], they look like bytes in [0, 255]"),
        ("normalised", pictures().float(), "they look like bytes in [0, 255]. Set range: byte, in"),
        ("symmetric", pictures().float(), "they look like bytes in [0, 255]. Set range: byte, in"),
        ("unit", pictures(), "images of uint8, which are bytes, but the method's import says"),
        ("normalised", pictures().int(), "import says range: normalised. Leave range out."),
        (None, pictures().int() * 2, "images of int32 from 0 to 510; integers must be bytes"),
        (None, pictures().int() - 128, "images of int32 from -128 to 127; integers must be bytes"),
        (None, pictures() > 99, "images of bool from 0 to 1; integers must be bytes"),
    ],
)
def test_what_cannot_be_as_stated_is_refused(
    stated: str | None, values: Tensor, message: str
) -> None:
    assert message in judged(values, stated=stated)


def test_many_images_are_measured_as_few() -> None:
    images = normalised(pictures(count=300, size=8)) * 1.2
    _, clamped = reading_of("x.pt", images, None, CIFAR, CIFAR)
    mean, std = columns(CIFAR)
    expected = ((images * std + mean - 0.5).abs() > 0.5).float().mean()
    assert clamped == pytest.approx(float(expected), abs=1e-4)


# ---- the file and the configuration ------------------------------------------------------------


def test_a_file_of_bytes_and_a_stated_range_give_the_pixels(tmp_path: Path) -> None:
    import toy

    def made(name: str, **stated: Any) -> list[Tensor]:
        given = Import(name, **stated)
        found = class_images(tmp_path / name, toy.info(8), (0, 10), given)
        return [each.images for each in found]

    images, labels = pictures(size=8, count=6), torch.arange(3).repeat(2)
    for name, values, stated in (("a", images, None), ("b", images / 255, "unit")):
        torch.save({"data": [[values, labels]]}, tmp_path / f"{name}.pt")
        found = made(f"{name}.pt", range=stated)
        assert torch.equal(found[1], images[labels == 1])
    with pytest.raises(ScddError, match=r"b.pt: its values go from 0 to 1, .* range: unit, or"):
        made("b.pt")
    found = made("b.pt", mean=(0.0,) * 3, std=(1.0,) * 3)
    assert torch.equal(found[2], images[labels == 2])


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (torch.ones(3, 3, 8, 8) / 0, torch.arange(3), "holds pixels that are not finite"),
        (torch.ones(3, 3, 8, 8), torch.eye(3) / 0, "has labels that are not finite"),
        (torch.ones(3, 3, 8, 8), torch.tensor([0, 1, torch.nan]), "labels that are not finite"),
        (torch.ones(3, 3, 8, 8).to_sparse(), torch.arange(3), "images is a sparse tensor"),
        (torch.ones(3, 3, 8, 8, device="meta"), torch.arange(3), "images is a tensor without"),
        (torch.nested.nested_tensor([torch.ones(2)]), torch.arange(3), "images is a nested"),
        (torch.full((3, 3, 8, 8), 999).to(torch.uint16), torch.arange(3), "integers must be"),
        (torch.ones(3, 3, 8, 8) + 1j, torch.arange(3), "images is a tensor of complex64"),
        (torch.ones(3, 3, 8, 8).to(torch.float8_e4m3fn), torch.arange(3), "tensor of float8"),
        (torch.ones(3, 3, 8, 8), torch.arange(3) + 1j, "labels is a tensor of complex64"),
    ],
)
def test_values_that_are_no_pixels_or_labels_are_refused(
    tmp_path: Path, images: Tensor, labels: Tensor, message: str
) -> None:
    import toy

    torch.save(images, tmp_path / "images_best.pt")
    torch.save(labels, tmp_path / "labels_best.pt")
    with pytest.raises(ScddError) as caught:
        list(class_images(tmp_path, toy.info(8), (0, 1), Import("")))
    assert message in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_the_configuration_states_a_range() -> None:
    whole = {"path": "x.pt", "mean": [0, 0, 0], "std": [1, 1, 1]}
    assert parse(Import, whole, "import").mean == (0, 0, 0)
    assert parse(Import, {"path": "x.pt", "range": "byte"}, "import").range == "byte"
    assert "range" not in parse(Import, {"path": "x.pt"}, "import").identity()
    assert parse(Import, {"path": "x.pt", "range": "unit"}, "import").identity()["range"] == "unit"
    with pytest.raises(ScddError, match="range is unit; set one of the two"):
        parse(Import, {**whole, "range": "unit"}, "import")
    with pytest.raises(ScddError, match=r"import\.range"):
        parse(Import, {"path": "x.pt", "range": "0-1"}, "import")
