"""The last and the best evaluation of learned images: values, marks and curves."""

import json
from pathlib import Path
from typing import Any

from samples import drawn

from scdd.report.measured import Measured
from scdd.report.sections import snapshots

RUN = snapshots.Run("DM", 1, "dc", "convnet3")


def params_of(folder: Path) -> dict[str, Any]:
    """Two seeds at iterations 10, 20 and, finished, 30; and a method without snapshots."""
    top1 = {10: (40.0, 42.0), 20: (60.0, 64.0), 30: (50.0, 52.0)}
    cells: list[dict[str, Any]] = []
    for at, values in top1.items():
        for seed, value in enumerate(values):
            file = folder / f"{at}-{seed}.json"
            file.write_text(json.dumps({"top1": value}))
            cell = {"title": "DM", "ipc": 1, "protocol": "dc", "student": "convnet3"}
            cells.append(cell | {"at": at, "metrics": file.name})
    finished = [{k: v for k, v in cell.items() if k != "at"} for cell in cells if cell["at"] == 30]
    other = {**finished[0], "title": "Random"}
    return {
        "cells": [*finished, other],
        "snapshots": [cell for cell in cells if cell["at"] < 30],
        "learned": [{"title": "DM", "ipc": 1, "iterations": 30}],
    }


def test_a_curve_has_the_snapshots_and_the_finished_images(tmp_path: Path) -> None:
    curves = snapshots.curves(Measured(tmp_path, params_of(tmp_path)))
    assert list(curves) == [RUN]
    assert {at: score.mean for at, score in curves[RUN].items()} == {10: 41, 20: 62, 30: 51}


def test_the_page_has_the_last_and_the_best_and_says_how_the_best_was_chosen(
    tmp_path: Path,
) -> None:
    curves = snapshots.curves(Measured(tmp_path, params_of(tmp_path)))
    page = snapshots.to_markdown(curves, holdout=0.0)
    (line,) = [line for line in page.splitlines() if line.startswith("| DM")]
    cells = [cell.strip() for cell in line.split("|")][1:-1]
    assert cells == ["DM", "dc", "convnet3", "1", "51.0 ± 1.4", "62.0 ± 2.8", "20"]
    assert "CHOSEN ON THE TEST IMAGES" in page
    assert "CHOSEN ON THE HELD-OUT TRAINING IMAGES" in snapshots.to_markdown(curves, holdout=0.1)


def test_the_csv_has_a_line_for_each_point(tmp_path: Path) -> None:
    curves = snapshots.curves(Measured(tmp_path, params_of(tmp_path)))
    lines = snapshots.to_csv(curves).splitlines()
    assert len(lines) == 1 + 3
    assert lines[1] == "DM,1,dc,convnet3,10,41.000,1.414"


def test_without_snapshots_there_is_nothing_to_show(tmp_path: Path) -> None:
    params = params_of(tmp_path)
    del params["snapshots"]
    assert snapshots.files(params) == []


def test_the_figure_has_a_line_for_each_ipc(tmp_path: Path, monkeypatch: Any) -> None:
    kept = drawn(monkeypatch)
    curve = snapshots.curves(Measured(tmp_path, params_of(tmp_path)))[RUN]
    snapshots.draw({RUN: curve, RUN._replace(ipc=10): curve}, 50)
    (axes,) = kept[0].axes
    assert [line.get_ydata().tolist() for line in axes.lines] == [[41, 62, 51]] * 2
    assert axes.get_title() == "DM, dc, convnet3"
