"""`scdd status`: what a person sees."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from scdd import cli
from scdd.plan import runs
from scdd.plan.jobs import jobs
from scdd.plan.load import VARIABLE, freeze, plan_of
from scdd.plan.plan import Plan
from scdd.status.estimate import estimate
from scdd.status.page import page
from scdd.status.states import State, Status

Config = dict[str, Any]


@pytest.fixture
def started(tiny: Config, tmp_path: Path, monkeypatch: Any) -> Plan:
    """The plan of a run whose driver is this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("scdd.status.slurm.shutil.which", lambda _: None)
    return start(tiny, monkeypatch)


def start(config: Config, monkeypatch: Any) -> Plan:
    plan = plan_of(config)
    monkeypatch.setenv(VARIABLE, str(freeze(plan)))
    runs.note_start(plan)
    return plan


def finish(plan: Plan, *stages: str) -> None:
    for job in jobs(plan):
        if job.node.stage in stages:
            job.output.parent.mkdir(parents=True, exist_ok=True)
            job.output.touch()
            job.cost.parent.mkdir(exist_ok=True)
            job.cost.write_text(
                '{"seconds": 30, "device": "cpu", "threads": 1, "peak_mib": 1, "peak_gpu_mib": 0}'
            )


def shown(capsys: Any, *arguments: str) -> str:
    assert cli.main(["status", *arguments]) == 0
    return capsys.readouterr().out


def test_a_status_counts_jobs_by_stage_and_tells_of_those_that_failed(
    started: Plan, capsys: Any
) -> None:
    finish(started, "data", "squeeze", "probe")
    (job,) = (job for job in jobs(started) if job.node.stage == "recover")
    job.log.parent.mkdir(parents=True)
    job.log.write_text("error: no room\nfailed after 3.0 s, peak memory 1 MiB\n")
    lines = [" ".join(line.split()) for line in shown(capsys).splitlines()]
    assert lines[2:] == [
        "done failed waiting",
        "data 1 · ·",
        "squeeze 1 · ·",
        "probe 1 · ·",
        "recover · 1 ·",
        "imageset · · 1",
        "relabel · · 1",
        "validate · · 1",
        "tables · · 1",
        "all 3 1 4",
        "",
        "No job is running. Not counted are stages of which no job is finished yet: 1 of",
        "recover, 1 of imageset, 1 of relabel, 1 of validate, 1 of tables.",
        "",
        "Failed:",
        "recover SC-DD, digits, image 0",
        "error: no room",
        str(job.log),
    ]


def test_no_end_is_told_where_nothing_is_known_of_what_runs_and_of_what_is_left(
    started: Plan,
) -> None:
    first, *others = jobs(started)
    found = [Status(first, State.RUNNING), *(Status(job, State.WAITING) for job in others)]
    left = estimate(started, found)
    told = page(runs.last_run(), started, found, left, 200)
    assert "When it will be finished is not known yet. Not counted are stages" in told


def test_all_is_done(started: Plan, capsys: Any) -> None:
    finish(started, *{node.stage for node in started.nodes.values()})
    assert shown(capsys).endswith("\nAll is done.\n")


def test_the_last_run_is_shown_or_that_of_a_named_experiment(
    started: Plan, tiny: Config, monkeypatch: Any, capsys: Any
) -> None:
    Path("tiny.yaml").write_text(yaml.safe_dump(tiny))
    for note in Path("results/plans").glob("*.run.json"):
        os.utime(note, (time.time() - 60,) * 2)
    start({**tiny, "experiment": "other"}, monkeypatch)
    assert shown(capsys).startswith("other: run of ")
    assert shown(capsys, "--configfile", "tiny.yaml").startswith("tiny: run of ")


def test_an_experiment_that_was_not_run_is_refused(
    tiny: Config, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(yaml.safe_dump(tiny))
    assert cli.main(["status", "--configfile", "tiny.yaml"]) == 1
    assert "no run of tiny was started in this folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.yaml"]


def test_a_driver_that_is_gone_has_ended(started: Plan, capsys: Any) -> None:
    (note,) = Path("results/plans").glob("*.run.json")
    content = json.loads(note.read_text())
    content["driver"]["pid"] = 2**22 + 1  # more than Linux gives
    note.write_text(json.dumps(content))
    assert "it has ended" in shown(capsys)
    content["driver"] |= {"place": "elsewhere", "host": "login7"}
    note.write_text(json.dumps(content))
    assert "whether it goes on can be seen on login7" in shown(capsys)


def test_watching_ends_with_ctrl_c_and_writes_no_control_codes_into_a_pipe(
    started: Plan, monkeypatch: Any, capsys: Any
) -> None:
    looks = []

    def sleep(_: float) -> None:
        looks.append(1)
        if len(looks) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("scdd.commands.status.time.sleep", sleep)
    printed = shown(capsys, "--watch")
    assert printed.count("tiny: run of") == 2
    assert "\033" not in printed
