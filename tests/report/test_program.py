"""The program: it makes the files that the sections name, or names a damaged input."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from samples import params_of_backbones, params_of_methods, run

from scdd.report import sections


def test_program_makes_the_files_it_says_and_the_same_twice(tmp_path: Path) -> None:
    params = params_of_methods(tmp_path)
    assert all((tmp_path / name).is_file() for name in sections.inputs(params))
    assert run(tmp_path, params) == 0
    made = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert sorted(made) == sorted(sections.files(params))
    assert run(tmp_path, params, "again") == 0
    assert made == {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()}
    assert Image.open(io.BytesIO(made["recovery_scdd.gif"])).n_frames == 4
    text = made["main.md"].decode()
    # 3 of the dataset's 60 images; 3 x 8 x 8 pixels and a class index, without and with 62 bytes
    assert "| Method          | IPC 1 (5 %) |" in text
    assert "| SC-DD (MoCo v2) |  61.0 ± 1.4 |" in text
    assert f"- Ratio %, with labels: IPC 1 {5 * (193 + 62) / 193:.2f}." in text
    assert "- Assumed value: r_bn 0.05." in text
    long = list(csv.DictReader(io.StringIO(made["all.csv"].decode())))
    assert [(line["seed"], line["top1"]) for line in long] == [("0", "60.000"), ("1", "62.000")]
    assert long[1]["experiment"] == "digits"
    assert (long[1]["student digest"], long[1]["images digest"]) == ("1", "i")
    assert long[1]["student path"] == "results/validate/v-1"
    assert long[1]["images path"] == "results/images/scdd-i"


def test_all_students_have_the_values_by_which_they_differ(tmp_path: Path) -> None:
    params = params_of_methods(tmp_path)
    values = [{"recover.lr": 0.1, "squeeze.epochs": 2}, {"recover.lr": 0.4}]
    params["origins"] = [{"labels": "relabel/a-b", "values": each} for each in values]
    assert run(tmp_path, params) == 0
    long = list(csv.DictReader((tmp_path / "out" / "all.csv").open()))
    assert [line["recover.lr"] for line in long] == ["0.1", "0.4"]
    assert [line["squeeze.epochs"] for line in long] == ["2", ""]
    assert [(line["labels digest"], line["labels path"]) for line in long] == [
        ("b", "results/relabel/a-b")
    ] * 2


def test_an_ablation_and_several_forms_of_labels_have_files_of_their_own(tmp_path: Path) -> None:
    params = params_of_methods(tmp_path)
    other = {**params["cells"][1], "seed": 0, "protocol": "small"}
    other["stored"] = {"form": "int8", "bytes": 20}
    params["cells"][1] = other
    params["ablation"] = {
        "method": "scdd",
        "protocol": "paper",
        "methods": {"scdd": ""},
        "protocols": {"paper": "", "small": "form int8"},
    }
    assert run(tmp_path, params) == 0
    made = {path.name for path in (tmp_path / "out").iterdir()}
    assert made == {*sections.files(params)}
    assert {f"ablation.{kind}" for kind in ("csv", "md", "tex")} <= made
    assert {f"labels.{kind}" for kind in ("csv", "png", "svg")} <= made
    read = [*csv.DictReader((tmp_path / "out" / "labels.csv").open())]
    assert [(line["form"], line["label bytes an image"]) for line in read] == [
        ("float16", "62"),
        ("int8", "20"),
    ]
    (line,) = re.findall(r"\| small .*", (tmp_path / "out" / "ablation.md").read_text())
    assert line.replace(" ", "") == "|small|evaluation|formint8|62.0|+2.0|"


def test_costs_stand_on_the_main_tables_page(tmp_path: Path) -> None:
    params = params_of_methods(tmp_path)
    took = {"device": "cpu", "threads": 2, "peak_mib": 1.0, "peak_gpu_mib": 0.0}
    (tmp_path / "recover.json").write_text(json.dumps({"seconds": 41.2, **took}))
    cell = params["cells"][0]
    named = {key: cell[key] for key in ("method", "title", "teacher", "ipc", "protocol", "student")}
    params["costs"] = [{**named, "stages": {"recover": ["recover.json"]}}]
    assert run(tmp_path, params) == 0
    assert "| SC-DD (MoCo v2) |   1 |      41 |" in (tmp_path / "out" / "main.md").read_text()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("validate/v-1/metrics.json", None),
        ("validate/v-1/metrics.json", '{"top1": 5'),
        ("validate/v-1/metrics.json", '{"top1": 5.0}'),
        ("validate/v-1/metrics.json", '{"top1": NaN, "top5": 1, "epochs": 1, "train_images": 1}'),
        ("metrics.json", "[]"),
        ("validate/v-0/history.csv", ""),
        ("losses.csv", "slot,iteration,loss\n0,0,1\n"),
        ("losses.csv", "slot,iteration,loss,ce,bn\n0,0,x,2,9\n"),
        ("losses.csv", None),
        ("frames.safetensors", None),
        ("frames.safetensors", "frames"),
    ],
)
def test_a_missing_or_damaged_file_is_named(
    tmp_path: Path, capsys: Any, name: str, content: str | None
) -> None:
    params = params_of_methods(tmp_path)
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_text(content)
    assert run(tmp_path, params) == 1
    errors = [text for text in capsys.readouterr().err.splitlines() if text.startswith("error:")]
    assert len(errors) == 1
    assert str(tmp_path / name) in errors[0]


def test_a_report_on_backbones_has_the_files_it_says_and_the_same_twice(tmp_path: Path) -> None:
    params = params_of_backbones(tmp_path)
    assert run(tmp_path, params) == 0
    made = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert sorted(made) == sorted(sections.files(params))
    assert set(sections.pages(params)) <= set(made)
    assert run(tmp_path, params, "again") == 0
    assert made == {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()}
    text = made["backbones.md"].decode()
    assert "| MoCo v2 | r10     | 90.5 ± 0.7 | 70.0 ± 0.0 |" in text
    assert "- Assumed: x." in text


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("1/informativeness.json", None),
        ("1/informativeness.json", "{"),
        ("1/metrics.json", None),
        ("1/metrics.json", '{"top1": NaN}'),
        ("1/history.csv", None),
        ("1/history.csv", "epoch,knn\n1,x\n"),
    ],
)
def test_a_missing_or_damaged_file_of_a_backbone_is_named(
    tmp_path: Path, capsys: Any, name: str, content: str | None
) -> None:
    params = params_of_backbones(tmp_path)
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_text(content)
    assert run(tmp_path, params) == 1
    (error,) = (text for text in capsys.readouterr().err.splitlines() if text[:6] == "error:")
    assert str(tmp_path / name) in error
