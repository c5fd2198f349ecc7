"""What the tests share: a small experiment, and a checkout of this project to run it in."""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("Snakefile", "rules", "scdd", "profiles", "slurm", "envs", "snakemake_logger_plugin_scdd")
OWN_LINES = "--logger-scdd-own-lines"  # of Snakemake: they name the rule of each job
MADE = ("*.safetensors", "*.json", "*.csv", "*.md", "*.tex", "*.sha256")
OTHERS = shutil.ignore_patterns("__pycache__", "cluster.yaml")  # the user's, not the project's

# three classes, one image each, every stage as short as it can be
TINY: dict[str, Any] = {
    "experiment": "tiny",
    "dataset": {"name": "digits", "classes": 3},
    "backbone": {"arch": "resnet10", "width": 0.125},
    "methods": ["scdd"],
    "ipc": [1],
    "students": [{"arch": "resnet10", "width": 0.125}],
    "seeds": [0],
    "squeeze": {"mocov2": {"epochs": 1, "batch": 64, "queue": 128, "bn_groups": 2}},
    "probe": {"features": "clean", "epochs": 1, "lr": 1},
    "recover": {"iterations": 2, "block": 3, "shift": 1},
    "protocol": {"scdd-paper": {"epochs": 1, "view": {"pad": 1}}},
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest test comes first: as the last one it would keep a single process busy."""
    items.sort(key=lambda item: item.path.name != "test_chaos.py")


@pytest.fixture(autouse=True)
def environment_stays() -> Iterator[None]:
    """A driver tells its jobs of itself by variables, which the next test shall not find."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def torch_stays() -> Iterator[None]:
    """What a GPU's job sets in torch, which the next test shall not find."""
    import torch

    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark
    yield
    torch.set_float32_matmul_precision(before[0])
    torch.backends.cudnn.benchmark = before[1]


@pytest.fixture
def tiny() -> dict[str, Any]:
    """A copy of the small experiment, to be changed at will."""
    copy: dict[str, Any] = yaml.safe_load(yaml.safe_dump(TINY))
    return copy


class Checkout:
    """A copy of the project in its own folder, with one configuration, and runs of Snakemake."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.printed = ""  # by the run of `finished`

    def configure(self, config: dict[str, Any]) -> None:
        (self.folder / "config.yaml").write_text(yaml.safe_dump(config))

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]

    @property
    def environment(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "PYTHONDONTWRITEBYTECODE": "1"}

    def run(self, *arguments: str, fails: bool = False, own_lines: bool = True) -> str:
        """Run Snakemake; returns all it printed: its own lines, or those of our console."""
        shown = [OWN_LINES] if own_lines else []
        done = subprocess.run(
            self.command(*shown, *arguments),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        printed = done.stdout + done.stderr
        assert (done.returncode != 0) == fails, printed
        return printed

    def jobs(self, *arguments: str) -> Counter[str]:
        """Run Snakemake; returns how many jobs it executed by rule."""
        return Counter(re.findall(r"^(?:local)?rule (\w+):$", self.run(*arguments), re.MULTILINE))

    def files(self, pattern: str) -> dict[str, tuple[bytes, int]]:
        """Content and modification time of each file that matches."""
        found = sorted(self.folder.glob(pattern))
        return {
            str(file.relative_to(self.folder)): (file.read_bytes(), file.stat().st_mtime_ns)
            for file in found
        }


def new_checkout(folder: Path) -> Checkout:
    folder.mkdir(parents=True)
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=OTHERS)
        else:
            shutil.copy2(source, folder / part)
    return Checkout(folder)


def content(checkout: Checkout) -> dict[str, bytes]:
    """Everything of a run that does not name its folder, its time or what it took."""
    files = {
        name: content
        for pattern in MADE
        for name, (content, _) in checkout.files(f"results/**/{pattern}").items()
    }
    return {
        name: held.partition(b"## Seconds by stage")[0]
        for name, held in files.items()
        if "plans/" not in name and "/costs" not in name
    }


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout in which the small experiment has run. Not to be changed: see `again`."""
    checkout = new_checkout(tmp_path_factory.mktemp("workflow") / "finished")
    checkout.configure(TINY)
    checkout.printed = checkout.run(own_lines=False)
    return checkout


@pytest.fixture
def again(finished: Checkout, tmp_path: Path) -> Checkout:
    """A copy of the finished checkout, times and all, to be changed at will."""
    shutil.copytree(finished.folder, tmp_path / "again", symlinks=True)
    return Checkout(tmp_path / "again")
