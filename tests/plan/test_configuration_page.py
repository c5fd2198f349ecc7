"""docs/input.md about configurations: each row is tried."""

import re
from pathlib import Path

import pytest
from conftest import ROOT

from scdd.errors import ScddError
from scdd.plan.load import plan_of_file

PAGE = (ROOT / "docs" / "input.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("\n## Configuration\n")[2].partition("\n## ")[0]
ROWS = re.findall(r"^\| (`.*`) \| (.*) \|$", SECTION, re.MULTILINE)
START = "experiment: e\nmethods: [random-hard]\nipc: [1]\n"


def test_the_page_has_rows() -> None:
    assert len(ROWS) > 15


@pytest.mark.parametrize(("written", "result"), ROWS, ids=[row[0] for row in ROWS])
def test_a_configuration_is_read_or_refused_as_the_page_says(
    tmp_path: Path, written: str, result: str
) -> None:
    lines = re.findall("`([^`]+)`", written)
    (tmp_path / "c.yaml").write_text(START + "\n".join(lines))
    if result.startswith("read"):
        plan_of_file(tmp_path / "c.yaml")
        return
    with pytest.raises(ScddError) as refusal:
        plan_of_file(tmp_path / "c.yaml")
    assert result.removeprefix("refused: ") in str(refusal.value)
