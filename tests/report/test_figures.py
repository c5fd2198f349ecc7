"""Figures: pixels of the grid, means and bands of the curves, equal bytes."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from scdd.report import figures
from scdd.report.label_sizes import Point
from scdd.report.scores import Row, Score


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))


@pytest.mark.parametrize(("edge", "scale", "factor"), [(16, 2, 4), (20, 2, 4), (32, 1, 1)])
def test_grid_shows_each_pixel_as_a_square(edge, scale, factor):
    images = np.random.default_rng(0).integers(0, 256, (3, 2, 3, edge, edge), dtype=np.uint8)
    shown = pixels(figures.grid(images, ["a", "b", "c"], scale))
    side = edge * factor
    left = shown.shape[1] - 2 * side - figures.GAP
    assert shown.shape == (3 * side + 2 * figures.GAP, left + 2 * side + figures.GAP, 3)
    for row in range(3):
        for column in range(2):
            y, x = row * (side + figures.GAP), left + column * (side + figures.GAP)
            tile = shown[y : y + side, x : x + side]
            for i in range(side):  # pixel (i, j) of the tile is pixel (i // f, j // f) of the image
                expected = images[row, column, :, i // factor, :].T
                np.testing.assert_array_equal(tile[i, ::factor], expected)
                np.testing.assert_array_equal(tile[i, factor - 1 :: factor], expected)


def test_grid_writes_names_left_of_their_rows():
    images = np.full((2, 1, 3, 32, 32), 255, np.uint8)
    shown = pixels(figures.grid(images, ["", "class"], 2))
    assert (shown[:64] == 255).all()
    assert shown[66:].min() < 100


FRAMES = np.random.default_rng(1).integers(0, 256, (4, 3, 1, 16, 16), dtype=np.uint8)
FRAMES = FRAMES.repeat(3, axis=2)  # grey: a GIF's 256 colours hold it exactly
SIDE = 64  # of 16 pixels at scale 2


def test_a_strip_has_a_row_a_class_and_a_column_a_frame_below_its_iteration():
    shown = pixels(figures.strip(FRAMES, [0, 10, 30, 40], ["a", "b", "c"], 2)["png"])
    left, top = shown.shape[1] - 4 * SIDE - 3 * figures.GAP, 32
    assert shown.shape[0] == top + 3 * SIDE + 2 * figures.GAP
    for column, row in np.ndindex(4, 3):
        y, x = top + row * (SIDE + figures.GAP), left + column * (SIDE + figures.GAP)
        tile = shown[y : y + SIDE : 4, x : x + SIDE : 4]
        np.testing.assert_array_equal(tile, FRAMES[column, row].transpose(1, 2, 0))
    heads = [shown[:top, left + c * (SIDE + figures.GAP) :][:, :SIDE] for c in range(4)]
    assert all(head.min() < 100 for head in heads)
    assert all((head[:, [0, -1]] == 255).all() for head in heads)


def test_a_moving_strip_has_all_classes_in_each_frame_and_rests_on_the_last():
    moving = Image.open(io.BytesIO(figures.strip(FRAMES, [0, 10, 30, 40], "abc", 2)["gif"]))
    assert (moving.n_frames, moving.info["loop"], moving.height) == (4, 0, SIDE)
    left = moving.width - 3 * SIDE - 2 * figures.GAP
    durations, captions = [], []
    for number in range(4):
        moving.seek(number)
        durations.append(moving.info["duration"])
        shown = np.asarray(moving.convert("RGB"))
        captions.append(shown[:, :left].tobytes())
        for place in range(3):
            x = left + place * (SIDE + figures.GAP)
            tile = shown[::4, x : x + SIDE : 4].astype(int)
            assert np.abs(tile - FRAMES[number, place].transpose(1, 2, 0)).max() <= 2
    assert durations[0] == durations[2] < durations[3]
    assert len(set(captions)) == 4


def test_equal_frames_give_equal_strips():
    one, other = (figures.strip(FRAMES, [0, 10, 30, 40], "abc", 1) for _ in range(2))
    assert one == other


def history(top1: list[float | None]) -> pd.DataFrame:
    return pd.DataFrame({"epoch": range(len(top1)), "top1": top1}, dtype=float)


def losses_frame(units: int) -> pd.DataFrame:
    lines = [
        (i, 3.0 / (1 + i) + u, 2.0 / (1 + i) + u, 10.0 + u) for u in range(units) for i in (0, 1)
    ]
    return pd.DataFrame(lines, columns=["iteration", "loss", "ce", "bn"])


def drawn(monkeypatch) -> list:
    """Keeps the figures that the next calls draw, in place of their bytes."""
    kept = []
    monkeypatch.setattr(figures, "_files", lambda figure, dpi: kept.append(figure) or {})
    return kept


def test_accuracy_is_the_mean_over_seeds_where_evaluated(monkeypatch):
    kept = drawn(monkeypatch)
    seeds = [history([None, 40.0, 60.0]), history([None, 50.0, 64.0])]
    figures.accuracy([figures.Panel("IPC 1", {"A": seeds}, 90.0)], ["A"], 50)
    axes = kept[0].axes[0]
    line, whole = axes.get_lines()
    assert line.get_xdata().tolist() == [1, 2]
    assert line.get_ydata().tolist() == [45, 62]
    assert set(whole.get_ydata()) == {90}
    corners = axes.collections[0].get_paths()[0].vertices
    spread = 10 / 2**0.5  # of 40 and 50, n - 1
    at_first = {round(y, 6) for x, y in corners if x == 1}
    assert at_first == {round(45 - spread, 6), round(45 + spread, 6)}


def test_losses_show_mean_and_range_over_units(monkeypatch):
    kept = drawn(monkeypatch)
    squeeze = pd.DataFrame({"epoch": [0, 1], "loss": [7.0, 6.0]})
    figures.losses({"A": squeeze}, {"A": losses_frame(3)}, ["A"], 50)
    squeezed, total, ce, bn = kept[0].axes
    assert squeezed.get_lines()[0].get_ydata().tolist() == [7, 6]
    assert [axes.get_lines()[0].get_ydata().tolist() for axes in (total, ce, bn)] == [
        [4, 2.5],
        [3, 2],
        [11, 11],
    ]
    corners = ce.collections[0].get_paths()[0].vertices
    assert {y for x, y in corners if x == 0} == {2, 4}


def test_one_title_has_one_colour_in_both_figures(monkeypatch):
    kept = drawn(monkeypatch)
    panel = figures.Panel("IPC 1", {"A": [history([1.0])], "B": [history([2.0])]}, None)
    figures.accuracy([panel], ["A", "B"], 50)
    figures.losses({}, {"B": losses_frame(1)}, ["A", "B"], 50)
    of_b = kept[0].axes[0].get_lines()[1].get_color()
    assert [axes.get_lines()[0].get_color() for axes in kept[1].axes] == [of_b] * 3
    assert of_b != kept[0].axes[0].get_lines()[0].get_color()


def test_a_backbone_that_was_not_trained_has_no_line():
    empty = pd.DataFrame({"epoch": [], "loss": []}, dtype=float)
    assert set(figures.losses({"A": empty}, {}, ["A"], 50)) == {"png", "svg"}


def test_equal_input_gives_equal_bytes_without_a_date():
    panel = figures.Panel("IPC 1", {"A": [history([1.0, 2.0])]}, 3.0)
    one, other = (figures.accuracy([panel], ["A"], 50) for _ in range(2))
    assert one == other
    assert b"<dc:date>" not in one["svg"]


def test_label_sizes_have_a_colour_a_protocol_and_a_shape_a_column(monkeypatch):
    kept = drawn(monkeypatch)
    points = [
        Point(Row(name, "r18", 10), "A", name, size, 5.0, Score(mean, std), 3)
        for name, size, mean, std in (("all", 9000, 50.0, 1.0), ("less", 40, 44.0, None))
    ]
    points.append(Point(Row("all", "r18", 10), "B", "all", 9000, 5.0, Score(20.0, 2.0), 3))
    points.append(Point(Row("all", "r18", 1), "A", "all", 900, 5.0, Score(9.0, 2.0), 3))
    figures.label_sizes(points, 50)
    first, second = kept[0].axes
    marks = [held[0] for held in first.containers]
    assert [(*mark.get_xdata(), *mark.get_ydata()) for mark in marks] == [
        (9000, 50),
        (40, 44),
        (9000, 20),
    ]
    colours = [mark.get_color() for mark in marks]
    assert colours[0] == colours[2] != colours[1]
    shapes = [mark.get_marker() for mark in marks]
    assert shapes[0] == shapes[1] != shapes[2]
    bar = first.containers[0][2][0].get_segments()[0]
    assert bar[:, 1].tolist() == [49, 51]
    assert first.get_xscale() == "log"
    assert (first.get_title(), second.get_title()) == ("r18, IPC 10", "r18, IPC 1")
    (legend,) = kept[0].legends
    assert [text.get_text() for text in legend.get_texts()] == ["all", "less", "A", "B"]
