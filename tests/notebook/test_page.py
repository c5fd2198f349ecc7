"""docs/notebook.md: its twelve lines, run as they stand there."""

import re
from pathlib import Path

import pytest
from conftest import ROOT
from PIL import Image

import scdd

PAGE = (ROOT / "docs" / "notebook.md").read_text(encoding="utf-8")


def test_the_twelve_lines_distil_a_dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0]
    lines = [line for line in code.splitlines() if line]
    assert len(lines) <= 12
    exec(compile(code, "docs/notebook.md", "exec"), {})
    told = re.fullmatch(r"([\d.]+) % with one image per class\n", capsys.readouterr().out)
    assert told and float(told[1]) > 20  # chance is 10
    assert Image.open("digits.png").height > 10 * 64
    assert len(scdd.load("distilled/set.json", "distilled/labels")) == 10
