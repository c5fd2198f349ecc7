"""Accuracy over a swept key: which points, lines and panels, and how the axis is spaced."""

import csv
import io
from typing import Any

import pytest
from samples import drawn, student, table

from scdd.report.scores import Column, Table
from scdd.report.sections import sweeps

SWEEP = {
    "kind": "method",
    "name": "scdd",
    "title": "SC-DD",
    "keys": ["lr", "iterations"],
    "variants": {f"{lr}-{n}": [lr, n] for lr in (0.2, 0.4, 0.8) for n in (10, 20)},
}
ONE_KEY = {**SWEEP, "keys": ["lr"], "variants": {f"{lr}": [lr] for lr in (0.2, 0.4, 0.8)}}
OF_PROTOCOL = {**ONE_KEY, "kind": "protocol", "name": "paper", "title": "paper"}


def column(variant: str) -> Column:
    return Column(variant, f"SC-DD, {variant}", "scdd")


def measured(sweep: dict[str, Any], *, ipcs: tuple[int, ...] = (10,)) -> Table:
    """Two students of each variant and a control that was not swept. Variant number n has a mean of
    50 + n."""
    students = [student(Column("random", "Random", "scdd"), ipc) for ipc in ipcs]
    for number, name in enumerate(sweep["variants"]):
        for ipc in ipcs:
            top1 = 50.0 + number
            students += [
                student(column(name), ipc, 0, top1 - 1),
                student(column(name), ipc, 1, top1 + 1),
            ]
    return table(*students)


def bars(axes: Any) -> list[tuple[list[float], list[float]]]:
    """Places and means of each line."""
    return [tuple(held[0].get_data()[i].tolist() for i in (0, 1)) for held in axes.containers]


def test_files_are_named_after_what_was_swept() -> None:
    params = {"sweeps": [ONE_KEY, OF_PROTOCOL]}
    assert sweeps.files(params) == [
        *(f"sweep_scdd.{kind}" for kind in ("csv", "png", "svg", "pdf")),
        *(f"sweep_protocol_paper.{kind}" for kind in ("csv", "png", "svg", "pdf")),
    ]
    assert sweeps.files({}) == []


def test_only_variants_are_points() -> None:
    points = sweeps.points(ONE_KEY, measured(ONE_KEY))
    assert [(point.values, point.other, point.score.mean) for point in points] == [
        ((0.2,), "paper", 50),
        ((0.4,), "paper", 51),
        ((0.8,), "paper", 52),
    ]


def test_a_protocols_variants_have_a_line_for_each_method() -> None:
    students = [
        student(column, 10, 0, top1, name)
        for column in (Column("scdd", "SC-DD", "scdd"), Column("random", "Random", "scdd"))
        for name, top1 in (("0.4", 51.0), ("0.2", 50.0))
    ]
    by_line = sweeps.lines(OF_PROTOCOL, sweeps.points(OF_PROTOCOL, table(*students)))
    assert {name: [point.values for point in points] for name, points in by_line.items()} == {
        "SC-DD": [(0.2,), (0.4,)],
        "Random": [(0.2,), (0.4,)],
    }


def test_the_figure_has_a_panel_for_each_ipc_and_error_bars(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = drawn(monkeypatch)
    points = sweeps.points(ONE_KEY, measured(ONE_KEY, ipcs=(1, 10)))
    sweeps.draw(ONE_KEY, points, 50)
    first, second = kept[0].axes
    assert (first.get_title(), second.get_title()) == ("IPC 1", "IPC 10")
    assert bars(first) == [([0.2, 0.4, 0.8], [50, 51, 52])]
    (segment, *_) = first.containers[0][2][0].get_segments()
    assert segment[:, 1].tolist() == pytest.approx([50 - 2**0.5, 50 + 2**0.5])
    assert first.get_xscale() == "log"
    assert [tick.get_text() for tick in first.get_xticklabels()] == ["0.2", "0.4", "0.8"]
    assert first.get_xlabel() == "SC-DD: lr"
    assert not kept[0].legends


def test_a_second_key_has_a_line_for_each_value(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = drawn(monkeypatch)
    sweeps.draw(SWEEP, sweeps.points(SWEEP, measured(SWEEP)), 50)
    (axes,), (legend,) = kept[0].axes, kept[0].legends
    assert [text.get_text() for text in legend.get_texts()] == ["iterations 10", "iterations 20"]
    assert bars(axes) == [([0.2, 0.4, 0.8], [50, 52, 54]), ([0.2, 0.4, 0.8], [51, 53, 55])]


def test_values_in_words_stand_side_by_side_without_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = drawn(monkeypatch)
    words = {**ONE_KEY, "variants": {"a": ["auto"], "b": [0.05], "c": [None]}}
    sweeps.draw(words, sweeps.points(words, measured(words)), 50)
    (axes,) = kept[0].axes
    assert bars(axes) == [([0, 1, 2], [50, 51, 52])]
    assert axes.containers[0][0].get_linestyle() == "None"
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["auto", "0.05", "null"]


@pytest.mark.parametrize(
    ("values", "log"),
    [
        ([0.2, 0.4, 0.8], True),
        ([1, 10, 100, 1000], True),
        ([1, 2, 5, 10], True),
        ([100, 200, 300], False),
        ([0, 1, 10], False),
        ([-1, 1, 10], False),
        ([1, 100], False),
    ],
)
def test_the_axis_is_logarithmic_where_values_are_spaced_so(values: list[float], log: bool) -> None:
    assert sweeps.is_log(values) is log


def test_the_csv_has_the_keys_and_the_numbers() -> None:
    points = sweeps.points(SWEEP, measured(SWEEP))
    line = next(csv.DictReader(io.StringIO(sweeps.to_csv(SWEEP, points))))
    assert line == {
        "lr": "0.2",
        "iterations": "10",
        "protocol": "paper",
        "student": "r18",
        "ipc": "10",
        "mean": "50.000",
        "std": "1.414",
    }
