"""The methods that recover images: their published values, committees and segments, in the plan."""

from typing import Any

import pytest

from scdd.errors import ScddError
from scdd.params.recover import Recover, Segment
from scdd.plan.config import parse
from scdd.plan.cost.stages import jobs_of
from scdd.plan.load import plan_of
from scdd.plan.plan import Plan
from scdd.plan.presets import preset, preset_names, published_ipcs

OTHERS = [
    {"name": "other", "like": "sre2l", "backbone": "resnet34"},
    {"name": "third", "like": "sre2l", "backbone": "resnet50"},
]
RESOLUTIONS = {"digits": 16, "cifar10": 32, "cifar": 32, "tiny": 64, "imagenet": 224}


def planned(*methods: Any, **changes: Any) -> Plan:
    config = {"experiment": "e", "dataset": "digits", "ipc": [2], "seeds": [0]}
    network = {"arch": "resnet10", "width": 0.25}
    shared = {"backbone": network, "students": [network], "recover": {"block": 10}}
    return plan_of({**config, **shared, "methods": list(methods), **changes})


def recovery(plan: Plan, role: str = "teacher_2") -> Recover:
    """The parameters of the only recovery that has a parent in this role."""
    (node,) = [node for node in plan.of("recover") if role in node.parents]
    return Recover.of(node.params)


@pytest.mark.parametrize("name", preset_names("recover"))
def test_published_recoveries_are_valid_at_all_ipcs(name: str) -> None:
    for family, resolution in RESOLUTIONS.items():
        for ipc in (None, *published_ipcs("recover", name, family)):
            values = preset("recover", name, family, ipc=ipc).values
            recover = parse(Recover, values, "recover")
            assert recover.segments(resolution)[-1].size == resolution


@pytest.mark.parametrize("name", ["fadrm", "fadrm-plus"])
def test_fadrm_has_four_segments(name: str) -> None:
    cifar, imagenet = (
        parse(Recover, preset("recover", name, family).values, "recover").segments(size)
        for family, size in (("cifar", 32), ("imagenet", 224))
    )
    assert cifar == tuple(Segment(first, first + 500, 32) for first in range(0, 2000, 500))
    assert [part.size for part in imagenet] == [200, 224, 200, 224]
    assert [part.end for part in imagenet] == [part.end for part in cifar]


def test_cv_dds_pairs_differ_by_ipc_so_that_each_ipc_has_a_recovery() -> None:
    committee = {"name": "cvdd", "committee": ["other", "third"]}
    plan = planned(*OTHERS, committee, ipc=[1, 2, 10])
    sets = [node for node in plan.of("imageset") if "teacher_2" in source(plan, node).parents]
    pairs = {node.params["ipc"]: source(plan, node).params["pairs"] for node in sets}
    assert pairs == {1: "drawn", 2: "drawn", 10: "listed"}
    assert len({node.parents["source"] for node in sets}) == 2


def source(plan: Plan, images: Any) -> Any:
    return plan.parent(images, "source")


def test_a_recovery_that_is_the_same_at_all_ipcs_is_made_once() -> None:
    plan = planned("sre2lpp", ipc=[1, 2, 10])
    assert len(plan.of("recover")) == 1


def vote(**keys: Any) -> dict[str, Any]:
    recover = {"teachers": "vote", **keys}
    return {"name": "votes", "like": "sre2l", "committee": ["other", "third"], "recover": recover}


def test_priors_by_architecture_are_those_of_the_teachers_in_order() -> None:
    priors = {"resnet10": 50, "resnet50": 70, "resnet34": 60, "resnet18": 1}
    assert recovery(planned(*OTHERS, vote(priors=priors))).priors == (50, 60, 70)


def test_priors_that_no_teacher_has_change_no_digest() -> None:
    priors = {"resnet10": 50, "resnet50": 70, "resnet34": 60}
    few, more = (planned(*OTHERS, vote(priors=p)) for p in (priors, {**priors, "resnet18": 1}))
    assert {node.digest for node in few.of("recover")} == {n.digest for n in more.of("recover")}


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (vote(priors={"resnet10": 50}), "recover.priors: there is none for resnet34, a teacher of"),
        (vote(priors=[50, 60]), "recover.priors: 2, but method 'votes' has 3 teachers"),
        ("fadrm-plus", "recover.teachers: turn is for several teachers, .* 'fadrm-plus' has one"),
        ("cvdd", "recover.pairs: drawn is for several teachers, .* methods.cvdd.committee"),
        (
            {"name": "sre2l", "recover": {"sizes": [8, 12], "budgets": [500, 500]}},
            "recover.sizes: the last one is 12, and images have 16 pixels a side. Make it 16.",
        ),
        (
            {
                "name": "sre2l",
                "backbone": "densenet121",
                "recover": {"sizes": [4, 16], "budgets": [500, 500]},
            },
            "recover.sizes: densenet121 takes images of 8 pixels on, and these have 4",
        ),
        (
            {"name": "fadrm", "recover": {"residual": {"pool": 200}}},
            "recover.residual.pool: 200, but the smallest class of digits has [0-9]+ training",
        ),
    ],
)
def test_what_a_recovery_cannot_have(method: Any, message: str) -> None:
    with pytest.raises(ScddError, match=message):
        planned(*OTHERS, method)


def test_a_look_at_a_teacher_is_of_a_plain_recovery() -> None:
    """Whatever the recovery that it is made for does with its committee and segments."""
    keys = {"r_bn": "auto", "start": "real", "residual": {"every": 500}}
    method = {"name": "mine", "like": "sre2l", "committee": ["other"], "recover": keys}
    method["recover"] |= {"teachers": "turn"}
    (look,) = planned(OTHERS[0], method).of("informativeness")
    assert not {"teachers", "residual", "sizes", "start"} & look.params["recover"].keys()


def work(committee: list[str], ipc: int = 2, **recover: Any) -> float:
    """Arithmetic of the last job of a recovery."""
    method = {"name": "mine", "like": "sre2l", "committee": committee, "recover": recover}
    plan = planned(*(OTHERS if committee else []), method, ipc=[ipc])
    (node,) = [node for node in plan.of("recover") if len(node.parents) == len(committee) + 1]
    return jobs_of(plan, node)[-1].work.flops


def test_teachers_in_turn_cost_as_much_as_their_mean() -> None:
    together, turn = (work(["other"], teachers=how) for how in ("mean", "turn"))
    assert turn == pytest.approx(together / 2)


def test_drawn_pairs_cost_two_thirds_of_three_teachers() -> None:
    three, pairs = (work(["other", "third"], pairs=how) for how in ("none", "drawn"))
    assert pairs == pytest.approx(three * 2 / 3)


def test_the_best_pair_costs_what_these_two_do() -> None:
    best = work(["other", "third"], pairs="best", priors=[50, 60, 40])
    assert best == pytest.approx(work(["other"], teachers="mean"))


def test_images_that_join_in_rounds_cost_what_they_take_part_in() -> None:
    """Ten slots are a batch of one and one of nine: of the nine two join in each of four rounds,
    and one more in the first, so that they are there for 1, 3/4, 1/2 and 1/4 of the time."""
    whole, rounds = (work([], ipc=10, slots=10, rounds=count) for count in (1, 4))
    assert rounds == pytest.approx(whole * (3 + 2 * 0.75 + 2 * 0.5 + 2 * 0.25) / 9)


def test_small_segments_cost_less() -> None:
    """A segment of a quarter of the pixels, about a quarter: the classifier costs the same."""
    whole = work(["other"], teachers="mean")
    half = work(["other"], sizes=[8, 16], budgets=[500, 500])
    assert half == pytest.approx(whole * 5 / 8, rel=1e-3)
