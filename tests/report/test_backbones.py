"""The report on squeezed backbones: arithmetic, layout, the figure and the program."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from scdd.artifacts.informativeness import (
    Informativeness,
    Layer,
    Signal,
    Spread,
    save_informativeness,
)
from scdd.report import backbones, figures, pages, tables
from scdd.report.backbones import SIGNALS, STATISTICS, Look


def found(size: float = 1.0, channels: int = 4, layers: int = 2) -> Informativeness:
    """Layer l has spreads (l + 1) * size."""
    made = tuple(
        Layer(f"bn{i}", channels, *(Spread(*[(i + 1) * size] * 3) for _ in range(2)))
        for i in range(layers)
    )
    return Informativeness(
        made, Signal(5, 100 * size, 2, 4), Signal(0.01, 10 * size, 0.02, 0.4), 50, 0.05, "i", "t"
    )


def look(title: str = "A", network: str = "n", size: float = 1.0, **more: Any) -> Look:
    given = {"seed": 0, "probe": 90.0, "knn": None, "found": found(size), **more}
    return Look(title, network, **given)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([50.0, 52.0, 57.0], "53.0 ± 3.6"),  # (9 + 1 + 16) / 2 = 13
        ([0.05], "0.0500"),
        ([412.3, 398.1], "405 ± 10"),
        ([0.0, 0.0], "0.00 ± 0.00"),
        ([0.00001, 0.00003], "0.0000 ± 0.0000"),
        ([], "–"),
    ],
)
def test_three_digits_of_the_mean_and_the_sample_deviation(values: list[float], text: str) -> None:
    assert backbones.shown(values) == text


def test_a_row_is_the_mean_over_layers_and_seeds() -> None:
    looks = [look(size=1.0, probe=90.0), look("B"), look(size=3.0, seed=1, probe=94.0)]
    read = list(csv.DictReader(io.StringIO(backbones.to_csv(looks))))
    assert [(line["squeeze"], line["seeds"]) for line in read] == [("A", "2"), ("B", "1")]
    first = read[0]
    # layers 1 and 2 times sizes 1 and 3: 1.5 and 4.5
    assert (first["Means: std mean"], first["Means: std std"]) == ("3", f"{3 / 2**0.5:.6g}")
    assert (first["Probe % mean"], first["BN start mean"]) == ("92", "200")
    assert (read[1]["r_bn mean"], read[1]["r_bn std"]) == ("0.05", "")
    assert {line["k-NN % mean"] for line in read} == {""}


def test_neighbours_have_a_column_where_they_were_monitored() -> None:
    without, _, _ = backbones.cells([look()], STATISTICS)
    header, lines, _ = backbones.cells([look(knn=80.04), look("B")], STATISTICS)
    assert "k-NN %" not in without
    assert [line[header.index("k-NN %")] for line in lines] == ["80.0", "–"]


def test_layers_have_a_line_each() -> None:
    read = list(csv.DictReader(io.StringIO(backbones.to_layers_csv([look(seed=None)]))))
    assert [(line["layer"], line["var_entropy"], line["seed"]) for line in read] == [
        ("bn0", "1", ""),
        ("bn1", "2", ""),
    ]


def test_notes_define_what_stands_above_them() -> None:
    said = "\n".join(backbones.notes([look(), look(seed=1), look("B")], 0.25))
    for part in (
        "std(m) / sqrt(mean of v)",
        "0.25 × ∇CE / ∇BN at the start",
        "50 iterations",
        "over n = 1 to 2 seeds of the squeeze",
        "The claim (arXiv 2404.07976)",
    ):
        assert part in said


def test_latex_has_both_tables_and_no_bare_signs() -> None:
    text = backbones.to_latex("digits", [look("R&B")], ["a_b"], "my exp")
    assert text.count(r"\begin{table}") == 2
    assert r"\label{tab:my-exp-signal}" in text
    assert r"$\nabla$CE start" in text
    assert r"R\&B" in text
    assert text.count(r"a\_b\par") == 1


# ---- the figure --------------------------------------------------------------------------------


@pytest.fixture
def panels(monkeypatch: pytest.MonkeyPatch) -> list:
    """The panels of a figure of two squeezes, one of them with two networks."""
    looks = [
        look("A", "wide", 1.0, found=found(1.0, channels=8)),
        look("A", "wide", 3.0, seed=1, found=found(3.0, channels=8)),
        look("A", "narrow", 5.0, found=found(5.0, channels=2, layers=3)),
        look("B", "wide", 7.0, found=found(7.0, channels=8)),
    ]
    kept: list = []
    monkeypatch.setattr(figures, "_files", lambda figure, dpi: kept.append(figure) or {})
    figures.informativeness(looks, 50)
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
    blue = figures.PALETTE[0]
    assert lines["-", blue] == pytest.approx([500, 200])
    assert lines["--", blue] == pytest.approx([50, 20])


# ---- the program -------------------------------------------------------------------------------


@pytest.fixture
def params(tmp_path: Path) -> dict[str, Any]:
    """The frozen parameters of a report on two seeds of one backbone, and its files."""
    looks = []
    for seed in (0, 1):
        folder = tmp_path / str(seed)
        save_informativeness(folder / "informativeness.json", found(1.0 + seed), {})
        (folder / "metrics.json").write_text(json.dumps({"top1": 90.0 + seed}))
        (folder / "history.csv").write_text("epoch,lr,loss,knn\n1,0.1,2.0,70\n2,0.1,1.5,\n")
        files = {name: f"{seed}/{name}.json" for name in ("informativeness", "metrics")}
        files["history"] = f"{seed}/history.csv"
        looks.append({"title": "MoCo v2", "network": "r10", "seed": seed, **files})
    return {
        "experiment": "look",
        "dataset": "digits",
        "data": "unread.json",
        "cells": [],
        "probes": [],
        "recoveries": [],
        "backbones": looks,
        "balance": 0.1,
        "notes": ["Assumed: x."],
        "figures": {"dpi": 50},
    }


def run(folder: Path, params: dict[str, Any], out: str = "out") -> int:
    frozen = {"stage": "tables", "version": 1, "label": "look", "digest": "t", "parents": {}}
    (folder / "config.json").write_text(json.dumps(frozen | {"params": params}))
    options = ["--config", folder / "config.json", "--results", folder, "--out", folder / out]
    return tables.main([*map(str, options), "--device", "cpu"])


def test_the_program_makes_the_files_it_says_and_the_same_twice(
    tmp_path: Path, params: dict[str, Any]
) -> None:
    assert run(tmp_path, params) == 0
    made = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert sorted(made) == sorted(pages.outputs(params))
    assert set(pages.pages(params)) <= set(made)
    assert run(tmp_path, params, "again") == 0
    assert made == {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()}
    text = made["backbones.md"].decode()
    assert "| MoCo v2 | r10     | 90.5 ± 0.7 | 70.0 ± 0.0 |" in text
    assert "- Assumed: x." in text


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("1/informativeness.json", None),
        ("1/informativeness.json", "{"),
        ("1/metrics.json", None),
        ("1/metrics.json", '{"top1": NaN}'),
        ("1/history.csv", None),
        ("1/history.csv", "epoch,knn\n1,x\n"),
    ],
)
def test_a_missing_or_damaged_file_is_named(
    tmp_path: Path, params: dict[str, Any], capsys: Any, name: str, content: str | None
) -> None:
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_text(content)
    assert run(tmp_path, params) == 1
    (error,) = (text for text in capsys.readouterr().err.splitlines() if text[:6] == "error:")
    assert str(tmp_path / name) in error


def test_every_quantity_has_a_name_of_its_own() -> None:
    assert not STATISTICS.keys() & SIGNALS.keys()
