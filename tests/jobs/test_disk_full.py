"""A full disk: one clear line, nothing half-written that a later run would trust."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import TINY, Checkout, new_checkout

pytestmark = pytest.mark.workflow
KB = 1024


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Checkout]:
    """A checkout whose results are on a file system of 4 MB of their own."""
    checkout = new_checkout(tmp_path / "small")
    results = checkout.folder / "results"
    results.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(results)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small file system")
    yield checkout
    subprocess.run(["umount", str(results)], check=True)


def fill(folder: Path, leave: int) -> Path:
    """A file that leaves so many bytes of a file system."""
    ballast = folder / "ballast"
    ballast.write_bytes(bytes(shutil.disk_usage(folder).free - leave))
    return ballast


def contents(checkout: Checkout) -> dict[str, bytes]:
    files = checkout.files("results/**/*.safetensors")
    return {name: content for name, (content, _) in files.items()}


def test_a_run_stops_with_one_line_and_completes_when_there_is_room(
    small: Checkout, finished: Checkout
) -> None:
    small.configure(TINY)
    for leave, victim in ((200 * KB, "train.safetensors"), (150 * KB, "backbone.safetensors")):
        ballast = fill(small.folder / "results", leave)
        printed = small.run(fails=True)
        assert f"{victim} was not written" in printed
        assert "Make room, then run snakemake again" in printed
        assert "Traceback" not in printed
        assert not list(small.folder.glob(f"results/**/*{victim}*"))
        ballast.unlink()
        small.run("--until", "data")
    small.run()
    assert contents(small) == contents(finished)
    (log,) = small.folder.glob("logs/squeeze/*/squeeze.log")
    assert "finished by an earlier attempt" in log.read_text()
