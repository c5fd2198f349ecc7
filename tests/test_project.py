"""The project's own files agree with each other."""

import re
import tomllib

import yaml
from conftest import ROOT


def test_the_conda_environment_has_the_same_pins() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    environment = yaml.safe_load((ROOT / "envs/scdd.yaml").read_text())
    pip = next(part["pip"] for part in environment["dependencies"] if isinstance(part, dict))
    assert pip == project["dependencies"]
    assert all("==" in pin for pin in pip)


def test_the_version_is_the_same_everywhere() -> None:
    import scdd

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert scdd.__version__ == project["version"] == citation["version"]


def test_the_plan_imports_neither_torch_nor_snakemake() -> None:
    for file in (ROOT / "scdd/plan").glob("*.py"):
        assert not re.search(r"^\s*(import|from) (torch|snakemake)", file.read_text(), re.MULTILINE)
