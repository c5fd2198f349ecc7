"""Coresets by features: the orders against float64 loops, the program from probe to images."""

import math
import re
from pathlib import Path

import pytest
import torch
from conftest import TINY, new_checkout
from torch import Tensor
from toy import CLASSES, TEACHER, command, freeze, image_set, info, write

from scdd.artifacts import tensors
from scdd.artifacts.images import load_set, make_set
from scdd.artifacts.network import load_checkpoint
from scdd.artifacts.order import load_order, save_order
from scdd.errors import ScddError
from scdd.networks.resnet import build
from scdd.rng import generator
from scdd.select import __main__ as baselines
from scdd.select import coreset as program
from scdd.select import orders
from scdd.select.orders import herding, kcenter
from scdd.views.pixels import normalise

CPU = torch.device("cpu")
METHODS = ("herding", "kcenter")
Rows = list[list[float]]


def drawn(n: int = 30, d: int = 5, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)) + 0.5


def distance(one: list[float], other: list[float]) -> float:
    return math.sqrt(sum((a - b) ** 2 for a, b in zip(one, other, strict=True)))


def mean(rows: Rows) -> list[float]:
    return [sum(column) / len(rows) for column in zip(*rows, strict=True)]


def naive_herding(rows: Rows) -> list[int]:
    """Each time all that are left are tried."""
    centre, taken = mean(rows), list[int]()
    while len(taken) < len(rows):
        left = [i for i in range(len(rows)) if i not in taken]
        taken.append(
            min(left, key=lambda i: distance(mean([rows[j] for j in [*taken, i]]), centre))
        )
    return taken


def naive_kcenter(rows: Rows) -> list[int]:
    centre = mean(rows)
    taken = [min(range(len(rows)), key=lambda i: distance(rows[i], centre))]
    while len(taken) < len(rows):
        left = [i for i in range(len(rows)) if i not in taken]
        taken.append(max(left, key=lambda i: min(distance(rows[i], rows[j]) for j in taken)))
    return taken


@pytest.mark.parametrize("seed", range(3))
def test_herding_brings_the_mean_of_those_taken_nearest_to_the_class_mean(seed: int) -> None:
    features = drawn(seed=seed)
    assert herding.order(features).tolist() == naive_herding(features.double().tolist())


@pytest.mark.parametrize("seed", range(3))
def test_kcenter_takes_the_farthest_from_all_that_are_taken(seed: int) -> None:
    features = drawn(seed=seed)
    assert kcenter.order(features).tolist() == naive_kcenter(features.double().tolist())


def test_on_a_line_the_orders_are_those_worked_out_by_hand() -> None:
    line = torch.tensor([[0.0], [1.0], [2.0], [4.0], [8.0]])  # the mean is 3
    # 2 and 4 are equally near to it, the first is taken; with 4 beside it the mean is 3
    assert herding.order(line).tolist()[:2] == [2, 3]
    # from 2 on: 8 is 6 away; then 0 and 4 are 2 away, the first is taken; then 4, then 1
    assert kcenter.order(line).tolist() == [2, 4, 0, 3, 1]


@pytest.mark.parametrize("name", METHODS)
def test_every_image_is_taken_once_even_copies(name: str) -> None:
    features = drawn(6).repeat(3, 1)
    assert sorted(orders.method(name).order(features).tolist()) == list(range(18))
    assert orders.method(name).order(torch.zeros(1, 4)).tolist() == [0]


@pytest.mark.parametrize("name", METHODS)
def test_the_order_is_deterministic_and_leaves_the_features_alone(name: str) -> None:
    features = drawn().double()
    before = features.clone()
    first = orders.method(name).order(features)
    assert first.equal(orders.method(name).order(features))
    assert features.equal(before)


def test_an_unknown_method_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ScddError, match=r"'hurding' is unknown\. Did you mean 'herding'\?"):
        orders.method("hurding")


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_ranks_are_by_class_on_clean_features_in_eval_mode(precision: str) -> None:
    network, split = build(TEACHER, 3, generator(0)), image_set(31, 8)
    found = program.ranks(herding, network, split, info(8), CPU, precision=precision)
    assert split.pixels is not None
    for label in range(3):
        members = (split.labels == label).nonzero().flatten()
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            seen = network.eval().features(normalise(split.pixels[members], info(8)))
        order = naive_herding(seen.double().tolist())
        assert found[members[order]].tolist() == list(range(len(members)))


# ---- the order's file --------------------------------------------------------------------------

LABELS = torch.tensor([1, 0, 1, 0, 1])
RANK = torch.tensor([2, 1, 0, 0, 1])


def read(path: Path, labels: Tensor = LABELS, digest: str = "o1") -> list[Tensor]:
    data = Path("dataset.json")
    return load_order(path, digest=digest, labels=labels, classes=("x", "y"), classes_of=data)


def test_an_order_comes_back_as_the_images_of_each_class(tmp_path: Path) -> None:
    save_order(tmp_path / "o", RANK, ("x", "y"), "o1", {})
    assert [order.tolist() for order in read(tmp_path / "o")] == [[3, 1], [2, 4, 0]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"digest": "o2"}, "is of artifact o2, but this configuration was made for artifact o1"),
        ({"classes": ("y", "x")}, "class order differs"),
        ({"rank": RANK[:4]}, "orders 4 images, but dataset.json has 5"),
        (
            {"rank": torch.tensor([2, 1, 0, 1, 1])},
            "does not order the training images of class 'x'",
        ),
    ],
)
def test_an_order_of_something_else_is_refused(change: dict, message: str, tmp_path: Path) -> None:
    given = {"rank": RANK, "classes": ("x", "y"), "digest": "o1", "env": {}, **change}
    save_order(tmp_path / "o", **given)
    with pytest.raises(ScddError, match=message):
        read(tmp_path / "o")


def test_another_kind_of_file_is_no_order(tmp_path: Path) -> None:
    tensors.save(tmp_path / "o", {"rank": RANK}, {"kind": "shard"})
    with pytest.raises(ScddError, match="is a 'shard' file, but 'order' is needed"):
        read(tmp_path / "o")


# ---- the programs ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", METHODS)
def test_from_the_probe_to_nested_images(name: str, tmp_path: Path) -> None:
    write(tmp_path, ipc=2)
    freeze(tmp_path / "coreset.json", "coreset", {"method": name}, teacher="t1")
    options = {"root": tmp_path, "teacher": tmp_path / "probe.safetensors"}
    order = tmp_path / "order.safetensors"
    assert program.main(command(tmp_path, "coreset", **options, out=order)) == 0

    freeze(tmp_path / "select.json", "select", {"method": name}, data="d", order="coreset")
    given = {
        "config": tmp_path / "select.json",
        "data": tmp_path / "data" / "dataset.json",
        "root": tmp_path,
        "order": order,
        "out": tmp_path / "made",
    }
    for slots in ("0:1", "1:10"):
        arguments = [f"--{key}={value}" for key, value in given.items()]
        assert baselines.main([*arguments, f"--slots={slots}"]) == 0
    whole = {"resolution": 8, "method": name, "digest": "s", "sources": {"select"}}
    make_set(tmp_path / "set" / "set.json", tmp_path / "made", CLASSES, ipc=10, **whole)
    images = load_set(tmp_path / "set" / "set.json").images

    state = load_checkpoint(tmp_path / "probe.safetensors", kind="classifier").state
    network, train = build(TEACHER, 3, generator(1)), image_set(60, 8)
    network.load_state_dict(state)
    assert train.pixels is not None
    with torch.no_grad():
        seen = network.eval().features(normalise(train.pixels, info(8))).double()
    naive = {"herding": naive_herding, "kcenter": naive_kcenter}[name]
    for label in range(3):
        members = (train.labels == label).nonzero().flatten()
        expected = members[naive(seen[members].tolist())][:10]
        assert images[10 * label :][:10].equal(train.pixels[expected])


def test_the_program_refuses_another_probe(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, ipc=2)
    freeze(tmp_path / "coreset.json", "coreset", {"method": "herding"}, teacher="t2")
    options = {"root": tmp_path, "teacher": tmp_path / "probe.safetensors"}
    out = tmp_path / "order.safetensors"
    assert program.main(command(tmp_path, "coreset", **options, out=out)) == 1
    assert "made for artifact t2" in capsys.readouterr().err
    assert not out.exists()


def test_a_coreset_without_its_order_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, ipc=2)
    freeze(tmp_path / "select.json", "select", {"method": "herding"}, data="d", order="c")
    given = {"config": "select.json", "data": "data/dataset.json", "root": "", "out": "made"}
    arguments = [f"--{key}={tmp_path / value}" for key, value in given.items()]
    assert baselines.main([*arguments, "--slots=0:1"]) == 1
    assert "--order is needed" in capsys.readouterr().err


def test_the_workflow_hands_over_the_probe_and_then_the_order(tmp_path: Path) -> None:
    checkout = new_checkout(tmp_path / "planned")
    checkout.configure({**TINY, "methods": ["scdd", "herding", "forgetting", "random"]})
    printed = checkout.run("-n", "-p")
    jobs = re.findall(r"exec python -m scdd.select .*", printed)
    handed = {tuple(re.findall(r"--order results/(\w+)/", job)) for job in jobs}
    assert handed == {("coreset",), ("forgetting",), ()}
    (command,) = re.findall(r"exec python -m scdd.select.coreset .*", printed)
    assert re.search(r"--teacher results/probe/\S*/probe.safetensors", command)
