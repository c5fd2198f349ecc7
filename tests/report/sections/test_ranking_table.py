"""DD-Ranking's table: which students a score is of, seed by seed, worked out by hand."""

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import pytest
from samples import params_of_methods, run

from scdd.report import sections
from scdd.report.measured import Measured
from scdd.report.sections import ranking

# top-1 by seed
TOP1 = {
    "images": (70, 74),
    "images_hard": (30, 34),
    "images_plain": (40, 40),
    "random": (60, 60),
    "random_plain": (44, 40),
    "whole_hard": (90, 90),
}


def params_of(folder: Path, *settings: tuple[str, str, int, float]) -> dict[str, Any]:
    """Frozen parameters with a score for each method, student, IPC and what its images have in
    points beyond TOP1."""
    params = params_of_methods(folder)
    params["ranking"] = []
    for method, student, ipc, more in settings:
        of = {"method": method, "title": method.upper(), "protocol": "paper", "ipc": ipc}
        for arm, values in TOP1.items():
            for seed, top1 in enumerate(values):
                name = f"{method}-{student}-{ipc}-{arm}-{seed}.json"
                measured = {"top1": top1 + (more if arm == "images" else 0)}
                (folder / name).write_text(json.dumps(measured))
                cell = {"arm": arm, "of": of, "student": student, "seed": seed, "metrics": name}
                params["ranking"].append(cell)
    return params


def scaled(x: float) -> float:
    return 100 * (math.exp(x) - math.exp(-1)) / (math.e - math.exp(-1))


def test_scores_are_of_each_seed_and_then_averaged(tmp_path: Path) -> None:
    """HLR 60 and 56; IOR 10 and 14; x = -0.25 and -0.21. Plain gains -4 and 0: x = 0.03, 0.07."""
    (line,) = ranking.lines(Measured(tmp_path, params_of(tmp_path, ("a", "r10", 1, 0))))
    assert (line.scores["HLR"].mean, line.scores["IOR"].mean) == (58, 12)
    assert line.scores["HLR"].std == pytest.approx(8**0.5)
    label, augmentation = line.scores["LRS"], line.scores["ARS"]
    low, high = scaled(-0.25), scaled(-0.21)
    assert label.mean == pytest.approx((low + high) / 2)
    assert label.std == pytest.approx((high - low) / 2**0.5)
    assert augmentation.mean == pytest.approx((scaled(0.03) + scaled(0.07)) / 2)
    header, texts, words = ranking.cells([line], ["HLR", "Images", "Random, plain"])
    assert (header[:words], texts) == (
        ["IPC", "Method"],
        [["1", "A", "58.0 ± 2.8", "72.0 ± 2.8", "42.0 ± 2.8"]],
    )


def test_methods_of_a_setting_stand_beside_each_other(tmp_path: Path) -> None:
    params = params_of(
        tmp_path,
        *(("a", student, ipc, 0) for ipc in (10, 1) for student in ("r18", "r10")),
        *(("b", student, ipc, 2) for ipc in (10, 1) for student in ("r18", "r10")),
    )
    header, texts, _ = ranking.cells(ranking.lines(Measured(tmp_path, params)), ["IOR"])
    assert header == ["Student", "IPC", "Method", "IOR"]
    assert [line[:3] for line in texts] == [
        [student, ipc, method]
        for student in ("r18", "r10")
        for ipc in ("1", "10")
        for method in ("A", "B")
    ]
    assert {line[3] for line in texts} == {"12.0 ± 2.8", "14.0 ± 2.8"}


def test_the_report_has_its_files_with_the_source_and_the_seeds(tmp_path: Path) -> None:
    params = params_of(tmp_path, ("a", "r10", 1, 0))
    assert run(tmp_path, params) == 0
    written = {path.name: path.read_text() for path in (tmp_path / "out").glob("ranking*")}
    assert {*written} == {name for name in sections.files(params) if name.startswith("ranking")}
    assert "ranking.md" in sections.pages(params)
    (line,) = csv.DictReader(io.StringIO(written["ranking.csv"]))
    assert (line["method"], line["protocol"], line["ipc"]) == ("A", "paper", "1")
    assert (line["IOR mean"], line["Whole data, hard labels std"]) == ("12.000", "0.000")
    said = " ".join(written["ranking.md"].split())
    assert "arXiv 2505.13300" in said
    assert "for each seed of the students (0, 1)" in said
    assert r"\label{tab:digits-ranking}" in written["ranking.tex"]
