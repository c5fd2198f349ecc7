"""The figure of squeezed backbones: means, deviations and places."""

import pytest
from samples import drawn, informativeness, look

from scdd.report import plots
from scdd.report.sections import backbone_curves


@pytest.fixture
def panels(monkeypatch: pytest.MonkeyPatch) -> list:
    """The panels of a figure of two squeezes, one of them with two networks."""
    looks = [
        look("A", "wide", 1.0, informativeness=informativeness(1.0, channels=8)),
        look("A", "wide", 3.0, seed=1, informativeness=informativeness(3.0, channels=8)),
        look("A", "narrow", 5.0, informativeness=informativeness(5.0, channels=2, layers=3)),
        look("B", "wide", 7.0, informativeness=informativeness(7.0, channels=8)),
    ]
    kept = drawn(monkeypatch)
    backbone_curves.draw(looks, 50)
    return kept[0].axes


def test_layers_are_drawn_as_means_over_seeds_with_their_deviation(panels: list) -> None:
    wide, narrow, other = (line.get_ydata().tolist() for line in panels[0].get_lines())
    assert (wide, narrow, other) == ([2, 4], [5, 10, 15], [7, 14])
    corners = panels[0].collections[0].get_paths()[0].vertices
    spread = 2**0.5  # of 1 and 3
    at_first = {round(y, 6) for x, y in corners if x == 1}
    assert at_first == {round(2 - spread, 6), round(2 + spread, 6)}


def test_networks_stand_from_narrow_to_wide(panels: list) -> None:
    assert [label.get_text() for label in panels[4].get_xticklabels()] == ["narrow", "wide"]
    of_a, of_b = (line for line in panels[4].get_lines() if line.get_linestyle() == "-")
    assert (of_a.get_xdata().tolist(), of_a.get_ydata().tolist()) == ([0, 1], [10, 3])
    assert (of_b.get_xdata().tolist(), of_b.get_ydata().tolist()) == ([1], [10.5])


def test_a_signal_is_drawn_at_start_and_end(panels: list) -> None:
    lines = {
        (line.get_linestyle(), line.get_color()): line.get_ydata().tolist()
        for line in panels[8].get_lines()
        if line.get_linestyle() in ("-", "--")
    }
    blue = plots.PALETTE[0]
    assert lines["-", blue] == pytest.approx([500, 200])
    assert lines["--", blue] == pytest.approx([50, 20])
