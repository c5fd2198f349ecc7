"""All finished students in one table, from the files that runs leave."""

import csv
import io
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from scdd import cli
from scdd.overview import results
from scdd.plan.jobs import jobs
from scdd.plan.load import plan_of
from scdd.plan.plan import Plan

Config = dict[str, Any]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)


def make(config: Config, top1: float = 50.0, at: float = 1e9) -> Plan:
    """What a run leaves that can be seen without its large files: every job took 2 s, and the
    students of later seeds are better by 10 %."""
    plan = plan_of(config)
    for node in plan.nodes.values():
        node.folder.mkdir(parents=True, exist_ok=True)
        (node.folder / "config.json").write_text(json.dumps(node.frozen()))
    for node in plan.of("data"):
        (node.folder / "dataset.json").write_text('{"classes": ["a", "b", "c"]}')
    for node in plan.of("validate"):
        metrics = node.folder / "metrics.json"
        metrics.write_text(json.dumps({"top1": top1 + 10 * node.params["seed"]}))
        os.utime(metrics, (at, at))
    for job in jobs(plan):
        job.cost.parent.mkdir(exist_ok=True)
        more = {"device": "cpu", "threads": 1, "peak_mib": 1.0, "peak_gpu_mib": 0.0}
        job.cost.write_text(json.dumps({"seconds": 2.0, **more}))
    return plan


def lines(capsys: Any, *arguments: str) -> list[str]:
    assert cli.main(["results", *arguments]) == 0
    return capsys.readouterr().out.splitlines()


def test_students_that_differ_by_their_seed_share_a_line(here: None, tiny: Config) -> None:
    plan = make({**tiny, "seeds": [0, 1]})
    (row,) = results()
    assert (row.experiment, row.method, row.teacher) == ("tiny", "scdd", "scdd")
    assert (row.protocol, row.student, row.ipc) == ("scdd-paper", "resnet10-w0.125", 1)
    assert row.seeds == (0, 1)
    assert (row.top1.mean, row.top1.std) == (55.0, pytest.approx(50**0.5))
    assert row.seconds == 7 * 2.0  # data, squeeze, probe, recover, imageset, relabel, validate
    assert row.images == plan.of("imageset")[0].digest
    assert set(row.digests) == {node.digest for node in plan.of("validate")}


def test_all_experiments_the_newest_first(here: None, tiny: Config, capsys: Any) -> None:
    make(tiny, at=2e9)
    other = {**tiny, "experiment": "other", "methods": ["random-hard"]}
    make(other, top1=40.0, at=1e9)
    printed = [line.split() for line in lines(capsys)]
    assert printed[0][:4] == ["finished", "experiment", "dataset", "method"]
    assert [line[2] for line in printed[1:]] == ["tiny", "other"]
    assert "random-hard" in printed[2]
    assert "50.0" in printed[1]


def test_a_student_of_two_experiments_is_one(here: None, tiny: Config) -> None:
    make(tiny)
    make({**tiny, "experiment": "other"})
    (row,) = results()
    assert set(row.experiment.split(" + ")) == {"tiny", "other"}


def test_columns_and_values_to_sort_by_come_first(here: None, tiny: Config, capsys: Any) -> None:
    for lr in (0.4, 0.05):
        make({**tiny, "recover": {**tiny["recover"], "lr": lr}, "ipc": [2, 10, 1]})
    read = [*csv.reader(io.StringIO("\n".join(lines(capsys, "--csv", "--by", "recover.lr,ipc"))))]
    assert read[0][:3] == ["recover.lr", "ipc", "finished"]
    assert [line[:2] for line in read[1:]] == [
        [lr, ipc] for lr in ("0.05", "0.4") for ipc in ("1", "2", "10")
    ]
    marked = lines(capsys, "--md", "--by", "ipc")
    assert marked[0].startswith("| ipc | finished")
    assert cli.main(["results", "--by", "recover.l"]) == 1
    told = "error: --by recover.l: no student has it. Did you mean 'recover.lr'?\n"
    assert capsys.readouterr().err == told


def test_a_student_without_tables_and_parents_is_told_by_its_own_files(
    here: None, tiny: Config, capsys: Any
) -> None:
    plan = make(tiny)
    shutil.rmtree("results/tables")
    (row,) = results()
    (images,) = plan.of("imageset")
    assert (row.experiment, row.method, row.protocol) == ("", images.label, "")
    assert row.teacher == plan.of("probe")[0].label
    shutil.rmtree("results/recover")
    (row,) = results()
    assert (row.ipc, row.seconds) == (1, None)  # what it cost cannot be known
    shutil.rmtree("results/relabel")
    assert results() == []
    assert "the images that it was trained on are gone" in capsys.readouterr().err


def test_images_on_their_way_are_told_by_their_iteration(here: None) -> None:
    narrow = {"arch": "convnet3", "width": 0.0625}
    method = {"name": "dm", "learn": {"network": narrow, "iterations": 4, "snapshots": 1}}
    common = {"experiment": "e", "dataset": "digits", "ipc": [1], "seeds": [0]}
    make({**common, "methods": [method], "protocols": ["dc"]})
    assert {row.method for row in results()} == {"dm", "dm, iteration 2"}


def test_students_of_some_classes_are_told_by_them(here: None, tiny: Config) -> None:
    """And those of all classes by the method, though they are those of the last step too."""
    make({**tiny, "ipc": [2], "continual": {"steps": [3], "orders": 2}})
    assert {(row.method, row.seeds) for row in results()} == {
        ("scdd", (0, 1)),
        *((f"scdd, 1 class of order {order}", (order,)) for order in (0, 1)),
        *((f"scdd, 2 classes of order {order}", (order,)) for order in (0, 1)),
    }


def test_students_of_a_ranking_alone_are_told_by_what_they_are_for(
    here: None, tiny: Config
) -> None:
    make({**tiny, "ranking": "scdd-paper"})
    assert {(row.method, row.protocol, row.ipc) for row in results()} == {
        ("scdd", "scdd-paper", 1),
        ("scdd", "scdd-paper, hard labels", 1),
        ("scdd", "scdd-paper, without augmentation", 1),
        ("random", "scdd-paper", 1),
        ("random", "scdd-paper, without augmentation", 1),
        ("whole", "whole", None),
    }


def test_a_damaged_student_is_left_out_with_a_warning(
    here: None, tiny: Config, capsys: Any
) -> None:
    (student,) = make(tiny).of("validate")
    (student.folder / "metrics.json").write_text("{")
    assert lines(capsys) == ["No student is finished here."]
    (student.folder / "metrics.json").write_text('{"top1": 5.0}')
    (student.folder / "config.json").unlink()
    assert results() == []
    assert "is left out" in capsys.readouterr().err
