"""Files by the names of an experiment."""

from pathlib import Path
from typing import Any

import pytest

from scdd.artifacts.run import RESULTS
from scdd.errors import ScddError
from scdd.plan.find import named_set, set_in
from scdd.plan.load import plan_of
from scdd.plan.plan import Plan


@pytest.fixture
def plan(tiny: dict[str, Any]) -> Plan:
    tiny |= {"methods": ["scdd", "random"], "ipc": [1, 2], "protocols": ["scdd-paper", "sre2l"]}
    tiny["protocol"]["sre2l"] = {"view": {"pad": 3}}
    return plan_of(tiny)


def test_a_set_has_a_method_and_an_ipc(plan: Plan) -> None:
    (random,) = plan.of("select")
    (images,) = (
        node
        for node in plan.of("imageset")
        if node.parents["source"] == random.key and node.params["ipc"] == 2
    )
    assert named_set(plan, "random", 2) == (images.folder / "set.json", None)


def test_a_protocol_has_the_soft_labels(plan: Plan) -> None:
    path, labels = named_set(plan, "scdd", 1, "sre2l")
    assert labels is not None
    store = plan.nodes[str(labels.relative_to(RESULTS))]
    assert store.params["view"]["pad"] == 3
    assert plan.parent(store, "images").folder == path.parent


def test_a_name_may_be_left_out_where_there_is_one(tiny: dict[str, Any]) -> None:
    plan = plan_of(tiny)
    (images,) = plan.of("imageset")
    assert named_set(plan, None, None) == (images.folder / "set.json", None)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("scd", 1), "no images with method scd. Did you mean 'scdd'?"),
        (("scdd", 5), "no images with ipc 5. Known: 1, 2."),
        (("scdd", 1, "rded"), "no images with protocol rded. "),
        (("scdd", None), "several image sets are meant. Name one: ipc 1 or 2; protocol"),
        ((None, 1), "several image sets are meant. Name one: method random or scdd; protocol"),
    ],
)
def test_what_is_not_there_or_there_several_times_is_told(
    plan: Plan, names: tuple[Any, ...], message: str
) -> None:
    with pytest.raises(ScddError) as caught:
        named_set(plan, *names)
    assert str(caught.value).startswith(message)


def test_a_folder_stands_for_its_only_set(tmp_path: Path) -> None:
    with pytest.raises(ScddError, match=r"a folder with one set\.json is needed, but .* has none"):
        set_in(tmp_path)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "set.json").touch()
    assert set_in(tmp_path / "a") == tmp_path / "a" / "set.json"
    with pytest.raises(ScddError, match="has 2: a, b"):
        set_in(tmp_path)
    assert set_in(tmp_path / "none.json") == tmp_path / "none.json"
