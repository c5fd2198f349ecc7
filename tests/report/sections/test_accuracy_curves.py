"""Accuracy curves: means and bands, equal bytes."""

from samples import drawn, history

from scdd.report.sections import accuracy_curves


def test_accuracy_is_the_mean_over_seeds_where_evaluated(monkeypatch):
    kept = drawn(monkeypatch)
    seeds = [history([None, 40.0, 60.0]), history([None, 50.0, 64.0])]
    accuracy_curves.draw([accuracy_curves.Panel("IPC 1", {"A": seeds}, 90.0)], ["A"], 50)
    axes = kept[0].axes[0]
    line, whole = axes.get_lines()
    assert line.get_xdata().tolist() == [1, 2]
    assert line.get_ydata().tolist() == [45, 62]
    assert set(whole.get_ydata()) == {90}
    corners = axes.collections[0].get_paths()[0].vertices
    spread = 10 / 2**0.5  # of 40 and 50, n - 1
    at_first = {round(y, 6) for x, y in corners if x == 1}
    assert at_first == {round(45 - spread, 6), round(45 + spread, 6)}


def test_equal_input_gives_equal_bytes_without_a_date():
    panel = accuracy_curves.Panel("IPC 1", {"A": [history([1.0, 2.0])]}, 3.0)
    one, other = (accuracy_curves.draw([panel], ["A"], 50) for _ in range(2))
    assert one == other
    assert b"<dc:date>" not in one["accuracy.svg"]
