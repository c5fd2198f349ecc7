"""How many sources a method's image sets have in the plan, and which keys it refuses."""

from dataclasses import dataclass
from typing import ClassVar

import pytest

from scdd.errors import ScddError
from scdd.params.experiment import Method
from scdd.plan.draft import Draft
from scdd.plan.load import plan_of
from scdd.plan.methods import METHODS, kind_of
from scdd.plan.methods.base import Distilled
from scdd.plan.plan import Node, Plan

CONFIG = {"experiment": "e", "dataset": "digits", "ipc": [1, 2, 3], "seeds": [0]}


@dataclass(frozen=True)
class Learned(Distilled):
    """A method that makes new images for each IPC."""

    JOINT: ClassVar[bool] = True

    def source(self, draft: Draft, method: Method, ipc: int) -> Node:
        params = {"method": "learned", "ipc": ipc}
        return draft.plan.add("select", f"learned-{ipc}", params, {"data": draft.data})


def sources(plan: Plan) -> list[Node]:
    """The artifact that each image set is made from, by increasing IPC."""
    sets = sorted(plan.of("imageset"), key=lambda node: node.params["ipc"])
    return [plan.parent(node, "source") for node in sets]


def test_a_nested_method_has_one_source_for_all_ipcs() -> None:
    assert len(set(map(id, sources(plan_of({**CONFIG, "methods": ["random-hard"]}))))) == 1


def test_a_joint_method_has_a_source_for_each_ipc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "learned", Learned("Learned", labels="hard"))

    labels = [node.label for node in sources(plan_of({**CONFIG, "methods": ["learned"]}))]
    assert labels == ["learned-1", "learned-2", "learned-3"]


@pytest.mark.parametrize(
    ("method", "key"),
    [
        (Method("random", recover={"lr": 1}), "methods.random.recover"),
        (Method("random-hard", teacher=("scdd",)), "methods.random-hard.teacher"),
        (Method("kcenter", committee=("scdd",)), "methods.kcenter.committee"),
        (Method("scdd", features="scdd"), "methods.scdd.features"),
        (Method("whole", ipc=(1,)), "methods.whole.ipc"),
        (Method("scdd", base="sre2l"), "methods.scdd.base"),
        (Method("ccfs", recover={"lr": 1}), "methods.ccfs.recover"),
    ],
)
def test_a_key_that_a_method_does_not_use_is_refused(method: Method, key: str) -> None:
    with pytest.raises(ScddError, match=f"^{key}: this method has no use for it.$"):
        kind_of(method)
