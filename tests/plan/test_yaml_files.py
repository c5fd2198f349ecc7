"""What YAML 1.1 would change without a word, and who refuses it."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from scdd.errors import ScddError
from scdd.plan import cluster, presets
from scdd.plan.load import plan_of, plan_of_file
from scdd.plan.yaml_files import load, read_yaml

CONFIG = {"experiment": "e", "dataset": "digits", "methods": ["random-hard"], "ipc": [1]}


def refusal(path: Path, text: str) -> str:
    path.write_text(text)
    with pytest.raises(ScddError) as caught:
        read_yaml(path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "a appears twice, in lines 1 and 3."),
        ("a:\n  b: 1\n  c: 2\n  b: 1\n", "a.b appears twice, in lines 2 and 4."),
        ("a:\n- {b: 1, b: 2}\n", "a.0.b appears twice, in lines 2 and 2."),
        ("a: {b: 1}\n'a': 2\n", "a appears twice, in lines 1 and 2."),
        ("x: &x {b: 1, b: 2}\ny: *x\n", "x.b appears twice"),
        ("a: 010\n", 'a, line 1: YAML reads 010 as 8. Write 8, or quote it: "010".'),
        ("a: [1:30]\n", 'a.0, line 1: YAML reads 1:30 as 90. Write 90, or quote it: "1:30".'),
        ("a: -1:30:00.5\n", "YAML reads -1:30:00.5 as -5400.5."),
        ("a: &a [*a]\n", "a.0 contains itself."),
    ],
)
def test_what_yaml_would_change_is_refused_with_key_and_line(
    tmp_path: Path, text: str, message: str
) -> None:
    told = refusal(tmp_path / "c.yaml", text)
    assert told.startswith(f"{tmp_path / 'c.yaml'}: ")
    assert message in told


def test_every_fault_of_a_file_is_told(tmp_path: Path) -> None:
    assert len(refusal(tmp_path / "c.yaml", "a: 010\na: 1\n").splitlines()) == 2


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("a: '010'\n", {"a": "010"}),
        ("a: 0\n", {"a": 0}),
        ("a: 0.5\n", {"a": 0.5}),
        ("a: 08\n", {"a": "08"}),
        ("a: &x {b: 1}\nc: {<<: *x, b: 2}\n", {"a": {"b": 1}, "c": {"b": 2}}),
        ("a: &x [1]\nb: *x\n", {"a": [1], "b": [1]}),
        ('{"a": 1}', {"a": 1}),
    ],
)
def test_what_is_clear_is_read(tmp_path: Path, text: str, content: Any) -> None:
    (tmp_path / "c.yaml").write_text(text)
    assert read_yaml(tmp_path / "c.yaml") == content


def test_a_cluster_file_is_read_strictly(tmp_path: Path) -> None:
    (tmp_path / "cluster.yaml").write_text("partition: a\npartition: b\n")
    with pytest.raises(ScddError, match="partition appears twice, in lines 1 and 2"):
        cluster.read(tmp_path / "cluster.yaml")


def test_presets_are_read_strictly() -> None:
    with pytest.raises(ScddError, match=r"recover\.sre2l appears twice"):
        load("recover: {sre2l: {lr: !paper 1}, sre2l: {lr: !code 2}}", presets._Loader)


def test_a_base_and_a_listed_experiment_are_read_strictly(tmp_path: Path) -> None:
    (tmp_path / "twice.yaml").write_text(yaml.safe_dump(CONFIG) + "ipc: [2]\n")
    (tmp_path / "own.yaml").write_text("base: twice.yaml\nexperiment: own\n")
    with pytest.raises(ScddError, match=r"twice\.yaml: ipc appears twice"):
        plan_of_file(tmp_path / "own.yaml")
    with pytest.raises(ScddError, match=r"twice\.yaml: ipc appears twice"):
        plan_of({"experiments": ["twice.yaml"]}, tmp_path)


def test_experiments_are_looked_for_beside_the_file_that_lists_them(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "a.yaml").write_text(yaml.safe_dump(CONFIG))
    (tmp_path / "inner" / "all.yaml").write_text("experiments: [a.yaml]\n")
    (tables,) = plan_of_file(tmp_path / "inner" / "all.yaml").of("tables")
    assert tables.label == "e"


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ({"classes": [0, 1]}, 'dataset.classes.0: text is needed, and 0 is not. Quote it: "0".'),
        ({"classes": ["a", 2.5]}, 'Quote it: "2.5".'),
        ({"classes": ["zero", False]}, 'quote such a name, as "no".'),
        ({"name": 5}, 'dataset.name: text is needed, and 5 is not. Quote it: "5".'),
        ({"classes": 1}, "dataset.classes: input should be greater than or equal to 2 (got 1)."),
    ],
)
def test_a_name_that_yaml_reads_as_something_else_is_to_be_quoted(
    dataset: dict[str, Any], message: str
) -> None:
    with pytest.raises(ScddError) as caught:
        plan_of({**CONFIG, "dataset": dataset})
    assert message in str(caught.value)
    assert "dataset.classes: input should be a valid integer" not in str(caught.value)


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ({"mean": [125, 122, 114], "std": [0.2] * 3}, "dataset.mean: [125.0, 122.0, 114.0] is not"),
        ({"mean": [0.5] * 3, "std": [58, 57, 57]}, "dataset.std: [58.0, 57.0, 57.0] is not"),
        ({"mean": [0.1, 0.2, 1.485], "std": [0.2] * 3}, "is not within 0 and 1; of levels, divide"),
        ({"mean": [0.1, 0.2, -0.1], "std": [0.2] * 3}, "is not within 0 and 1"),
        ({"mean": [0.5] * 3, "std": [0.2, 0.2, 0]}, "is not above 0 and up to 1"),
        ({"mean": [0.5] * 3}, "has no std; set both or neither."),
        ({"std": [0.5] * 3}, "has no mean; set both or neither."),
    ],
)
def test_mean_and_std_that_cannot_be_are_refused(dataset: dict[str, Any], message: str) -> None:
    with pytest.raises(ScddError) as caught:
        plan_of({**CONFIG, "dataset": {"name": "digits", **dataset}})
    assert message in str(caught.value)


def test_pixels_may_be_left_as_they_are() -> None:
    dataset = {"name": "digits", "mean": [0, 0, 0], "std": [1, 1, 1]}
    (data,) = plan_of({**CONFIG, "dataset": dataset}).of("data")
    assert (data.params["mean"], data.params["std"]) == ([0, 0, 0], [1, 1, 1])
