"""Code prints: a stage's code as an input of its jobs."""

import time
from pathlib import Path

import pytest

from scdd.plan import code
from scdd.plan.load import plan_of
from scdd.plan.stages import STAGES


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "module.py"
    file.write_text('"""Doc."""\n\ndef f(x):\n    """Doc."""\n    return x + 1  # why\n')
    return file


def hash_of(file: Path, text: str) -> str:
    other = file.with_name(f"other{time.monotonic_ns()}.py")
    other.write_text(text)
    return code.tree_hash(other)


def test_comments_docstrings_and_layout_do_not_count(source: Path) -> None:
    text = "def f(x):\n\n    return (x +\n        1)\n"
    assert hash_of(source, text) == code.tree_hash(source)


@pytest.mark.parametrize(
    "text", ["def f(x):\n    return x + 2\n", "def f(x, y=0):\n    return x + 1\n"]
)
def test_code_counts(source: Path, text: str) -> None:
    assert hash_of(source, text) != code.tree_hash(source)


def test_a_string_that_is_no_docstring_counts(source: Path) -> None:
    assert hash_of(source, "A = 'x'\n") != hash_of(source, "A = 'y'\n")


def test_a_stage_reaches_its_own_modules_only() -> None:
    recover = code.reach(["scdd.recover", "scdd.recover.__main__"])
    assert {
        "scdd.recover.engine",
        "scdd.networks.resnet",
        "scdd.views.geometry",
        "scdd.rng",
    } <= recover
    others = (
        "scdd.squeeze",
        "scdd.evaluate.validate",
        "scdd.plan",
        "scdd.select",
        "scdd.artifacts",
    )
    assert not [name for name in recover if name.startswith(others)]


def test_a_squeeze_reaches_its_own_method_only(tiny: dict) -> None:
    tiny["methods"] = ["scdd", "sre2l"]
    prints = {str(code.print_path(node)) for node in plan_of(tiny).of("squeeze")}
    assert prints == {"results/code/squeeze.mocov2.txt", "results/code/squeeze.supervised.txt"}
    roots = ["scdd.squeeze", "scdd.squeeze.__main__", "scdd.squeeze.methods.mocov2"]
    assert "scdd.squeeze.methods.supervised" not in code.reach(roots)


@pytest.mark.parametrize("stage", STAGES)
def test_a_new_parameter_changes_no_print(stage: str) -> None:
    """A stage that does not use it keeps its results; where it is used, the digests have it."""
    program = STAGES[stage].program
    assert not [
        name
        for name in code.reach([program, f"{program}.__main__"])
        if name.startswith("scdd.params")
    ]


def test_programs_import_the_parameters_that_prints_leave_out() -> None:
    assert "scdd.params.recover" in code.imports(code.PACKAGE / "recover" / "__main__.py")


def test_a_print_is_rewritten_only_when_it_changes(
    tiny: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    nodes = list(plan_of(tiny).nodes.values())
    code.write_prints(nodes)
    prints = sorted(Path("results/code").iterdir())
    times = [file.stat().st_mtime_ns for file in prints]
    assert len(prints) == 8
    code.write_prints(nodes)
    assert [file.stat().st_mtime_ns for file in prints] == times
