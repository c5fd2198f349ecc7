"""What jobs ask of a cluster, and what becomes of them when their driver dies."""

import json
import os
import re
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, TINY, Checkout, new_checkout

from scdd.errors import ScddError
from scdd.jobs import orphans
from scdd.jobs.lock import myself
from scdd.params.base import parameters
from scdd.plan.cluster import Cluster, for_run, read
from scdd.plan.stages import STAGES

EXAMPLE = ROOT / "slurm" / "cluster.example.yaml"


@pytest.fixture
def planned(tmp_path: Path) -> Checkout:
    checkout = new_checkout(tmp_path / "planned")
    checkout.configure(TINY)
    return checkout


def resources(printed: str) -> dict[str, dict[str, str]]:
    """The resources of each rule in what a dry run printed."""
    found, rule = {}, ""
    for line in printed.splitlines():
        if "rule " in line and line.endswith(":"):
            rule = line.rpartition(" ")[2].rstrip(":")
        elif line.startswith("    resources: "):
            pairs = line.removeprefix("    resources: ").split(", ")
            found[rule] = dict(pair.split("=", 1) for pair in pairs)
    return found


def test_the_documentation_tells_what_every_stage_asks_for() -> None:
    page = (ROOT / "docs" / "cluster.md").read_text()
    rows = [
        f"| {name} | {stage.minutes} | {stage.mem // 1000} | {stage.job}{', GPU' * stage.gpu} |"
        for name, stage in STAGES.items()
    ]
    assert "\n".join(rows) in page
    example = EXAMPLE.read_text()
    assert dict(re.findall(r"(\w+) (\d+/\d+)\b", example)) == {
        name: f"{stage.minutes}/{stage.mem}" for name, stage in STAGES.items()
    }
    without = re.search(r"# (.*) need no GPU", example)
    assert without and re.split(", | and ", without[1]) == [
        name for name, stage in STAGES.items() if not stage.gpu
    ]


def test_a_new_try_asks_for_more_memory_up_to_thrice_and_for_no_more_time() -> None:
    settings = Cluster()
    assert [settings.mem("probe", attempt) for attempt in (1, 2, 3, 20)] == [
        32_000,
        64_000,
        96_000,
        96_000,
    ]
    assert settings.runtime("probe") == 720


def test_nobody_asks_for_more_than_the_partition_grants() -> None:
    settings = Cluster(max_runtime=100, max_mem=40_000)
    assert settings.runtime("squeeze") == 100
    assert settings.runtime("tables") == 30
    assert settings.mem("squeeze", 1) == 32_000
    assert settings.mem("squeeze", 2) == 40_000


def test_the_example_can_be_copied_and_all_of_its_keys_uncommented(tmp_path: Path) -> None:
    assert read(EXAMPLE) == Cluster()
    keys = "|".join(parameters(Cluster))
    text = re.sub(
        rf"^# (?=({keys}): |stages:$|  \w+: {{)", "", EXAMPLE.read_text(), flags=re.MULTILINE
    )
    file = tmp_path / "cluster.yaml"
    file.write_text(text)
    assert set(yaml.safe_load(text)) == set(parameters(Cluster))
    assert read(file).stages["squeeze"].runtime == 2880


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("partitoin: gpu", "unknown key partitoin. Did you mean 'partition'?"),
        ("gpu: a100", "gpu: input should be 'gpus' or 'gres' (got 'a100')."),
        ("stages: {sqeeze: {mem: 1}}", "stages: sqeeze is not one of the stages data, whiten,"),
        (
            "stages: {squeeze: {time: 1}}",
            "unknown key stages.squeeze.time. Did you mean 'runtime'?",
        ),
        ("max_runtime: 1d", "max_runtime: input should be a valid integer"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(content)
    with pytest.raises(ScddError) as error:
        read(file)
    assert str(error.value).startswith(f"{file}: {message}")


def test_jobs_get_what_the_driver_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCDD_CLUSTER", "")
    file = tmp_path / "cluster.yaml"
    file.write_text("gpu: gres")
    read_by_driver = for_run(file, is_driver=True)
    file.write_text("broken")
    assert for_run(file, is_driver=False) == read_by_driver


def test_a_wrong_file_stops_before_the_first_job(planned: Checkout) -> None:
    (planned.folder / "slurm" / "cluster.yaml").write_text("partitoin: gpu")
    printed = planned.run("-n", fails=True)
    assert "slurm/cluster.yaml: unknown key partitoin. Did you mean 'partition'?" in printed
    assert "Traceback" not in printed


def test_the_file_reaches_the_jobs_and_the_command_line_wins(planned: Checkout) -> None:
    settings = {
        "partition": "gpu",
        "max_runtime": 600,
        "stages": {"tables": {"partition": "cpu", "mem": 1000}},
    }
    (planned.folder / "slurm" / "cluster.yaml").write_text(yaml.safe_dump(settings))
    asked = resources(planned.run("-n", "--set-resources", "squeeze:mem_mb=5000"))
    assert asked["squeeze"]["slurm_partition"] == "gpu"
    assert asked["squeeze"]["runtime"] == "600"
    assert asked["squeeze"]["mem_mb"] == "5000"
    assert asked["recover"]["gpu"] == "1"
    assert asked["tables"]["slurm_partition"] == "cpu"
    assert asked["tables"]["mem_mb"] == "1000"
    assert "gpu" not in asked["tables"]


def test_a_run_on_the_cpu_asks_for_no_gpu(planned: Checkout) -> None:
    planned.configure({**TINY, "machine": {"device": "cpu"}})
    assert not any("gpu" in asked for asked in resources(planned.run("-n")).values())


@pytest.mark.parametrize(("devices", "gpus"), [("0,3", 2), ("1", 1)])
def test_the_local_profile_counts_the_devices(
    monkeypatch: pytest.MonkeyPatch, devices: str, gpus: int
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", devices)
    profile = ROOT / "profiles" / "local" / "config.v9+.yaml"
    command = [str(Path(sys.executable).with_name("yte"))]
    done = subprocess.run(
        command, input=profile.read_text(), capture_output=True, text=True, check=True
    )
    assert yaml.safe_load(done.stdout)["resources"] == {"gpu": gpus}


class Slurm:
    """Programs named as Slurm's that list, cancel and requeue the jobs of a text file."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.queue, self.asked = folder / "queue", folder / "asked"
        self.queue.touch()
        self.asked.touch()
        programs = {
            "squeue": 'echo "$0" "$@" >> {asked}; case "$*" in'
            ' *--states=PREEMPTED*) grep "|PREEMPTED|" {queue};;'
            ' *--jobs*) sed -n "s/^\\($3\\)|[RC].*/\\1/p" {queue};;'
            ' *) grep -v "|PREEMPTED|" {queue};; esac; true',
            "scancel": 'echo scancel "$@" >> {asked}; for j; do sed -i "/^$j|/d" {queue}; done',
            "scontrol": 'echo scontrol "$@" >> {asked}',
        }
        for name, script in programs.items():
            file = folder / "bin" / name
            file.parent.mkdir(exist_ok=True)
            file.write_text("#!/bin/sh\n" + script.format(asked=self.asked, queue=self.queue))
            file.chmod(0o755)
        monkeypatch.setenv("PATH", str(folder / "bin"), prepend=os.pathsep)

    def add(self, number: int, state: str, folder: Path, host: str, pid: int) -> None:
        with self.queue.open("a") as queue:
            queue.write(f"{number}|{state}|scdd-{host}-{pid}_some-uuid|{folder}\n")

    def changed(self) -> list[str]:
        """The commands that changed something."""
        return [line for line in self.asked.read_text().splitlines() if line.startswith("sc")]


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Slurm:
    folder = tmp_path / "slurm"
    folder.mkdir()
    return Slurm(folder, monkeypatch)


@pytest.fixture
def dead() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def lock(state: Path, number: int, job: str | None) -> None:
    state.mkdir(parents=True, exist_ok=True)
    owner = replace(myself(), slurm_job=job)
    (state / f"lock.{number}").write_text(json.dumps(asdict(owner)))


def test_jobs_of_a_dead_driver_are_cancelled_unless_they_hold_a_state(
    tmp_path: Path, slurm: Slurm, dead: int, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, state in enumerate(("PENDING", "RUNNING", "RUNNING", "PENDING"), start=10):
        slurm.add(number, state, tmp_path, orphans.host(), dead)
    lock(tmp_path / "work/squeeze/a", 1, "11")  # an older lock does not count
    lock(tmp_path / "work/squeeze/a", 10, "12")
    lock(tmp_path / "work/recover/b/slots_0000-0009", 1, "13")  # it only waits: nothing to finish
    orphans.take_over(tmp_path)
    assert slurm.changed() == ["scancel 10 11 13"]
    assert "this run waits for them: 12" in capsys.readouterr().err


def test_jobs_of_others_are_left_alone(
    tmp_path: Path, slurm: Slurm, dead: int, capsys: pytest.CaptureFixture[str]
) -> None:
    slurm.add(1, "PENDING", tmp_path / "elsewhere", orphans.host(), dead)
    slurm.add(2, "PENDING", tmp_path, "another-host", dead)
    slurm.queue.write_text(f"{slurm.queue.read_text()}3|PENDING|something else|{tmp_path}\n")
    alive = subprocess.Popen([sys.executable, "-c", "input()", "snakemake"], stdin=subprocess.PIPE)
    slurm.add(4, "PENDING", tmp_path, orphans.host(), alive.pid)
    orphans.take_over(tmp_path)
    alive.communicate()
    assert slurm.changed() == []
    assert "If the run on another-host has died: scancel 2" in capsys.readouterr().err


def test_a_number_that_was_a_dead_drivers_is_this_ones_now(tmp_path: Path, slurm: Slurm) -> None:
    slurm.add(1, "RUNNING", tmp_path, orphans.host(), os.getpid())
    orphans.take_over(tmp_path)
    assert slurm.changed() == ["scancel 1"]


def test_a_cancelled_job_that_stays_stops_the_run(
    tmp_path: Path, slurm: Slurm, dead: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orphans, "SECONDS_TO_LEAVE", 0)
    (tmp_path / "slurm/bin/scancel").write_text("#!/bin/sh\n")
    slurm.add(5, "RUNNING", tmp_path, orphans.host(), dead)
    with pytest.raises(ScddError, match="jobs 5 do not end"):
        orphans.take_over(tmp_path)


def test_a_job_waits_for_the_one_that_holds_its_state(tmp_path: Path, slurm: Slurm) -> None:
    slurm.add(7, "RUNNING", tmp_path, "host", 1)
    assert orphans.after(tmp_path / "nothing") == ""
    assert slurm.asked.read_text() == ""  # nobody is asked where there is no lock
    lock(tmp_path, 2, "7")
    assert orphans.after(tmp_path) == "--dependency=afterany:7"
    lock(tmp_path, 3, "8")
    assert orphans.after(tmp_path) == ""
    lock(tmp_path, 4, None)
    assert orphans.after(tmp_path) == ""
    (tmp_path / "lock.5").write_text("")
    assert orphans.after(tmp_path) == ""


def test_only_own_preempted_jobs_are_requeued(tmp_path: Path, slurm: Slurm, dead: int) -> None:
    slurm.add(1, "PREEMPTED", tmp_path, orphans.host(), os.getpid())
    slurm.add(2, "PREEMPTED", tmp_path, orphans.host(), dead)
    slurm.add(3, "RUNNING", tmp_path, orphans.host(), os.getpid())
    orphans.requeue_preempted_jobs()
    assert slurm.changed() == ["scontrol requeue 1"]


def test_without_slurm_there_is_nothing_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    orphans.take_over(tmp_path)
    orphans.requeue_preempted_jobs()


def test_the_profile_names_jobs_so_that_they_are_known() -> None:
    profile = ROOT / "slurm" / "config.v9+.yaml"
    command = [str(Path(sys.executable).with_name("yte"))]
    with profile.open() as text:
        process = subprocess.Popen(command, stdin=text, stdout=subprocess.PIPE, text=True)
        prefix = yaml.safe_load(process.communicate()[0])["slurm-jobname-prefix"]
    assert prefix == f"scdd-{orphans.host()}-{process.pid}"
    assert orphans.NAME.match(f"{prefix}_0b5a")
