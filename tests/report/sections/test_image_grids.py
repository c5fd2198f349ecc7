"""Grids of images: every pixel."""

import numpy as np
import pytest
from samples import pixels

from scdd.report import pictures
from scdd.report.sections import image_grids


@pytest.mark.parametrize(("edge", "scale", "factor"), [(16, 2, 4), (20, 2, 4), (32, 1, 1)])
def test_grid_shows_each_pixel_as_a_square(edge, scale, factor):
    images = np.random.default_rng(0).integers(0, 256, (3, 2, 3, edge, edge), dtype=np.uint8)
    shown = pixels(image_grids.draw(images, ["a", "b", "c"], scale))
    side = edge * factor
    left = shown.shape[1] - 2 * side - pictures.GAP
    assert shown.shape == (3 * side + 2 * pictures.GAP, left + 2 * side + pictures.GAP, 3)
    for row in range(3):
        for column in range(2):
            y, x = row * (side + pictures.GAP), left + column * (side + pictures.GAP)
            tile = shown[y : y + side, x : x + side]
            for i in range(side):  # pixel (i, j) of the tile is pixel (i // f, j // f) of the image
                expected = images[row, column, :, i // factor, :].T
                np.testing.assert_array_equal(tile[i, ::factor], expected)
                np.testing.assert_array_equal(tile[i, factor - 1 :: factor], expected)


def test_grid_writes_names_left_of_their_rows():
    images = np.full((2, 1, 3, 32, 32), 255, np.uint8)
    shown = pixels(image_grids.draw(images, ["", "class"], 2))
    assert (shown[:64] == 255).all()
    assert shown[66:].min() < 100
