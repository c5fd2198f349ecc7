"""Strips of frames: every pixel, and the moving picture's times."""

import io

import numpy as np
from PIL import Image
from samples import pixels

from scdd.report import pictures
from scdd.report.sections import recovery_strips

FRAMES = np.random.default_rng(1).integers(0, 256, (4, 3, 1, 16, 16), dtype=np.uint8)
FRAMES = FRAMES.repeat(3, axis=2)  # grey: a GIF's 256 colours hold it exactly


SIDE = 64  # of 16 pixels at scale 2


def test_a_strip_has_a_row_a_class_and_a_column_a_frame_below_its_iteration():
    shown = pixels(recovery_strips.draw(FRAMES, [0, 10, 30, 40], ["a", "b", "c"], 2)["png"])
    left, top = shown.shape[1] - 4 * SIDE - 3 * pictures.GAP, 32
    assert shown.shape[0] == top + 3 * SIDE + 2 * pictures.GAP
    for column, row in np.ndindex(4, 3):
        y, x = top + row * (SIDE + pictures.GAP), left + column * (SIDE + pictures.GAP)
        tile = shown[y : y + SIDE : 4, x : x + SIDE : 4]
        np.testing.assert_array_equal(tile, FRAMES[column, row].transpose(1, 2, 0))
    heads = [shown[:top, left + c * (SIDE + pictures.GAP) :][:, :SIDE] for c in range(4)]
    assert all(head.min() < 100 for head in heads)
    assert all((head[:, [0, -1]] == 255).all() for head in heads)


def test_a_moving_strip_has_all_classes_in_each_frame_and_rests_on_the_last():
    moving = Image.open(io.BytesIO(recovery_strips.draw(FRAMES, [0, 10, 30, 40], "abc", 2)["gif"]))
    assert (moving.n_frames, moving.info["loop"], moving.height) == (4, 0, SIDE)
    left = moving.width - 3 * SIDE - 2 * pictures.GAP
    durations, captions = [], []
    for number in range(4):
        moving.seek(number)
        durations.append(moving.info["duration"])
        shown = np.asarray(moving.convert("RGB"))
        captions.append(shown[:, :left].tobytes())
        for place in range(3):
            x = left + place * (SIDE + pictures.GAP)
            tile = shown[::4, x : x + SIDE : 4].astype(int)
            assert np.abs(tile - FRAMES[number, place].transpose(1, 2, 0)).max() <= 2
    assert durations[0] == durations[2] < durations[3]
    assert len(set(captions)) == 4


def test_equal_frames_give_equal_strips():
    one, other = (recovery_strips.draw(FRAMES, [0, 10, 30, 40], "abc", 1) for _ in range(2))
    assert one == other
