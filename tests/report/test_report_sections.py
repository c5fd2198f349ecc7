"""Which files an experiment's report has, their captions, and what the driver imports for that."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ROOT
from samples import params_of_backbones, params_of_methods

from scdd.report import sections
from scdd.report.measured import Measured
from scdd.report.section import CAPTIONS


def test_files_follow_the_parameters(tmp_path: Path) -> None:
    params = params_of_methods(tmp_path)
    first, second = params["cells"]
    other = {**second, "images": "images/digits-scdd-0f1e/set.json"}
    control = {**first, "method": "random", "images": "images/digits-random-77aa/set.json"}
    whole = {**first, "method": "whole", "images": None, "ipc": None}
    several = {**params, "cells": [first, other, control, {**control, "teacher": None}, whole]}
    assert [name for name in sections.files(several) if name.startswith("images_")] == [
        "images_scdd_ipc1_i.png",
        "images_scdd_ipc1_0f1e.png",
        "images_random_ipc1.png",
    ]
    varied = {**params, "recoveries": [{**params["recoveries"][0], "method": "mine"}]}
    strips = [name for name in sections.files(varied) if name.startswith("recovery")]
    assert strips == ["recovery_mine.png", "recovery_mine.gif"]
    bare = {**params, "cells": [whole], "probes": [], "recoveries": []}
    assert sections.files(bare) == [
        *("main.csv", "main.md", "main.tex", "main_notes.tex", "main.html"),
        *("all.csv", "all.html"),
        *("costs.csv", "costs.md", "costs.tex", "costs_notes.tex", "costs.html"),
        *("settings.csv", "settings.html"),
    ]


def test_every_section_has_a_page_in_snakemakes_report_and_every_page_a_caption(
    tmp_path: Path,
) -> None:
    """A section that these parameters leave out still has to name a caption that exists."""
    params = params_of_methods(tmp_path)
    params |= {"backbones": params_of_backbones(tmp_path)["backbones"]}
    entries = sections.entries(params)
    assert {"main.html", "images.html", "recoveries.html", "layers.html"} <= {*entries}
    assert {*entries} <= {*sections.files(params)}
    assert all(name.endswith(".html") for name in entries)
    every = [section.entry for section in sections.SECTIONS]
    assert {entry.caption for entry in every} == {*CAPTIONS.iterdir()}
    assert all(entry.caption.read_text().strip() for entry in every)
    assert len({entry.title for entry in every}) == len(every)


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


def test_every_page_says_where_accuracies_are_not_of_the_test_set(tmp_path: Path) -> None:
    params = params_of_backbones(tmp_path)
    entry = sections.SECTIONS[0].entry
    entry = replace(entry, body=lambda measured, contents: [])
    pages = [
        entry.page(Measured(tmp_path, params | {"holdout": share}), {}).decode()
        for share in (0.0, 0.1)
    ]
    assert ["held-out training images" in page for page in pages] == [False, True]
