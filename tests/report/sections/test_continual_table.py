"""Continual learning's table and figure: which students a number is of."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from samples import drawn, params_of_methods, run

from scdd.report import sections
from scdd.report.measured import Measured
from scdd.report.sections import continual
from scdd.report.sections.continual import Setting


def params_of(folder: Path, settings: list[Setting], orders: int = 2) -> dict[str, Any]:
    """Frozen parameters with ten classes and the methods A and B: their top-1 is 100 less what is
    seen, ten points more with each order, and of B one point less."""
    params = params_of_methods(folder)
    params["continual"] = []
    for setting in settings:
        for method, order in ((m, o) for m in "ab" for o in range(orders)):
            for step in range(1, setting.steps + 1):
                seen = 10 * step // setting.steps
                name = f"{'-'.join(map(str, setting))}-{method}-{order}-{step}.json"
                top1 = 100 - seen - 10 * order - (method == "b")
                (folder / name).write_text(json.dumps({"top1": top1}))
                cell = {"title": method.upper(), "metrics": name, **setting._asdict()}
                params["continual"].append(cell | {"step": step, "order": order, "seen": seen})
    return params


def test_numbers_are_means_over_class_orders_by_classes_seen(tmp_path: Path) -> None:
    params = params_of(tmp_path, [Setting("paper", "r10", 10, 2)])
    ((setting, by_method),) = continual.curves(Measured(tmp_path, params)).items()
    assert setting == ("paper", "r10", 10, 2)
    assert {title: {*curve} for title, curve in by_method.items()} == {"A": {5, 10}, "B": {5, 10}}
    assert (by_method["A"][5].mean, by_method["B"][10].mean) == (90, 84)
    assert by_method["A"][5].std == pytest.approx(50**0.5)
    header, lines, words = continual.cells(by_method)
    assert (header, words) == (["Method", "5 classes", "10 classes"], 1)
    assert lines[0] == ["A", "90.0 ± 7.1", "85.0 ± 7.1"]


def test_settings_stand_in_order_and_tell_what_differs(tmp_path: Path) -> None:
    settings = [
        Setting("paper", student, ipc, steps)
        for student in ("r18", "r10")
        for ipc in (10, 1)
        for steps in (10, 5)
    ]
    by_setting = continual.curves(Measured(tmp_path, params_of(tmp_path, settings)))
    assert continual.names([*by_setting]) == [
        f"{steps} steps, IPC {ipc}, {student}"
        for student in ("r18", "r10")
        for ipc in (1, 10)
        for steps in (5, 10)
    ]
    assert continual.cells(by_setting[settings[0]]).header[1] == "1 class"


@pytest.mark.parametrize(("steps", "told"), [(10, True), (5, False)])
def test_that_one_class_is_always_right_is_said_where_it_is_so(
    tmp_path: Path, steps: int, told: bool
) -> None:
    params = params_of(tmp_path, [Setting("paper", "r10", 10, steps)])
    assert ("A student that knows one class is always right." in continual.notes(params)) == told


def test_the_figure_has_a_panel_for_each_number_of_steps_and_a_band_for_each_method(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = drawn(monkeypatch)
    settings = [Setting("paper", "r10", 10, steps) for steps in (2, 5)]
    continual.draw(continual.curves(Measured(tmp_path, params_of(tmp_path, settings))), 50)
    few, many = kept[0].axes
    assert (few.get_title(), many.get_title()) == ("2 steps, IPC 10", "5 steps, IPC 10")
    assert [line.get_xdata().tolist() for line in few.lines] == [[5, 10]] * 2
    assert few.lines[0].get_ydata().tolist() == [90, 85]
    assert len(few.collections) == 2
    band = few.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == pytest.approx((85 - 50**0.5, 90 + 50**0.5))
    # told apart in grey, and the same in all panels
    assert few.lines[0].get_marker() != few.lines[1].get_marker()
    assert [a.get_marker() for a in few.lines] == [a.get_marker() for a in many.lines]
    (legend,) = kept[0].legends
    assert [text.get_text() for text in legend.get_texts()] == ["A", "B"]


@pytest.mark.parametrize(
    ("orders", "told"), [(2, "over 2 class orders"), (1, "One class order: no standard deviation")]
)
def test_the_report_has_its_files_and_says_what_they_are(
    tmp_path: Path, orders: int, told: str
) -> None:
    params = params_of(tmp_path, [Setting("paper", "r10", 10, 5)], orders)
    assert all((tmp_path / name).is_file() for name in sections.inputs(params))
    assert run(tmp_path, params) == 0
    written = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("continual*")}
    assert {*written} == {name for name in sections.files(params) if name.startswith("continual")}
    assert "continual.md" in sections.pages(params)
    first, *_ = csv.DictReader(io.StringIO(written["continual.csv"].decode()))
    assert (first["method"], first["steps"], first["classes"]) == ("A", "5", "2")
    assert first["mean"] == ("93.000" if orders == 2 else "98.000")
    said = " ".join(written["continual.md"].decode().split())
    assert told in said
    assert "## 5 steps, IPC 10" in said
