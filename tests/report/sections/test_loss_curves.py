"""Loss curves: means and ranges."""

import pandas as pd
from samples import drawn, history, losses_frame

from scdd.report.sections import accuracy_curves, loss_curves


def test_losses_show_mean_and_range_over_units(monkeypatch):
    kept = drawn(monkeypatch)
    squeeze = pd.DataFrame({"epoch": [0, 1], "loss": [7.0, 6.0]})
    loss_curves.draw({"A": squeeze}, {"A": losses_frame(3)}, ["A"], 50)
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
    panel = accuracy_curves.Panel("IPC 1", {"A": [history([1.0])], "B": [history([2.0])]}, None)
    accuracy_curves.draw([panel], ["A", "B"], 50)
    loss_curves.draw({}, {"B": losses_frame(1)}, ["A", "B"], 50)
    of_b = kept[0].axes[0].get_lines()[1].get_color()
    assert [axes.get_lines()[0].get_color() for axes in kept[1].axes] == [of_b] * 3
    assert of_b != kept[0].axes[0].get_lines()[0].get_color()


def test_a_backbone_that_was_not_trained_has_no_line():
    empty = pd.DataFrame({"epoch": [], "loss": []}, dtype=float)
    made = loss_curves.draw({"A": empty}, {}, ["A"], 50)
    assert set(made) == {"losses.png", "losses.svg", "losses.pdf"}
