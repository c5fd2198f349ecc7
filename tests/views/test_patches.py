"""Shuffled patches: against an image cut and put together again, as RDED's training does it."""

import pytest
import torch

from scdd.rng import generator
from scdd.views.patches import draw_patches, shuffle_patches


@pytest.mark.parametrize(("count", "size"), [(2, 8), (3, 9), (2, 7), (4, 11), (1, 5)])
def test_rows_and_columns_are_cut_and_put_together_in_the_order(count: int, size: int) -> None:
    images = torch.rand(12, 3, size, size, generator=generator("images"))
    order = draw_patches(12, count, generator(0))
    found = shuffle_patches(images, order)
    side = size // count
    cuts = [side] * (count - 1) + [size - side * (count - 1)]
    for row, image in enumerate(images):
        rows, columns = order[row].tolist()
        image = torch.cat([image.split(cuts, 1)[place] for place in rows], 1)  # noqa: PLW2901
        image = torch.cat([image.split(cuts, 2)[place] for place in columns], 2)  # noqa: PLW2901
        assert torch.equal(found[row], image)


def test_every_order_is_drawn_equally_often() -> None:
    order = draw_patches(6000, 3, generator(0))
    assert order.dtype == torch.uint8
    codes = (order.long() * torch.tensor([9, 3, 1])).sum(2)
    for axis in range(2):
        _, counts = codes[:, axis].unique(return_counts=True)
        assert len(counts) == 6
        assert counts.min() > 880
        assert counts.max() < 1120
