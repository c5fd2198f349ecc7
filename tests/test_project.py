"""The project's own files agree with each other."""

import subprocess
import sys
import tomllib
from pathlib import Path

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


def test_planning_imports_neither_torch_nor_snakemake(tmp_path: Path) -> None:
    """A job parses the Snakefile again, and a dry run must stay fast."""
    code = f"""
import sys, yaml
from pathlib import Path
from scdd.plan import code, load
plan = load.for_run(yaml.safe_load(open({str(ROOT / "config.yaml")!r})), Path(), is_driver=True)
code.write_prints(list(plan.nodes.values()))
print({{"torch", "torchvision", "numpy", "snakemake"}} & set(sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"


def test_every_data_file_of_the_package_is_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    package_data = project["tool"]["setuptools"]["package-data"]
    installed = {
        file
        for package, patterns in package_data.items()
        for pattern in patterns
        for file in ROOT.joinpath(*package.split(".")).glob(pattern)
    }
    files = {file for file in (ROOT / "scdd").rglob("*") if file.is_file()}
    assert {file for file in files if file.suffix not in (".py", ".pyc")} == installed
