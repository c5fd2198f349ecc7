"""Teachers together, and BatchNorm by groups: against the authors' programs and plain loops."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from scdd.labels.labelling import Labelling
from scdd.labels.relabel import teacher_of
from scdd.labels.teachers import Together, equal_parts, use_batch_statistics, vote_weights
from scdd.params.views import Transform
from scdd.rng import generator

CPU = torch.device("cpu")
GOLDEN = Path(__file__).parent / "golden" / "bssl.safetensors"
BSSL = Labelling(Transform(), 0, "batch", 16, batch_bn=True, bn_groups=2)


class Small(nn.Module):
    """The golden data's networks: two convolutions with BatchNorm, the mean over positions."""

    def __init__(self, inner: int, outer: int, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, inner, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, outer, 3, stride=2, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outer)
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(outer, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu())).relu()
        return self.fc(self.dropout(x.mean((2, 3))))


def released(number: int, golden: dict[str, Tensor]) -> Small:
    name = f"net{number}."
    state = {k.removeprefix(name): v for k, v in golden.items() if k.startswith(name)}
    network = Small(len(state["conv1.weight"]), len(state["conv2.weight"]), len(state["fc.bias"]))
    network.load_state_dict(state, strict=False)
    return network


def mixed(golden: dict[str, Tensor], case: str, batch: int) -> Tensor:
    """CutMix in place, by the recorded partners and box (rows, then columns)."""
    views = golden[f"{case}.views.{batch}"].clone()
    top, left, bottom, right = golden[f"{case}.box.{batch}"].tolist()
    partner = golden[f"{case}.partner.{batch}"]
    views[:, :, top:bottom, left:right] = views[partner, :, top:bottom, left:right]
    return views


@pytest.mark.parametrize(
    ("case", "config"),
    [
        ("equal", {}),  # FADRM's
        ("voted", {"teacher_priors": [64, 60.6, 51.6], "prior_temperature": 10.0}),  # CV-DD's
    ],
)
def test_labels_of_half_batches_are_the_authors(case: str, config: dict[str, Any]) -> None:
    """Batches of 16 and 7 images, which go through the networks as one pass. 4e-7 is three units in
    the last place of these logits: as much as two passes of halves differ from the golden ones on
    another machine, and as those do from float64."""
    golden = load_file(GOLDEN)
    teacher = teacher_of([released(k, golden) for k in range(3)], config, BSSL, CPU)
    with torch.inference_mode():
        found = teacher(torch.cat([mixed(golden, case, batch) for batch in range(2)]))
    expected = torch.cat([golden[f"{case}.logits.{batch}"] for batch in range(2)])
    torch.testing.assert_close(found, expected, rtol=0, atol=4e-7)


@pytest.mark.parametrize(
    ("n", "count", "parts"), [(16, 2, [8, 8]), (7, 2, [3, 4]), (7, 3, [2, 2, 3]), (5, 1, [5])]
)
def test_parts_are_cut_as_the_authors_cut_halves(n: int, count: int, parts: list[int]) -> None:
    assert equal_parts(n, count) == parts


@pytest.mark.parametrize(
    ("n", "groups"), [(32, [8] * 4), (23, [8, 8, 3, 4]), (17, [8, 9]), (9, [4, 5])]
)
def test_groups_are_those_of_whole_batches(n: int, groups: list[int]) -> None:
    assert BSSL.groups(n) == groups


def test_groups_in_one_pass_are_passes_of_a_network_in_training_mode() -> None:
    draw = generator("x")
    network, x = Small(4, 5, 3), torch.randn(11, 3, 8, 8, generator=draw)
    network.dropout = nn.Identity()
    parts = [network.train()(part) for part in x.split([4, 5, 2])]
    use_batch_statistics(network.eval(), lambda n: [4, 5, 2])
    torch.testing.assert_close(network(x), torch.cat(parts), rtol=1e-5, atol=1e-6)
    assert not any("running" in name for name in network.state_dict())


def test_weights_are_a_softmax_of_priors() -> None:
    priors = [64.0, 60.6, 51.6]
    expected = torch.softmax(torch.tensor(priors, dtype=torch.float64) / 10, 0)
    assert vote_weights(priors, 10.0) == pytest.approx(expected.tolist(), rel=1e-12)
    assert vote_weights([5000.0, 0.0], 1.0) == [1.0, 0.0]


@pytest.mark.parametrize("weights", [None, [0.5, 0.3, 0.2]])
def test_logits_are_summed_in_float32_under_autocast(weights: list[float] | None) -> None:
    draw = torch.Generator().manual_seed(0)
    networks, x = [nn.Linear(4, 3) for _ in range(3)], torch.randn(5, 4, generator=draw)
    with torch.autocast("cpu", torch.bfloat16):
        found, each = Together(networks, weights)(x), [one(x).double() for one in networks]
    shares = weights or [1 / 3] * 3
    expected = sum(share * one for share, one in zip(shares, each, strict=True))
    torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=1e-7)


def test_dropout_is_live_where_it_is_asked_for() -> None:
    views = torch.randn(16, 3, 8, 8, generator=generator("views"))
    network = Small(4, 64, 3)
    plain = teacher_of([network], {}, BSSL, CPU)
    assert torch.equal(plain(views), plain(views))
    live = teacher_of([network], {}, Labelling(Transform(), 0, "batch", 16, True, 2, True), CPU)
    assert not torch.equal(live(views), live(views))
