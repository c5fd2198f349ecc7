"""benchmarks/gpu.sh: its steps in processes of their own, its limits and its report; the steps
themselves are pretended (CI runs all of them in small)."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from conftest import ROOT

from scdd.plan.load import plan_of, read_config
from scdd.plan.stages import STAGES

# replaces the steps: each notes that it began, then behaves as its name says
PRETENDED = """
import sys, time
from pathlib import Path
from gpu import __main__ as program, steps
from gpu.report import Outcome

def begun(place, name):
    with (place.folder / "begun.txt").open("a") as file:
        file.write(name + "\\n")

def good(place):
    begun(place, "good")
    return Outcome("done", 0, ["all is well"], {"figure": 7.0})

def bad(place):
    begun(place, "bad")
    for number in range(50):
        print("line", number)
    raise ValueError("this went wrong")

def slow(place):
    begun(place, "slow")
    time.sleep(60)
    return Outcome("done", 0)

def last(place):
    begun(place, "last")
    return Outcome("done", 0, ["the last"])

def row(name, share=1.0, least=1):
    return steps.Step(1, f"pretended.{name}", name, share, least)

ROWS = {ROWS}
program.STEPS.clear()
program.STEPS.update({name: row(name, *more) for name, more in ROWS.items()})
"""


class Script:
    """The script with pretended steps, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reports = folder / "gpu"

    def write(self, rows: dict[str, tuple[float, ...]]) -> None:
        package = self.folder / "code" / "gpu"
        package.mkdir(parents=True, exist_ok=True)
        for file in (ROOT / "benchmarks" / "gpu").glob("*.py"):
            (package / file.name).write_text(file.read_text())
        (package / "pretended.py").write_text(PRETENDED.replace("{ROWS}", repr(rows)))
        main = package / "__main__.py"
        text = main.read_text()
        hook = "import gpu.pretended  # noqa\n\n\ndef code_key"
        main.write_text(text.replace("def code_key", hook, 1))

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        path = os.pathsep.join([str(self.folder / "code"), str(ROOT), str(ROOT / "tests")])
        return subprocess.Popen(
            [sys.executable, "-m", "gpu", "--small", "--out", str(self.reports), *arguments],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str) -> tuple[int, str]:
        process = self.start(*arguments)
        printed = process.communicate(timeout=120)[0]
        return process.returncode, printed

    @property
    def page(self) -> str:
        return (self.reports / "cpu-small.md").read_text()

    def states(self) -> dict[str, str]:
        report = json.loads((self.reports / "cpu-small.json").read_text())
        return {name: step["state"] for name, step in report["steps"].items()}

    def begun(self) -> list[str]:
        return (self.reports / "cpu-small" / "begun.txt").read_text().split()


@pytest.fixture
def script(tmp_path: Path) -> Script:
    return Script(tmp_path)


def test_a_step_that_fails_shows_its_last_lines_and_the_next_one_runs(script: Script) -> None:
    script.write({"bad": (), "good": ()})
    code, printed = script.run("60")
    assert code == 1, printed
    assert script.states() == {"bad": "failed", "good": "done"}
    assert "ValueError: this went wrong" in script.page
    assert "line 49" in script.page
    assert "line 20\n" not in script.page
    assert "all is well" in script.page


def test_what_is_done_is_not_repeated_and_what_failed_is_tried_again(script: Script) -> None:
    script.write({"good": (), "bad": ()})
    script.run("60")
    code, printed = script.run("60")
    assert code == 1
    assert "good: done before" in printed
    assert script.begun() == ["good", "bad", "bad"]


def test_a_step_without_time_is_skipped_by_name(script: Script) -> None:
    script.write({"good": (), "slow": (), "last": ()})
    code, _ = script.run("14")
    assert code == 1
    assert script.states() == {"good": "done", "slow": "failed", "last": "skipped"}
    assert "**last** (skipped)" in script.page
    assert "Ended after" in script.page


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_killed_in_the_middle_it_leaves_no_process_and_goes_on(
    script: Script, number: signal.Signals
) -> None:
    script.write({"good": (), "slow": ()})
    process = script.start("60")
    begun = script.reports / "cpu-small" / "begun.txt"
    while not begun.exists() or "slow" not in begun.read_text():
        time.sleep(0.1)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert script.states() == {"good": "done"}
    marked = str(script.reports)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and _commands(marked):
        time.sleep(0.1)
    assert not _commands(marked)
    script.write({"good": (), "slow": (), "last": ()})
    script.run("14")
    assert script.begun().count("good") == 1


def _commands(text: str) -> list[str]:
    """Of the processes that name `text`."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if text in command:
            found.append(command)
    return found


def test_without_a_gpu_it_says_so_in_one_line() -> None:
    done = subprocess.run(
        [ROOT / "benchmarks" / "gpu.sh"],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, len(done.stdout.splitlines())) == (2, 1)
    assert "--small" in done.stdout


def test_its_experiments_have_every_stage() -> None:
    """`theirs` imports what `everything` made: images and labels. A paper computes nothing."""
    plan = plan_of(read_config(ROOT / "benchmarks" / "gpu" / "everything.yaml"))
    covered = {node.stage for node in plan.nodes.values()}
    assert covered | {"import_images", "import_labels", "paper"} == set(STAGES)


def test_without_cifar100_the_row_tells_how_to_bring_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = textwrap.dedent("""
        from pathlib import Path
        from gpu import row
        from gpu.place import ROOT, Place
        row.DATA = ROOT / "data" / "no-such-folder"
        print(row.row(Place(Path("."), False, 0)).lines[0])
    """)
    path = os.pathsep.join(str(ROOT / part) for part in ("benchmarks", "", "tests"))
    printed = subprocess.run(
        [sys.executable, "-c", text],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "download=True" in printed
