"""Jobs and driver killed at random moments: the results are those of a quiet run, to the bit."""

import os
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import Checkout, content, new_checkout

pytestmark = pytest.mark.workflow

DIGITS: dict[str, Any] = {
    "experiment": "chaos",
    "dataset": "digits",
    "backbone": {"arch": "resnet10", "width": 0.125},
    "methods": ["scdd", "random", {"name": "mtt", "ipc": [1]}],
    "ipc": [1, 10],
    "students": [{"arch": "resnet10", "width": 0.125}],
    "seeds": [0, 1],
    # long enough for all that is to happen to it
    "squeeze": {"mocov2": {"epochs": 8, "batch": 64, "queue": 128, "bn_groups": 2}},
    "experts": {"count": 2, "per_file": 1},
    "learn": {"mtt": {"network": {"width": 0.125}, "iterations": 60, "steps": 3}},
    "probe": {"features": "augmented", "epochs": 2, "lr": 1},
    "recover": {"iterations": 150, "block": 5, "shift": 1},
    "protocol": {"scdd-paper": {"epochs": 10, "epochs_per_shard": 5, "view": {"pad": 1}}},
    "machine": {"save_every": 0.2},
}


def programs(folder: Path) -> list[int]:
    """The process ids of the stage programs that run in `folder`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().split(b"\0")
            here = (process / "cwd").resolve() == folder
        except OSError:  # it has ended meanwhile
            continue
        if here and any(word.startswith(b"scdd.") for word in command[1:3]):
            found.append(int(process.name))
    return found


class Driver:
    """Snakemake on a checkout, started again whenever it has ended."""

    def __init__(self, checkout: Checkout, log: Path) -> None:
        self.checkout, self.log = checkout, log.open("w")
        self.start()

    def start(self) -> None:
        self.running = subprocess.Popen(
            self.checkout.command("--retries", "3", "--keep-going"),
            cwd=self.checkout.folder,
            env=self.checkout.environment,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def kill(self) -> None:
        self.running.kill()
        self.running.wait()
        self.checkout.run("--unlock")
        self.start()


def test_kills_at_random_moments_change_nothing(tmp_path: Path) -> None:
    quiet = new_checkout(tmp_path / "quiet")
    quiet.configure(DIGITS)
    quiet.run()
    disturbed = new_checkout(tmp_path / "disturbed")
    disturbed.configure(DIGITS)
    log = tmp_path / "snakemake.log"
    draw = random.Random(0)
    events = draw.sample(["program"] * 20 + ["driver"] * 5, 25)
    driver = Driver(disturbed, log)
    for event in events:
        time.sleep(draw.uniform(1, 8))
        while event == "program" and not programs(disturbed.folder):
            if driver.running.poll() is not None:  # its tries were used up
                assert driver.running.returncode != 0, "the run ended before all events"
                driver.start()
            time.sleep(0.1)
        if event == "driver":
            driver.kill()
        for process in programs(disturbed.folder) if event == "program" else []:
            os.kill(process, signal.SIGKILL)
    for _ in range(5):
        if driver.running.wait() == 0:
            break
        driver.start()
    assert driver.running.returncode == 0, log.read_text()
    assert content(disturbed) == content(quiet)
    assert not (disturbed.folder / "work").exists()
    assert not [path for path in (disturbed.folder / "results").rglob(".*")]
