"""Accuracy against bytes of soft labels: places, colours and shapes."""

from samples import drawn

from scdd.report.scores import Row, Score
from scdd.report.sections import label_sizes
from scdd.report.sections.label_sizes import Point


def test_label_sizes_have_a_colour_a_protocol_and_a_shape_a_column(monkeypatch):
    kept = drawn(monkeypatch)
    points = [
        Point(Row(name, "r18", 10), "A", name, size, 5.0, Score(mean, std), 3)
        for name, size, mean, std in (("all", 9000, 50.0, 1.0), ("less", 40, 44.0, None))
    ]
    points.append(Point(Row("all", "r18", 10), "B", "all", 9000, 5.0, Score(20.0, 2.0), 3))
    points.append(Point(Row("all", "r18", 1), "A", "all", 900, 5.0, Score(9.0, 2.0), 3))
    label_sizes.draw(points, 50)
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
