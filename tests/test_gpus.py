"""One job a device, without a scheduler that hands devices out. The devices are pretended."""

import itertools
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections import defaultdict
from pathlib import Path

import pytest
import torch
from conftest import ROOT

from scdd import gpus, runtime

BODY = """
import sys, time
from pathlib import Path
from scdd import gpus
gpus.folder = lambda: Path({folder!r})
device = gpus.take(gpus.visible(4))
"""


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def test_twelve_jobs_share_four_devices_one_each(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    body = BODY.format(folder=str(tmp_path / "locks"))
    (tmp_path / "job.py").write_text(
        body
        + textwrap.dedent("""
            start = time.time()
            time.sleep(0.5)
            Path(sys.argv[1]).write_text(f"{device} {start} {time.time()}")
        """)
    )
    (tmp_path / "Snakefile").write_text(
        textwrap.dedent(f"""
            rule all:
                input: expand("{{n}}.txt", n=range(12))
            rule job:
                output: "{{n}}.txt"
                resources: gpu=1
                shell: "exec {sys.executable} job.py {{output}}"
        """)
    )
    subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "16", "--resources", "gpu=4", "-q", "all"],
        cwd=tmp_path,
        env=environment,
        check=True,
        capture_output=True,
    )
    spans = defaultdict(list)
    for file in tmp_path.glob("*.txt"):
        device, start, end = file.read_text().split()
        spans[device].append((float(start), float(end)))
    assert sorted(spans) == ["0", "1", "2", "3"]
    assert sum(map(len, spans.values())) == 12
    for held in spans.values():
        held.sort()
        assert all(first[1] <= second[0] for first, second in itertools.pairwise(held))


def test_a_killed_jobs_device_is_free_at_once(
    tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    body = BODY.format(folder=str(tmp_path)) + "print(device, flush=True); time.sleep(60)"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", body], env=environment, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    devices = [each.stdout.readline().strip() for each in running if each.stdout]
    assert sorted(devices) == ["0", "1", "2", "3"]
    running[2].send_signal(signal.SIGKILL)
    running[2].wait()
    monkeypatch.setattr(gpus, "folder", lambda: tmp_path)
    started = time.monotonic()
    assert gpus.take(["0", "1", "2", "3"]) == int(devices[2])
    assert time.monotonic() - started < gpus.LOOK
    for each in running:
        each.kill()
        each.wait()


def test_a_single_device_needs_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "folder", lambda: tmp_path)
    assert gpus.take(["3"]) == gpus.take(["3"]) == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("variable", "count", "names"),
    [
        (None, 3, ["0", "1", "2"]),
        ("2,3", 2, ["2", "3"]),
        ("GPU-8a, GPU-9b", 2, ["GPU-8a", "GPU-9b"]),
    ],
)
def test_devices_are_named_as_the_host_names_them(
    variable: str | None, count: int, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if variable is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
    assert gpus.visible(count) == names


@pytest.mark.usefixtures("torch_stays")
def test_a_device_of_the_users_choice_is_torchs_own_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the peak memory would be told of another."""
    chosen: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    assert [runtime.pick_device("cuda:1")] == chosen == [torch.device("cuda", 1)]


@pytest.mark.usefixtures("torch_stays")
@pytest.mark.parametrize(
    ("name", "gpus_there", "told"),
    [
        ("cuda:1", True, ("high", True)),
        ("cpu", True, ("highest", False)),
        ("auto", False, ("highest", False)),
    ],
)
def test_products_in_tf32_and_cudnns_trials_are_for_gpus_alone(
    name: str, gpus_there: bool, told: tuple[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus_there)
    monkeypatch.setattr(torch.cuda, "set_device", lambda _: None)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "a GPU")
    environment = runtime.environment(runtime.pick_device(name))
    assert (environment["float32_matmul_precision"], environment["cudnn_benchmark"]) == told
