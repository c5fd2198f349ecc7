"""A public checkpoint as a squeeze, its classifier as a probe: plan, programs, command."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import toy
import yaml
from safetensors.torch import load_file

from scdd import cli, probe
from scdd.artifacts import tensors
from scdd.artifacts.files import sha256
from scdd.artifacts.network import load_checkpoint
from scdd.errors import ScddError
from scdd.networks.backbone import backbone_state
from scdd.networks.resnet import build
from scdd.plan.code import print_path
from scdd.plan.load import plan_of
from scdd.plan.plan import Node
from scdd.rng import generator
from scdd.squeeze import __main__ as squeeze

Config = dict[str, Any]
GREY = [0.305] * 3, [0.319] * 3  # mean and std of the digits


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A torchvision checkpoint of three classes: the toy problem's teacher."""
    torch.save(build(toy.TEACHER, 3, generator(5)).state_dict(), tmp_path / "public.pth")
    return tmp_path / "public.pth"


@pytest.fixture
def config(tiny: Config, file: Path) -> Config:
    """The small experiment with that checkpoint in place of its squeeze."""
    del tiny["squeeze"]
    source = {"file": str(file), "mean": GREY[0], "std": GREY[1]}
    squeezed = {"method": "imported", "source": source}
    tiny["methods"] = [{"name": "theirs", "like": "scdd", "squeeze": squeezed}]
    return tiny


def source_of(config: Config) -> Config:
    found: Config = config["methods"][0]["squeeze"]["source"]
    return found


def squeezed(config: Config) -> Node:
    (node,) = plan_of(config).of("squeeze")
    return node


def refusal(config: Config) -> str:
    with pytest.raises(ScddError) as caught:
        plan_of(config)
    return str(caught.value)


# ---- the plan ----------------------------------------------------------------------------------


def test_the_files_content_is_its_identity_and_nothing_else_of_it(
    config: Config, file: Path, tmp_path: Path
) -> None:
    before = squeezed(config)
    assert before.params["sha256"] == sha256(file)
    assert str(print_path(before)) == "results/code/squeeze.imported.txt"
    shutil.copy(file, tmp_path / "other.pth")
    source_of(config).update(
        {"file": str(tmp_path / "other.pth"), "url": "https://x", "licence": "MIT"}
    )
    assert squeezed(config).key == before.key
    (tmp_path / "other.pth").write_bytes(b"another")
    assert squeezed(config).key != before.key


@pytest.mark.parametrize(("key", "value"), [("layout", "torchvision"), ("classes", list("abc"))])
def test_how_it_is_read_is_part_of_its_identity(config: Config, key: str, value: Any) -> None:
    before = squeezed(config)
    source_of(config)[key] = value
    assert squeezed(config).key != before.key


def test_the_path_reaches_the_job_by_the_plan(config: Config, file: Path) -> None:
    plan = plan_of(config)
    (node,) = plan.of("squeeze")
    assert plan.imports == {node.key: str(file)}
    assert str(file) not in json.dumps(node.params)


def test_a_text_file_may_name_the_classes(config: Config, tmp_path: Path) -> None:
    names = ["n01440764", "great white shark", "n01443537"]
    (tmp_path / "classes.txt").write_text("\n".join(names) + "\n\n")
    source_of(config)["classes"] = str(tmp_path / "classes.txt")
    by_file = squeezed(config)
    source_of(config)["classes"] = names
    assert by_file.params["source"]["classes"] == names
    assert squeezed(config).key == by_file.key


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"file": "gone.pth"}, "squeeze.imported.source.file: there is no file gone.pth"),
        ({"layout": "moco"}, "squeeze.imported.source.layout: input should be"),
        ({"mean": [0.485, 0.456, 0.406]}, "source.mean: [0.485, 0.456, 0.406], but dataset.mean"),
        ({"std": [0.229, 0.224, 0.225]}, "source.std: [0.229, 0.224, 0.225], but dataset.std"),
        ({"classes": "gone.txt"}, "source.classes: gone.txt cannot be read"),
        ({"licnce": "MIT"}, "unknown key squeeze.imported.source.licnce. Did you mean 'licence'?"),
    ],
)
def test_a_wrong_source_gets_one_clear_message(
    config: Config, change: Config, message: str
) -> None:
    source_of(config).update(change)
    assert message in refusal(config)


def test_a_source_needs_a_file(config: Config) -> None:
    del source_of(config)["file"]
    assert refusal(config) == "squeeze.imported.source.file is missing."


def test_another_squeeze_must_be_known(config: Config) -> None:
    config["methods"][0]["squeeze"]["method"] = "import"
    message = "methods.theirs.squeeze.method: unknown 'import'. Did you mean 'imported'?"
    assert refusal(config) == message


def test_a_trained_backbone_brings_no_classifier(tiny: Config) -> None:
    tiny["probe"]["features"] = "imported"
    assert "the squeeze mocov2 brings no classifier" in refusal(tiny)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["0", "2", "1"], "class order differs: squeeze.imported.source.classes"),
        (["0", "1"], "has '2'"),
    ],
)
def test_classes_in_another_order_are_refused_when_planned(
    config: Config, classes: list[str], message: str
) -> None:
    config["probe"]["features"] = "imported"
    source_of(config)["classes"] = classes
    assert message in refusal(config)


def test_the_tables_notes_name_the_file_and_its_licence(config: Config) -> None:
    (table,) = plan_of(config).of("tables")
    assert "Imported backbone: public.pth, licence not stated." in table.params["notes"]
    source_of(config).update({"url": "https://x/y", "licence": "MIT"})
    (table,) = plan_of(config).of("tables")
    assert "Imported backbone: public.pth, https://x/y, licence MIT." in table.params["notes"]


def test_an_order_that_is_not_stated_stands_in_the_tables_notes(config: Config) -> None:
    config["probe"]["features"] = "imported"
    (table,) = plan_of(config).of("tables")
    note = "public.pth does not tell its classifier's class order; assumed the dataset's."
    assert note in table.params["notes"]


# ---- the programs ------------------------------------------------------------------------------


def run(folder: Path, **changes: Any) -> int:
    """The squeeze of the file, whose source and architecture `changes` may change."""
    toy.write(folder, 2)
    file = folder / "public.pth"
    given: Config = {"layout": "auto", "classes": None, "url": "https://x", "licence": "MIT"}
    given |= {key: value for key, value in changes.items() if key in given}
    params = {"method": "imported", "source": given, "sha256": sha256(file), **vars(toy.TEACHER)}
    params |= {key: value for key, value in changes.items() if key not in given}
    toy.freeze(folder / "config.json", "squeeze", params, data="d")
    return squeeze.main(
        [
            *("--config", str(folder / "config.json"), "--checkpoint", str(file)),
            *("--data", str(folder / "data/dataset.json"), "--root", str(folder)),
            *("--out", str(folder / "backbone.safetensors"), "--device", "cpu"),
            *("--history", str(folder / "history.csv")),
            *(f"--{key}={value}" for key, value in toy.job(folder).items()),
        ]
    )


def test_the_squeeze_is_the_files_backbone_with_its_provenance(file: Path) -> None:
    assert run(file.parent) == 0
    made = load_checkpoint(file.parent / "backbone.safetensors", kind="backbone")
    theirs = torch.load(file, weights_only=True)
    assert made.state.keys() == theirs.keys()
    assert all(torch.equal(made.state[key], theirs[key]) for key in theirs)
    assert made.source == {
        "file": str(file),
        "sha256": sha256(file),
        "layout": "torchvision",
        "classes": None,
        "url": "https://x",
        "licence": "MIT",
    }
    assert (file.parent / "history.csv").read_text() == "epoch,lr,loss,knn\n"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sha256": "0" * 64}, "is missing, or is not the file that this run was planned with"),
        ({"arch": "resnet18"}, "holds a resnet10 of width 0.125"),
        ({"classes": ["a", "b"]}, "has a classifier of 3 classes"),
        ({"layout": "dino", "stem": "imagenet"}, "with the stem small"),
    ],
)
def test_a_squeeze_of_another_file_is_refused(
    file: Path, changes: Config, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(file.parent, **changes) == 1
    assert message in (printed := capsys.readouterr().err)
    assert "Traceback" not in printed
    assert not (file.parent / "backbone.safetensors").exists()


def probed(folder: Path) -> int:
    view = {"crop": "none", "pad": 0, "scale": [1.0, 1.0], "flip": False}
    params = {"features": "imported", "view": view, "epochs": 1, "batch": 8, "lr": 1, "momentum": 0}
    params |= {"weight_decay": 0, "milestones": [], "seed": 0}
    toy.freeze(folder / "config.json", "probe", params, backbone="squeeze")
    return probe.main(
        [
            *("--config", str(folder / "config.json"), "--device", "cpu"),
            *("--data", str(folder / "data/dataset.json"), "--root", str(folder)),
            *("--backbone", str(folder / "backbone.safetensors")),
            *("--out", str(folder / "out.safetensors"), "--metrics", str(folder / "metrics.json")),
            *(f"--{key}={value}" for key, value in toy.job(folder).items()),
        ]
    )


@pytest.mark.parametrize("classes", [None, list(toy.CLASSES)])
def test_the_files_classifier_is_the_probe(
    file: Path, classes: list[str] | None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(file.parent, classes=classes) == 0
    assert probed(file.parent) == 0
    assert ("assumed: the classes" in capsys.readouterr().err) == (classes is None)
    made = load_checkpoint(file.parent / "out.safetensors", kind="classifier")
    theirs = torch.load(file, weights_only=True)
    assert all(torch.equal(made.state[key], theirs[key]) for key in theirs)
    assert (made.source or {})["sha256"] == sha256(file)
    network = build(toy.TEACHER, 3).eval()
    network.load_state_dict(theirs)
    split = toy.image_set(31, 8, seed=1)
    assert split.pixels is not None
    mean, std = (torch.tensor(each)[:, None, None] for each in (toy.MEAN, toy.STD))
    hits = network((split.pixels / 255 - mean) / std).argmax(1) == split.labels
    metrics = json.loads((file.parent / "metrics.json").read_text())
    assert metrics["top1"] == pytest.approx(100 * hits.float().mean().item())


def test_a_classifier_of_another_class_count_is_refused(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(build(toy.TEACHER, 5, generator(5)).state_dict(), file)
    assert run(file.parent) == 0  # the backbone is of use all the same
    assert probed(file.parent) == 1
    message = f"{file} has a classifier of 5 classes (64 features), but"
    assert message in capsys.readouterr().err


def test_a_classifier_in_another_class_order_is_refused(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(file.parent, classes=list("acb")) == 0
    assert probed(file.parent) == 1
    assert f"class order differs: {file}" in capsys.readouterr().err


def test_a_file_without_a_classifier_needs_a_probe(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(backbone_state(build(toy.TEACHER, 3, generator(5))), file)
    assert run(file.parent) == 0
    assert probed(file.parent) == 1
    assert "has no classifier" in capsys.readouterr().err


# ---- the command -------------------------------------------------------------------------------


def test_scdd_import_tells_what_to_write_in_a_configuration(
    config: Config, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["import", str(file), "--licence", "CC BY-NC 4.0"]) == 0
    printed = capsys.readouterr().out
    assert "a classifier of 3 classes" in printed
    assert sha256(file) in printed
    told = yaml.safe_load(printed)
    (method,) = told["methods"]
    assert method["backbone"] == {"arch": "resnet10", "width": 0.125, "stem": "small"}
    assert method["squeeze"]["source"]["licence"] == "CC BY-NC 4.0"
    method["squeeze"]["source"] |= {"mean": GREY[0], "std": GREY[1]}
    assert squeezed(config | told).params["arch"] == "resnet10"


def test_scdd_import_writes_a_file_that_can_be_imported_again(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "backbone.safetensors"
    assert cli.main(["import", str(file), "--url", "https://x", "--out", str(out)]) == 0
    source = tensors.read_header(out)["source"]
    assert (source["url"], source["sha256"]) == ("https://x", sha256(file))
    theirs, ours = torch.load(file, weights_only=True), load_file(out)
    assert theirs.keys() == ours.keys()
    assert all(torch.equal(theirs[key], ours[key]) for key in theirs)
    assert cli.main(["import", str(out)]) == 0
    assert "# torchvision" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"conv1.weight": torch.ones(64, 3, 7, 7)}, "has none of the networks resnet10, "),
        (3, "holds a int"),
    ],
)
def test_scdd_import_refuses_in_one_line(
    content: Any, message: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(content, file)
    assert cli.main(["import", str(file)]) == 1
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1
