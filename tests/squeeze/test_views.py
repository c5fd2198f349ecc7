"""The views of a squeeze: sizes, parameters by view, and what a process has of them."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional
from toy import image_set, info

from scdd.data.source import Split
from scdd.params.squeeze import Supervised, SwAV
from scdd.params.views import View
from scdd.rng import generator
from scdd.squeeze.views import Crop, Draws, batches, crops_of
from scdd.views.colour import SIGMAS, Jitter

CPU = torch.device("cpu")
WHOLE = View("none", 0, (1.0, 1.0), False)
NOTHING = Jitter((0.0, 0.0, 0.0, 0.0), 0.0, 0.0)
PARAMS: dict[str, Any] = {
    "view": {"crop": "resized", "pad": 0, "scale": [0.2, 1.0], "flip": True},
    "colour_jitter": [0.4, 0.4, 0.2, 0.1],
    "colour_jitter_p": 0.8,
    "grey_p": 0.2,
}


def test_crops_have_parameters_of_their_own() -> None:
    small = {"count": 3, "size": None, "scale": [0.05, 0.14], "blur_p": 0.5}
    params = {**PARAMS, "blur_p": [1.0, 0.1], "solarise_p": [0, 0.2], "small": small}
    made = crops_of(SwAV.of(params), 2, 224)
    assert [crop.size for crop in made] == [224, 224, 96, 96, 96]
    assert [crop.blur_p for crop in made] == [1.0, 0.1, 0.5, 0.5, 0.5]
    assert [crop.solarise_p for crop in made] == [0, 0.2, 0, 0, 0]
    assert [crop.view.scale for crop in made] == [(0.2, 1.0)] * 2 + [(0.05, 0.14)] * 3
    (plain,) = crops_of(Supervised.of(PARAMS), 1, 32)
    assert (plain.size, plain.blur_p, plain.solarise_p) == (32, 0.0, 0.0)


def test_a_view_equals_torchvisions_operations_one_after_the_other() -> None:
    jitter = Jitter((0.4, 0.4, 0.0, 0.0), 1.0, 0.0)
    crop = Crop(6, View("resized", 0, (0.3, 0.9), True), jitter, blur_p=0.5, solarise_p=0.5)
    draws = Draws.make(crop, 12, 9, generator(0), CPU)
    images = torch.rand(12, 3, 9, 9, generator=generator("images"))
    found = draws.apply(images, slice(None), [1, 0])
    assert draws.sigmas is not None
    assert draws.solarised is not None
    for row, image in enumerate(images):
        box = draws.boxes[row].tolist()
        view = functional.resized_crop(image, *box, [6, 6], antialias=True)
        view = functional.hflip(view) if draws.flips[row] else view
        view = functional.adjust_contrast(view, draws.factors[row, 1].item())
        view = functional.adjust_brightness(view, draws.factors[row, 0].item())
        if (sigma := draws.sigmas[row].item()) > 0:
            assert SIGMAS[0] <= sigma <= SIGMAS[1]
            view = functional.gaussian_blur(view, [11, 11], [sigma, sigma])
        if draws.solarised[row]:
            view = functional.solarize(view, 0.5)
        torch.testing.assert_close(found[row], view, atol=1e-5, rtol=0)


def views_of(crops: tuple[Crop, ...], skip: int = 0) -> list[tuple[list[Tensor], Tensor]]:
    return list(batches(crops, 8, 0, image_set(24, 8), info(8), 0, skip, CPU))


def test_batches_hold_every_image_once_normalised() -> None:
    made = views_of((Crop(8, WHOLE, NOTHING),))
    assert [len(labels) for _, labels in made] == [8, 8, 8]
    pixels = image_set(24, 8).pixels
    assert pixels is not None
    mean, std = (torch.tensor(getattr(info(8), name))[:, None, None] for name in ("mean", "std"))
    expected = ((pixels.double() / 255 - mean) / std).sum((1, 2, 3))
    found = torch.cat([views[0] for views, _ in made]).double().sum((1, 2, 3))
    torch.testing.assert_close(found.sort().values, expected.sort().values, atol=1e-3, rtol=0)


def test_batches_after_a_break_are_those_without_one() -> None:
    view = View("resized", 0, (0.5, 1.0), True)
    jitter = Jitter((0.4, 0.4, 0.4, 0.1), 0.8, 0.2)
    crops = (Crop(8, view, jitter, 0.5, 0.5), Crop(4, view, jitter, 0.5))
    whole, rest = views_of(crops), views_of(crops, skip=2)
    assert [view.shape[-1] for view in whole[0][0]] == [8, 4]
    assert len(rest) == 1
    assert all(torch.equal(a, b) for a, b in zip(whole[2][0], rest[0][0], strict=True))


def test_views_of_files_are_cut_from_them_with_the_same_numbers(tmp_path: Path) -> None:
    """Square files at their own resolution: what is in memory is cropped to the same boxes."""
    packed = image_set(8, 8)
    assert packed.pixels is not None
    files = tuple(tmp_path / f"{number}.png" for number in range(8))
    for file, image in zip(files, packed.pixels, strict=True):
        functional.to_pil_image(image).save(file)
    split = Split(packed.labels, None, files, 8)
    crops = tuple(Crop(s, View("resized", 0, (0.3, 1.0), True), NOTHING) for s in (8, 5))
    for skip in (0, 1):
        one, other = (list(batches(crops, 4, 0, s, info(8), 0, skip, CPU)) for s in (packed, split))
        assert len(other) == 2 - skip
        for (memory, labels), (read, names) in zip(one, other, strict=True):
            assert torch.equal(labels, names)
            for a, b in zip(memory, read, strict=True):
                # Pillow rounds to whole numbers of 255 after each axis; the smallest std is 0.2
                torch.testing.assert_close(a, b, atol=1.01 / 255 / 0.2, rtol=0)
