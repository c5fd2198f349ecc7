"""What jobs ask of a cluster, and what becomes of them when their driver dies."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, TINY, Checkout, new_checkout

from scdd.errors import ScddError
from scdd.plan.cluster import NEEDS, Cluster, for_run, read
from scdd.plan.stages import VERSIONS

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


def test_every_stage_has_its_needs() -> None:
    assert NEEDS.keys() == VERSIONS.keys()


def test_a_new_try_asks_for_more_memory_up_to_thrice_and_for_no_more_time() -> None:
    cluster = Cluster()
    assert [cluster.mem("probe", attempt) for attempt in (1, 2, 3, 20)] == [
        32_000,
        64_000,
        96_000,
        96_000,
    ]
    assert cluster.runtime("probe") == 720


def test_nobody_asks_for_more_than_the_partition_grants() -> None:
    cluster = Cluster(max_runtime=100, max_mem=40_000)
    assert cluster.runtime("squeeze") == 100
    assert cluster.runtime("tables") == 30
    assert cluster.mem("squeeze", 1) == 32_000
    assert cluster.mem("squeeze", 2) == 40_000


def test_the_example_can_be_copied_and_all_of_its_keys_uncommented(tmp_path: Path) -> None:
    assert read(EXAMPLE) == Cluster()
    keys = "|".join(Cluster.model_fields)
    text = re.sub(
        rf"^# (?=({keys}): |stages:$|  \w+: {{)", "", EXAMPLE.read_text(), flags=re.MULTILINE
    )
    file = tmp_path / "cluster.yaml"
    file.write_text(text)
    assert set(yaml.safe_load(text)) == set(Cluster.model_fields)
    assert read(file).stages["squeeze"].runtime == 2880


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("partitoin: gpu", "unknown key partitoin. Did you mean 'partition'?"),
        ("gpu: a100", "gpu: input should be 'gpus' or 'gres' (got 'a100')."),
        ("stages: {sqeeze: {mem: 1}}", "stages: sqeeze is none of the stages data, squeeze,"),
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
    assert asked["recover_0000_0002"]["gpu"] == "1"
    assert asked["tables_tiny"]["slurm_partition"] == "cpu"
    assert asked["tables_tiny"]["mem_mb"] == "1000"
    assert "gpu" not in asked["tables_tiny"]


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
