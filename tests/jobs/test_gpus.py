"""Jobs on devices, without a scheduler that assigns them. The devices are fakes."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from conftest import ROOT

from scdd.data import placement
from scdd.jobs import devices, gpus, runtime

BODY = """
import sys, time
from pathlib import Path
from scdd.jobs import gpus
gpus.folder = lambda: Path({folder!r})
device = gpus.take(gpus.visible({devices}), {jobs})
"""


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    for name in ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def most_at_once(spans: list[tuple[float, float]]) -> int:
    """How many of these times overlap, at most."""
    return max(sum(start <= at < end for start, end in spans) for at, _ in spans)


@pytest.mark.parametrize(("devices", "jobs"), [(4, 1), (2, 3), (1, 3)])
def test_twelve_jobs_fill_all_places_and_no_more(
    devices: int, jobs: int, tmp_path: Path, environment: dict[str, str]
) -> None:
    body = BODY.format(folder=str(tmp_path / "locks"), devices=devices, jobs=jobs)
    (tmp_path / "job.py").write_text(
        body
        + textwrap.dedent("""
            start = time.time()
            time.sleep(0.8)
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
    places = f"gpu={devices * jobs}"
    subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "16", "--resources", places, "-q", "all"],
        cwd=tmp_path,
        env=environment,
        check=True,
        capture_output=True,
    )
    spans = defaultdict(list)
    for file in tmp_path.glob("*.txt"):
        device, start, end = file.read_text().split()
        spans[device].append((float(start), float(end)))
    assert sorted(spans) == [str(device) for device in range(devices)]
    assert sum(map(len, spans.values())) == 12
    assert [most_at_once(times) for times in spans.values()] == [jobs] * devices


@pytest.fixture
def locks(
    tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[int, int], tuple[subprocess.Popen[str], int]]]:
    """Starts a job that takes a place and keeps it: the process, and its device."""
    monkeypatch.setattr(gpus, "folder", lambda: tmp_path)
    running = []

    def start(devices: int, jobs: int) -> tuple[subprocess.Popen[str], int]:
        body = BODY.format(folder=str(tmp_path), devices=devices, jobs=jobs)
        process = subprocess.Popen(
            [sys.executable, "-c", body + "print(device, flush=True); time.sleep(60)"],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        assert process.stdout
        return process, int(process.stdout.readline())

    yield start
    for process in running:
        process.kill()
        process.wait()


Start = Callable[[int, int], tuple[subprocess.Popen[str], int]]


@pytest.mark.parametrize(("devices", "jobs"), [(4, 1), (2, 2), (1, 2)])
def test_a_killed_jobs_place_is_free_at_once(devices: int, jobs: int, locks: Start) -> None:
    running = [locks(devices, jobs) for _ in range(devices * jobs)]
    killed, device = running[-1]
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    started = time.monotonic()
    assert gpus.take([str(index) for index in range(devices)], jobs) == device
    assert time.monotonic() - started < gpus.LOOK


def test_jobs_spread_over_the_devices_before_they_share_one(locks: Start) -> None:
    running = [locks(2, 2) for _ in range(4)]
    assert running[0][1] != running[1][1]
    assert sorted(device for _, device in running) == [0, 0, 1, 1]
    for process, device in running:
        if device == 0:
            process.kill()
            process.wait()
    assert [locks(2, 2)[1] for _ in range(2)] == [0, 0]


def test_who_waits_for_a_place_says_what_to_ask_for(
    locks: Start, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    holder, _ = locks(1, 2)
    locks(1, 2)
    monkeypatch.setattr(time, "sleep", lambda _: (holder.kill(), holder.wait()))
    assert gpus.take(["0"], 2) == 0
    assert "all 2 places on 1 GPUs are taken" in (said := capsys.readouterr().err)
    assert "--resources gpu=2" in said


def test_slurms_only_device_is_not_locked(
    tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpus, "folder", lambda: tmp_path)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert [gpus.take(["0"], 2) for _ in range(3)] == [0, 0, 0]
    assert not list(tmp_path.iterdir())


def test_jobs_that_share_a_gpu_fill_a_part_of_its_memory(
    tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpus, "folder", lambda: tmp_path)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (9_000, 12_000))
    gpu = torch.device("cuda", 0)
    gpus.take(["0"])
    assert placement.capacity(gpu) == 9_000 // placement.GPU_DIVISOR
    gpus.take(["0"], 4)
    assert placement.capacity(gpu) == 3_000 // placement.GPU_DIVISOR
    gpus.take(["0"])


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
    assert [devices.pick_device("cuda:1")] == chosen == [torch.device("cuda", 1)]


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
    environment = runtime.environment(devices.pick_device(name))
    assert (environment["float32_matmul_precision"], environment["cudnn_benchmark"]) == told
