"""RandAugment equals torchvision's, operation by operation and image by image."""

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import RandAugment
from toy import info

from scdd.params import views as params
from scdd.rng import generator
from scdd.views.mixing import draw_epoch, mixed
from scdd.views.randaugment import BINS, OPERATIONS, draw_operations, randaugment

THEIRS = RandAugment()
SPACE = THEIRS._AUGMENTATION_SPACE
# shears by a multiple of 4 bins move some rows by a half pixel, where the nearest is either
MAGNITUDES = (0, 1, 9, 18, 30)


def images(n: int, height: int, width: int) -> Tensor:
    """As they are read: whole numbers of 255. One has a channel of one value, one has few values,
    one is white."""
    made = torch.randint(256, (n, 3, height, width), generator=generator("images"))
    made[1, 2] = 77
    made[2] = made[2] // 100 * 100
    made[3] = 255
    return made.float() / 255


def theirs(image: Tensor, name: str, bins: int, sign: int) -> Tensor:
    table, _ = SPACE[name]
    values = table(BINS, *image.shape[-2:])
    value = 0.0 if values is None else sign * float(values[bins])
    return THEIRS._apply_image_or_video_transform(
        image, name, value, interpolation=THEIRS.interpolation, fill=THEIRS._fill
    )


def test_the_operations_are_torchvisions_in_their_order() -> None:
    assert tuple(SPACE) == OPERATIONS


@pytest.mark.parametrize("op", range(len(OPERATIONS)), ids=OPERATIONS)
def test_an_operation_equals_torchvisions(op: int) -> None:
    name = OPERATIONS[op]
    for height, width in ((24, 24), (17, 26)):
        seen = images(6, height, width)
        for bins in MAGNITUDES:
            for sign in (1, -1) if SPACE[name][1] else (1,):
                expected = torch.stack([theirs(image, name, bins, sign) for image in seen])
                ops = torch.full((6, 1), sign * op, dtype=torch.int8)
                found = randaugment(seen, ops, torch.full((6, 1), bins, dtype=torch.uint8))
                torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_each_image_has_its_own_operations_one_after_the_other() -> None:
    seen = images(40, 20, 20)
    ops, bins = draw_operations(40, 3, 9, generator(0))
    found = randaugment(seen, ops, bins)
    for row, image in enumerate(seen):
        for place in range(3):
            op = int(ops[row, place])
            image = theirs(image, OPERATIONS[abs(op)], 9, -1 if op < 0 else 1)  # noqa: PLW2901
        # a rounding at an edge of 256 levels or of a posterised one may fall to either side
        assert ((found[row] - image).abs() > 1e-5).float().mean() < 0.01


def test_an_image_gets_the_same_bits_in_any_batch() -> None:
    seen = images(40, 20, 20)
    ops, bins = draw_operations(40, 2, 9, generator(0))
    whole = randaugment(seen, ops, bins)
    for size in (1, 7):
        parts = [part.split(size) for part in (seen, ops, bins)]
        made = torch.cat([randaugment(*each) for each in zip(*parts, strict=True)])
        assert torch.equal(made, whole)


def test_operations_and_signs_are_drawn_evenly() -> None:
    ops, bins = draw_operations(28_000, 2, 12, generator(0))
    assert (ops.dtype, bins.dtype) == (torch.int8, torch.uint8)
    assert set(bins.flatten().tolist()) == {12}
    counts = ops.flatten().long().abs().bincount(minlength=14)
    assert counts.min() > 3700  # of 56,000 / 14 = 4,000
    assert counts.max() < 4300
    for op, name in enumerate(OPERATIONS):
        negative = (ops == -op).sum().item() / counts[op].item() if op else 0
        assert negative == (pytest.approx(0.5, abs=0.04) if SPACE[name][1] else 0)


def test_learned_images_beyond_black_and_white_are_clipped_before_them() -> None:
    """Equalising would not find their levels."""
    transform = params.Transform(randaugment=params.RandAugment(2, 9))
    seen, pick = 3 * images(30, 8, 8) - 1, torch.arange(30)
    draws = draw_epoch(transform, 30, 8, 0, 0)
    assert draws.ops is not None
    assert bool((draws.ops == OPERATIONS.index("Equalize")).any())
    found = mixed(seen, pick, draws, "none", info(8))
    assert torch.equal(found, mixed(seen.clamp(0, 1), pick, draws, "none", info(8)))
