"""Which files an experiment's report has, their captions, and what the driver imports for that."""

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from samples import params_of_backbones, params_of_methods

from scdd.report import sections


def test_files_follow_the_parameters(tmp_path: Path) -> None:
    params = params_of_methods(tmp_path)
    first, second = params["cells"]
    other = {**second, "images": "images/digits-scdd-0f1e/set.json"}
    control = {**first, "method": "random", "images": "images/digits-random-77aa/set.json"}
    whole = {**first, "method": "whole", "images": None, "ipc": None}
    several = {**params, "cells": [first, other, control, {**control, "teacher": None}, whole]}
    assert [name for name in sections.files(several) if name.startswith("images")] == [
        "images_scdd_ipc1_i.png",
        "images_scdd_ipc1_0f1e.png",
        "images_random_ipc1.png",
    ]
    varied = {**params, "recoveries": [{**params["recoveries"][0], "method": "mine"}]}
    strips = [name for name in sections.files(varied) if name.startswith("recovery")]
    assert strips == ["recovery_mine.png", "recovery_mine.gif"]
    bare = {**params, "cells": [whole], "probes": [], "recoveries": []}
    assert sections.files(bare) == ["main.csv", "main.md", "main.tex", "all.csv", "costs.csv"]


def test_every_file_in_snakemakes_report_has_a_caption(tmp_path: Path) -> None:
    """A section that these parameters leave out still has to name a caption that exists."""
    params = params_of_methods(tmp_path)
    params |= {"backbones": params_of_backbones(tmp_path)["backbones"]}
    captions = sections.captions(params)
    assert {"main.csv", "images_scdd_ipc1.png", "recovery_scdd.gif", "layers.csv"} <= {*captions}
    assert not [name for name in captions if name.endswith((".md", ".tex", ".svg"))]
    folder = ROOT / "rules" / "report"
    used = {section.caption for section in sections.SECTIONS}
    assert used == {path.name for path in folder.iterdir()}
    assert all((folder / name).read_text().strip() for name in used)


@pytest.mark.parametrize("ablation", [False, True])
def test_pages_are_files_of_the_report(tmp_path: Path, ablation: bool) -> None:
    params = params_of_methods(tmp_path)
    if ablation:
        params["ablation"] = {}
    params |= {"backbones": params_of_backbones(tmp_path)["backbones"]}
    pages = sections.pages(params)
    assert pages == [f"{'ablation' if ablation else 'main'}.md", "backbones.md"]
    assert {*pages} <= {*sections.files(params)}


def test_what_the_driver_asks_imports_nothing_heavy() -> None:
    """The rules ask for files and inputs; only the tables' job draws and reads tensors."""
    code = """
import sys
import scdd.plan.load, scdd.report.sections
print({"torch", "numpy", "pandas", "matplotlib"} & set(sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"
