"""Tables: arithmetic, layout, what is left empty, what stands apart, and the program."""

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from scdd.artifacts.dataset import DatasetInfo, save_info
from scdd.artifacts.frames import Frames, save_frames
from scdd.artifacts.images import make_set
from scdd.artifacts.shards import save_shard
from scdd.report import pages, tables
from scdd.report.tables import Column, Row, Score, Student, main_table, notes, published, to_csv
from scdd.report.typeset import escape, markdown

A = Column("scdd", "SC-DD", "scdd")
B = Column("random", "Random", None)
WHOLE = Column("whole", "Whole data", None)


def student(column=A, ipc=1, seed=0, top1=50.0, protocol="paper", arch="r18") -> Student:
    return Student(Row(protocol, arch, ipc), column, seed, top1, 90.0, 300, 10)


def table(*students: Student) -> tables.Table:
    return main_table("digits", 10, 1437, 16, list(students))


def test_mean_and_sample_standard_deviation():
    made = table(*(student(seed=n, top1=top1) for n, top1 in enumerate((50.0, 52.0, 57.0))))
    # mean 53; squares 9 + 1 + 16 = 26; 26 / (3 - 1) = 13
    assert made.scores[Row("paper", "r18", 1), A] == Score(53.0, pytest.approx(13**0.5))


def test_one_seed_has_no_deviation():
    assert table(student()).scores[Row("paper", "r18", 1), A].std is None


@pytest.mark.parametrize(
    ("classes", "train", "ipc", "percent"),
    [(100, 50000, 50, 10), (1000, 1281167, 200, 15.61), (10, 1437, 1, 0.6959)],
)
def test_ratio(classes, train, ipc, percent):
    made = main_table("x", classes, train, 32, [student(ipc=ipc)])
    assert made.ratio(ipc) == pytest.approx(percent, rel=1e-3)


def test_ratio_with_labels_counts_every_stored_byte():
    """20,000 bytes of labels beside 3 x 16 x 16 pixels and one byte of class index."""
    made = table(replace(student(ipc=10), form="float16", label_bytes=20_000), student(B, 10))
    header, lines, _ = tables.main_cells(made)
    assert header[1:4] == ["IPC", "Ratio %", "Ratio %, with labels"]
    expected = 100 * (100 * (768 + 1 + 20_000)) / (1437 * (768 + 1))
    assert float(lines[0][3]) == pytest.approx(expected, rel=5e-3)
    long = tables.to_long_csv(made, [student(B, 10)])
    (hard,) = csv.DictReader(io.StringIO(long))
    assert hard["ratio with labels"] == hard["ratio"] == f"{100 * 100 / 1437:.4g}"


def test_more_than_256_classes_have_an_index_of_two_bytes():
    made = main_table("x", 1000, 1_281_167, 224, [student(ipc=50)])
    pixels = 3 * 224 * 224 + 2
    assert made.ratio(50, 600_000) == pytest.approx(
        100 * 50_000 * (pixels + 600_000) / (1_281_167 * pixels)
    )


def test_a_methods_hard_and_soft_rows_share_a_column():
    hard = A._replace(teacher=None)
    students = [student(A), student(hard, protocol="dc"), student(B), student(B, protocol="dc")]
    made = table(*students)
    assert made.headers() == ["SC-DD", "Random"]
    assert [line[-3:-1] for line in tables.main_cells(made)[1]] == [["50.0", "50.0"]] * 2
    said = notes(made, students, {})
    assert (
        "SC-DD: images of method scdd, soft labels of the scdd teacher (paper), hard labels (dc)."
        in said
    )


def test_protocols_of_equal_training_share_a_note():
    students = [student(), student(protocol="code"), replace(student(protocol="dc"), epochs=1000)]
    said = notes(table(*students), students, {})
    assert said[0].startswith("Protocols paper, code, student r18, 300 epochs on the column's")
    assert said[1].startswith("Protocol dc, student r18, 1000 epochs")


def test_students_of_one_protocol_share_a_note():
    students = [student(), student(arch="r50"), replace(student(ipc=10), epochs=200)]
    assert notes(table(*students), students, {})[0].startswith(
        "Protocol paper, students r18 and r50, 200 to 300 epochs"
    )


def test_held_out_images_are_never_taken_for_the_test_set():
    students = [student(A, 50)]
    made = main_table("cifar100", 100, 45_000, 32, students, holdout=0.1)
    assert "HELD-OUT TRAINING images, not the test set" in tables.to_markdown(made, [], [])
    assert "HELD-OUT TRAINING images" in tables.to_latex(made, [], [], "x")
    said = "\n".join(notes(made, students, {}))
    assert "Not the test set" in said
    assert "10 % of each class's training images" in said
    assert "real validation images" not in said
    (line,) = csv.DictReader(io.StringIO(tables.to_long_csv(made, students)))
    assert line["measured on"] == "held-out training images"


def test_layout_of_the_main_table():
    made = table(
        student(A, 10, top1=80.0),
        student(B, 10, top1=90.0),
        student(A, 1, 0, 40.0),
        student(A, 1, 1, 42.0),
        student(WHOLE, None, top1=98.0),
    )
    header, lines, words = tables.main_cells(made)
    assert header == ["Dataset", "IPC", "Ratio %", "SC-DD", "Random", "Whole data"]
    assert lines == [
        ["digits", "1", "0.696", "41.0 ± 1.4", "–", "98.0"],
        ["digits", "10", "6.96", "80.0", "90.0", "98.0"],
    ]
    assert words == 1


def test_protocol_and_student_are_columns_where_there_are_several():
    made = table(student(), student(protocol="code"), student(protocol="code", arch="r50"))
    header, lines, _ = tables.main_cells(made)
    assert header[:4] == ["Dataset", "Protocol", "Student", "IPC"]
    assert [line[1:3] for line in lines] == [["paper", "r18"], ["code", "r18"], ["code", "r50"]]


def test_unmeasured_is_empty_in_csv():
    made = table(student(A, 1), student(B, 10))
    read = list(csv.DictReader(io.StringIO(to_csv(made, []))))
    assert [line["SC-DD mean"] for line in read] == ["50.000", ""]
    assert [line["Random mean"] for line in read] == ["", "50.000"]
    assert {line["Whole data mean"] for line in read} == {""}


def test_whole_data_belongs_to_its_own_student():
    made = table(student(), student(arch="r50"), student(WHOLE, None, top1=98.0, protocol="full"))
    assert made.whole == {Row("paper", "r18", 1): Score(98.0, None)}


def test_whole_data_prefers_the_row_s_protocol_and_guesses_none():
    wholes = [
        student(WHOLE, None, top1=n, protocol=p) for n, p in ((97.0, "paper"), (98.0, "code"))
    ]
    made = table(student(), student(protocol="other"), *wholes)
    assert made.whole == {Row("paper", "r18", 1): Score(97.0, None)}


def test_whole_data_alone_has_a_row():
    header, lines, _ = tables.main_cells(table(student(WHOLE, None, top1=98.0)))
    assert dict(zip(header, lines[0], strict=True)) == {
        "Dataset": "digits",
        "IPC": "whole",
        "Ratio %": "100",
        "Whole data": "98.0",
    }


def test_one_title_with_two_teachers_makes_two_columns():
    made = table(student(A), student(A._replace(teacher=None)))
    assert made.headers() == ["SC-DD, soft labels of the scdd teacher", "SC-DD, hard labels"]


def test_published_values_are_the_file_s():
    found = {(one.title, one.source): one for one in published("cifar100", 100, 32, {1, 50})}
    paper = found["SC-DD", "SC-DD paper"]
    assert (paper.student, paper.values) == ("resnet18", {50: Score(53.4, 1.1)})
    assert found["SRe2L", "G-VBSM"].values == {1: Score(2.0, None), 50: Score(49.5, None)}
    assert found["Whole data", "SC-DD paper"].values == {None: Score(79.1, None)}


@pytest.mark.parametrize(
    ("dataset", "classes", "resolution"),
    [("digits", 10, 16), ("cifar100", 10, 32), ("cifar100", 100, 16)],
)
def test_nothing_is_published_for_other_data_or_a_subset(dataset, classes, resolution):
    assert published(dataset, classes, resolution, {1, 10, 50}) == []


def test_published_stands_apart():
    columns = published("cifar100", 100, 32, {50})
    made = replace(table(student(A, 50, top1=12.3)), dataset="cifar100")
    read = next(csv.DictReader(io.StringIO(to_csv(made, columns))))
    assert read["SC-DD mean"] == "12.300"
    assert read["published: SC-DD (resnet18; SC-DD paper) mean"] == "53.400"
    assert read["published: SC-DD (resnet18; SC-DD paper) std"] == "1.100"
    measured, apart = tables.to_markdown(made, columns, []).split("## Published values")
    assert "53.4" not in measured
    assert "12.3" not in apart
    assert "| SC-DD      | resnet18 | SC-DD paper | 53.4 ± 1.1 |" in apart


def test_notes_name_what_the_numbers_depend_on():
    students = [student(A, 1, seed) for seed in (0, 1, 2)]
    students += [student(B, 1, 0), student(WHOLE, None, 0, protocol="full")]
    said = "\n".join(notes(table(*students), students, {"SC-DD": 96.44}))
    for part in (
        "Protocol paper, student r18, 300 epochs",
        "Whole data: protocol full, student r18, 300 epochs on the 1437 real training images",
        "after the last epoch",
        "SC-DD: images of method scdd, soft labels of the scdd teacher.",
        "Random: images of method random, hard labels.",
        "(sample, n − 1) over n = 1 to 3 students' seeds (0, 1, 2)",
        "SC-DD 96.4 %",
    ):
        assert part in said


def test_markdown_lines_up():
    made = markdown(["Method", "IPC"], [["a|b", "1"], ["c", "1000 ± 2"]], 1)
    assert made.splitlines() == [
        "| Method |      IPC |",
        "| ------ | -------: |",
        "| a\\|b   |        1 |",
        "| c      | 1000 ± 2 |",
    ]


def test_latex_escapes_every_special_character():
    assert escape("a_b & 5 % ± #1 {x} ~^ $ \\ [") == (
        r"a\_b \& 5 \% $\pm$ \#1 \{x\} \textasciitilde{}\textasciicircum{} \$ "
        r"\textbackslash{} {[}"
    )


def test_latex_marks_the_best_method_and_never_the_whole_data():
    made = table(
        student(A, 1, top1=80.0),
        student(B._replace(title="R&B, 50 %"), 1, top1=90.0),
        student(A, 10, top1=85.0),
        student(WHOLE, None, top1=98.0),
    )
    text = tables.to_latex(made, [], ["a_b"], "my exp")
    assert re.findall(r"\\textbf\{(.*?)\}", text) == ["90.0"]  # IPC 10 has nothing to compare
    assert r"\label{tab:my-exp}" in text
    assert r"\shortstack[r]{R\&B,\\50 \%}" in text
    assert r"a\_b\par" in text
    body = text[text.index(r"\midrule") : text.index(r"\bottomrule")].splitlines()[1:]
    assert [line.count("&") for line in body] == [5, 5]
    columns = re.search(r"\\begin\{tabular\}\{(\w+)\}", text)
    assert columns and columns[1] == "lrrrrr"
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")


# ---- the program ---------------------------------------------------------------------------

CLASSES = ("zero", "one", "two")


@pytest.fixture
def params(tmp_path: Path) -> dict:
    """A results folder below tmp_path, and the frozen parameters that name its files."""
    info = DatasetInfo("digits", CLASSES, 8, (0.5,) * 3, (0.2,) * 3, 60, 30, "f", "d")
    save_info(tmp_path / "data/digits-d/dataset.json", info, {})
    images = torch.randint(256, (3, 1, 3, 8, 8), dtype=torch.uint8)
    for index in range(3):
        save_shard(tmp_path / "r", (0, 1), CLASSES, index, images[index], record={"digest": "r"})
    make_set(
        tmp_path / "images/scdd-i/set.json",
        tmp_path / "r",
        CLASSES,
        ipc=1,
        resolution=8,
        method="scdd",
        digest="i",
        sources={"r"},
    )
    cells = []
    for seed in (0, 1):
        folder = tmp_path / f"validate/v-{seed}"
        folder.mkdir(parents=True)
        metrics = {"top1": 60.0 + 2 * seed, "top5": 100.0, "epochs": 2, "train_images": 3}
        (folder / "metrics.json").write_text(json.dumps(metrics | {"seed": seed}))
        (folder / "history.csv").write_text("epoch,lr,loss,top1\n0,0.1,2.0,\n1,0.05,1.0,60.0\n")
        cells.append(
            {
                "method": "scdd",
                "title": "SC-DD (MoCo v2)",
                "images": "images/scdd-i/set.json",
                "ipc": 1,
                "student": "r10",
                "protocol": "paper",
                "teacher": "scdd",
                "stored": {"form": "float16", "bytes": 62},
                "seed": seed,
                "metrics": f"validate/v-{seed}/metrics.json",
                "history": f"validate/v-{seed}/history.csv",
            }
        )
    (tmp_path / "metrics.json").write_text('{"top1": 96.0, "top5": 99.0, "train_top1": 97.0}')
    (tmp_path / "squeeze.csv").write_text("epoch,lr,loss\n0,0.1,7.0\n1,0.1,6.0\n")
    (tmp_path / "losses.csv").write_text("slot,iteration,loss,ce,bn\n0,0,3,2,9\n0,1,2,1,8\n")
    frames = Frames(images.swapaxes(0, 1).repeat(4, 1, 1, 1, 1), [0, 10, 30, 60], CLASSES)
    save_frames(tmp_path / "frames.safetensors", frames, slot=0, record={"digest": "r"})
    named = {"method": "scdd", "title": "SC-DD (MoCo v2)"}
    return {
        "experiment": "digits",
        "dataset": "digits",
        "classes": 3,
        "data": "data/digits-d/dataset.json",
        "cells": cells,
        "costs": [],
        "probes": [{**named, "metrics": "metrics.json", "history": "squeeze.csv"}],
        "recoveries": [{**named, "losses": ["losses.csv"], "frames": "frames.safetensors"}],
        "notes": ["Assumed value: r_bn 0.05."],
        "figures": {"grid_columns": 10, "grid_classes": 2, "scale": 1, "dpi": 50},
    }


def run(folder: Path, params: dict, out: str = "out") -> int:
    frozen = {"stage": "tables", "version": 1, "label": "digits", "digest": "t", "parents": {}}
    (folder / "config.json").write_text(json.dumps(frozen | {"params": params}))
    options = ["--config", folder / "config.json", "--results", folder, "--out", folder / out]
    return tables.main([*map(str, options), "--device", "cpu"])


def test_program_makes_the_files_it_says_and_the_same_twice(tmp_path, params):
    assert all((tmp_path / name).is_file() for name in pages.inputs(params))
    assert run(tmp_path, params) == 0
    made = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert sorted(made) == sorted(pages.outputs(params))
    assert run(tmp_path, params, "again") == 0
    assert made == {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()}
    assert Image.open(io.BytesIO(made["recovery_scdd.gif"])).n_frames == 4
    text = made["main.md"].decode()
    # 3 of the dataset's 60 images; 3 x 8 x 8 pixels and a class index, without and with 62 bytes
    ratio = f"{5 * (193 + 62) / 193:.2f}"
    assert f"| digits  |   1 |       5 | {ratio:>20s} |      61.0 ± 1.4 |" in text
    assert "- Assumed value: r_bn 0.05." in text
    long = list(csv.DictReader(io.StringIO(made["all.csv"].decode())))
    assert [(line["seed"], line["top1"]) for line in long] == [("0", "60.000"), ("1", "62.000")]


def test_latex_leaves_out_words_that_stand_above_and_sets_groups_apart():
    made = table(*(student(A, ipc, protocol=p) for p in ("paper", "code") for ipc in (1, 10)))
    text = tables.to_latex(made, [], [], "x")
    body = text[text.index(r"\midrule") : text.index(r"\bottomrule")].splitlines()[1:]
    assert [line.split(" & ")[:2] for line in body if "&" in line] == [
        ["digits", "paper"],
        ["", ""],
        ["", "code"],
        ["", ""],
    ]
    assert [place for place, line in enumerate(body) if line == r"\addlinespace"] == [2]


def test_an_ablation_and_several_forms_of_labels_have_files_of_their_own(tmp_path, params):
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
    assert made == {*pages.outputs(params)}
    assert {*pages.ABLATION, *pages.LABELS} <= made
    read = [*csv.DictReader((tmp_path / "out" / "labels.csv").open())]
    assert [(line["form"], line["label bytes an image"]) for line in read] == [
        ("float16", "62"),
        ("int8", "20"),
    ]
    (line,) = re.findall(r"\| small .*", (tmp_path / "out" / "ablation.md").read_text())
    assert line.replace(" ", "") == "|small|evaluation|formint8|62.0|+2.0|"


def test_costs_stand_on_the_main_tables_page(tmp_path, params):
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
def test_missing_or_damaged_file_is_named(tmp_path, params, capsys, name, content):
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_text(content)
    assert run(tmp_path, params) == 1
    errors = [text for text in capsys.readouterr().err.splitlines() if text.startswith("error:")]
    assert len(errors) == 1
    assert str(tmp_path / name) in errors[0]


def test_outputs_follow_the_parameters(params):
    first, second = params["cells"]
    other = {**second, "images": "images/digits-scdd-0f1e/set.json"}
    control = {**first, "method": "random", "images": "images/digits-random-77aa/set.json"}
    whole = {**first, "method": "whole", "images": None, "ipc": None}
    several = {**params, "cells": [first, other, control, {**control, "teacher": None}, whole]}
    assert [name for name in pages.outputs(several) if name.startswith("images")] == [
        "images_scdd_ipc1_i.png",
        "images_scdd_ipc1_0f1e.png",
        "images_random_ipc1.png",
    ]
    varied = {**params, "recoveries": [{**params["recoveries"][0], "method": "mine"}]}
    strips = [name for name in pages.outputs(varied) if name.startswith("recovery")]
    assert strips == ["recovery_mine.png", "recovery_mine.gif"]
    bare = {**params, "cells": [whole], "probes": [], "recoveries": []}
    assert pages.outputs(bare) == ["main.csv", "main.md", "main.tex", "all.csv", "costs.csv"]
