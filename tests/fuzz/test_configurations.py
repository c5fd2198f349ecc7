"""Configurations that were changed at random are planned, or refused in words: no traceback, no
plan that fills the memory."""

import inspect
import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT
from mutations import changed, damaged

from scdd.errors import ScddError
from scdd.params import experiment, probe, protocol, recover, select, squeeze
from scdd.params.base import Section, key_of, parameters
from scdd.plan.load import plan_of, plan_of_file, read_config

FILES = [
    "config.yaml",
    "experiments/ablation-switches.yaml",
    "experiments/cifar100.yaml",
    "experiments/methods-cifar100-mini.yaml",
    "experiments/squeeze-digits.yaml",
]
KEYS = sorted(
    {
        key_of(parameter)
        for module in (experiment, probe, protocol, recover, select, squeeze)
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, Section)
        for parameter in parameters(kind).values()
    }
)
DIGITS = {"experiment": "e", "dataset": "digits", "methods": ["random"], "ipc": [1]}
# what was found so: each gave a traceback, or filled the memory
FOUND: list[dict[str, Any]] = [
    {**DIGITS, "dataset": {"name": "imagefolder", "root": "x" * 300}},
    {**DIGITS, "methods": ["scdd", "random"], "protocol": {"scdd-paper": {"epochs": 10**9}}},
    {
        **DIGITS,
        "methods": ["scdd", "random"],
        "protocol": {"scdd-paper": {"epochs": 10**7, "epochs_per_shard": 1}},
    },
    {**DIGITS, "protocol": {"slow": {"like": ["a"]}}},
]


@pytest.mark.parametrize("number", range(len(FOUND)))
def test_what_was_found_is_refused(number: int) -> None:
    with pytest.raises(ScddError):
        plan_of(FOUND[number], check_files=False)


@pytest.mark.parametrize("file", FILES)
def test_a_changed_configuration_is_planned_or_refused(file: str) -> None:
    config, draw, planned = read_config(ROOT / file), random.Random(file), 0
    for _ in range(150):
        try:
            plan_of(changed(draw, config, KEYS), check_files=False)
            planned += 1
        except ScddError as error:
            assert str(error)
    assert 0 < planned < 150


def test_a_damaged_file_is_planned_or_refused(tmp_path: Path) -> None:
    content, draw = yaml.safe_dump(read_config(ROOT / "config.yaml")).encode(), random.Random(0)
    for _ in range(300):
        (tmp_path / "c.yaml").write_bytes(damaged(draw, content))
        try:
            plan_of_file(tmp_path / "c.yaml", check_files=False)
        except ScddError as error:
            assert str(error)


@pytest.mark.parametrize("text", ["[" * 5000, "a: " + "{b: " * 5000, "- " * 5000])
def test_a_file_that_is_nested_too_deeply_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ScddError):
        plan_of_file(tmp_path / "c.yaml")
