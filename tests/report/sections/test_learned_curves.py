"""Losses and learned rates of methods that learn their images."""

from typing import Any

import pandas as pd
from samples import drawn

from scdd.report.sections import learned_curves

NONE = float("nan")


def frame(losses: list[float], rates: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"iteration": [0, 5], "loss": losses, "student_lr": rates})


def test_a_method_has_a_panel_for_its_loss_and_one_for_the_rate_if_it_learns_one(
    monkeypatch: Any,
) -> None:
    kept = drawn(monkeypatch)
    histories = {
        ("DM", 1): frame([3, 2], [NONE, NONE]),
        ("DM", 10): frame([5, 4], [NONE, NONE]),
        ("MTT", 1): frame([0.9, 0.5], [0.01, 0.02]),
    }
    learned_curves.draw(histories, 50)
    panels = {axes.get_title(): axes for axes in kept[0].axes if axes.lines}
    assert list(panels) == ["DM: loss", "MTT: loss", "MTT: students' lr"]
    assert [line.get_ydata().tolist() for line in panels["DM: loss"].lines] == [[3, 2], [5, 4]]
    assert panels["MTT: students' lr"].lines[0].get_ydata().tolist() == [0.01, 0.02]
    (legend,) = kept[0].legends
    assert [text.get_text() for text in legend.get_texts()] == ["IPC 1", "IPC 10"]


def test_without_learned_images_there_is_nothing_to_show() -> None:
    assert learned_curves.files({"cells": []}) == []
