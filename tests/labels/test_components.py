"""Labels by principal components: numpy's decomposition, exhaustive searches, published tables."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from scdd.artifacts.labels import of_epoch
from scdd.artifacts.sizes import logit_bytes
from scdd.labels import components
from scdd.labels.components import BASIS, CLASSES, LEFT, LEVELS, OWNER, PACKED, best_levels


def unmixed(epochs: int, n: int) -> tuple[Tensor, Tensor]:
    """Partner and lambda of views that are not mixed."""
    return torch.arange(n).expand(epochs, n), torch.ones(epochs, n)


def mixed(epochs: int, n: int) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(2)
    partner = torch.stack([torch.randperm(n, generator=draw) for _ in range(epochs)])
    return partner.int(), torch.rand(epochs, n, generator=draw)


def logits(epochs: int, n: int, spreads: list[float], *, shift: Tensor | None = None) -> Tensor:
    """Logits whose rows have these standard deviations along random axes, beside any mean of the
    row. shift: [C], added to all rows."""
    draw = torch.Generator().manual_seed(1)
    classes = len(spreads) + 1
    axes = torch.randn(classes, classes - 1, generator=draw, dtype=torch.float64)
    axes = torch.linalg.qr(axes - axes.mean(0)).Q  # each sums to 0
    values = torch.randn(epochs, n, classes - 1, generator=draw, dtype=torch.float64)
    offset = torch.randn(epochs, n, 1, generator=draw, dtype=torch.float64)
    made = (values * torch.tensor(spreads, dtype=torch.float64)) @ axes.T + offset
    return (made if shift is None else made + shift).half()


def centred(given: Tensor) -> Any:
    exact = given.double()
    return (exact - exact.mean(-1, keepdim=True)).numpy()


def decoded(stored: dict[str, Tensor], partner: Tensor, lam: Tensor) -> Any:
    """All rows as a student sees them, [E, n, C]."""
    every = torch.arange(lam.shape[1])
    made = [
        components.decode(of_epoch(stored, epoch), partner[epoch], lam[epoch], every)
        for epoch in range(len(lam))
    ]
    return torch.stack(made).double().numpy()


def class_shares(partner: Tensor, lam: Tensor, classes: int) -> Any:
    """The share of each class in each view, of a set with as many images of each, [E, n, C]."""
    n = lam.shape[1]
    of_class = np.repeat(np.arange(classes), n // classes)
    one_hot = np.eye(classes)[of_class]
    share = lam.double().numpy()[..., None]
    return share * one_hot + (1 - share) * one_hot[partner.numpy()]


def test_by_hand() -> None:
    """Two classes of two images, unmixed: a class's row is the mean of its images' rows, and one
    component with four values, for which there are bits enough, has what they differ from it."""
    given = torch.tensor([[[0.0, 2.0], [7.0, 13.0], [5.0, 4.0], [9.0, 6.0]]]).half()
    views = unmixed(1, 4)
    stored = components.encode(given, *views, "pca:8")
    np.testing.assert_allclose(stored[CLASSES].numpy(), [[-2, 2], [1, -1]], atol=2e-3)
    assert stored[PACKED].shape == (1, 4)
    seen = decoded(stored, *views)
    np.testing.assert_allclose(seen[0], [[-1, 1], [-3, 3], [0.5, -0.5], [1.5, -1.5]], atol=5e-3)


def test_what_classes_let_expect_is_the_least_squares_fit() -> None:
    shift = torch.tensor([5.0, -3.0, 0.0, 1.0])
    views = mixed(3, 40)
    given = logits(3, 40, [3.0, 2.0, 1.0], shift=shift)
    stored = components.encode(given, *views, "pca:8")
    shares = class_shares(*views, 4).reshape(120, 4)
    fit = np.linalg.lstsq(shares, centred(given).reshape(120, 4), rcond=None)[0]
    np.testing.assert_allclose(stored[CLASSES].numpy(), fit, atol=0.01)
    index = torch.tensor([39, 0, 0])
    found = components.expected(stored[CLASSES], views[0][2], views[1][2], index)
    expected = (shares.reshape(3, 40, 4)[2] @ fit)[index]
    np.testing.assert_allclose(found.numpy(), expected, atol=0.01)


def test_a_row_is_the_nearest_levels_along_the_axes_of_numpys_decomposition() -> None:
    views, given = mixed(3, 198), logits(3, 198, [6.0, 4.0, 2.0, 1.0, 0.5])
    stored = components.encode(given, *views, "pca:8")
    exact = centred(given).reshape(594, 6)
    shares = class_shares(*views, 6).reshape(594, 6)
    guess = shares @ np.linalg.lstsq(shares, exact, rcond=None)[0]
    _, axes = np.linalg.eigh((exact - guess).T @ (exact - guess))
    levels, owner = stored[LEVELS].double().numpy(), stored[OWNER].tolist()
    expected = guess.copy()
    for place in range(stored[BASIS].shape[1]):
        axis = axes[:, -1 - place]
        axis *= np.sign(axis[np.abs(axis).argmax()])
        own, levels = np.split(levels, [2 ** owner.count(place)])
        assert own.tolist() == sorted(own)
        values = (exact - guess) @ axis
        expected += own[np.abs(values[:, None] - own).argmin(1)][:, None] * axis
    assert levels.size == 0
    assert owner == sorted(owner)
    off = np.abs(decoded(stored, *views).reshape(594, 6) - expected).max(1)
    assert np.mean(off < 0.03) > 0.99  # the others lie on a border between two levels


def test_what_is_lost_is_what_max_s_levels_lose_of_each_component() -> None:
    """Normal distributions of known variances; where the bits go is searched for."""
    spreads = [6.0, 4.0, 2.0, 1.0, 0.5]
    bits = min(
        (each for each in itertools.product(range(len(LEFT)), repeat=5) if sum(each) == 8),
        key=lambda each: sum(s * LEFT[b] for s, b in zip(spreads, each, strict=True)),
    )
    kept = sum(spread**2 * LEFT[each] for spread, each in zip(spreads, bits, strict=True))
    views, given = unmixed(4, 6000), logits(4, 6000, spreads)
    stored = components.encode(given, *views, "pca:8")
    lost = ((decoded(stored, *views) - centred(given)) ** 2).sum(-1).mean()
    assert lost == pytest.approx(kept, rel=0.03)


@pytest.mark.parametrize("count", [1, 3, 8, 16, 24])
def test_bits_go_where_an_exhaustive_search_puts_them(count: int) -> None:
    spreads = [9.0, 5.0, 4.9, 0.3]
    most = 4 * (len(LEFT) - 1)
    best = min(
        (
            chosen
            for chosen in itertools.product(range(len(LEFT)), repeat=4)
            if sum(chosen) == min(count, most)
        ),
        key=lambda chosen: sum(s * LEFT[b] for s, b in zip(spreads, chosen, strict=True)),
    )
    assert components.bits_of(spreads, count) == [bits for bits in best if bits]


@pytest.mark.parametrize("count", [2, 3, 6, 16])
def test_levels_are_the_means_of_what_they_stand_for(count: int) -> None:
    """Lloyd's condition, but for the width of a bin."""
    values = 5 * torch.randn(500, 10, generator=torch.Generator().manual_seed(0))
    levels = best_levels(values, count).float()
    nearest = (values[..., None] - levels).abs().argmin(-1)
    width = (values.max() - values.min()).item() / 4095
    for place in range(count):
        mean = values[nearest == place].mean().item()
        assert levels[place].item() == pytest.approx(mean, abs=4 * width)


def test_levels_of_a_normal_distribution_are_max_s() -> None:
    """Table I of Max 1960 (doi 10.1109/TIT.1960.1057548): N = 3 and 4."""
    values = torch.randn(200_000, generator=torch.Generator().manual_seed(0))
    assert best_levels(values, 3).tolist() == pytest.approx([-1.224, 0, 1.224], abs=0.02)
    assert best_levels(values, 4).tolist() == pytest.approx(
        [-1.510, -0.4528, 0.4528, 1.510], abs=0.02
    )


@pytest.mark.parametrize(("classes", "bits"), [(2, 8), (10, 12), (10, 13), (100, 80)])
def test_bytes_are_those_foretold(classes: int, bits: int) -> None:
    views, given = mixed(2, 3 * classes), logits(2, 3 * classes, [1.0] * (classes - 1))
    stored = components.encode(given, *views, f"pca:{bits}")
    foretold = 3 * classes * logit_bytes(f"pca:{bits}", classes)
    assert foretold == 3 * classes * bits / 8
    assert stored[PACKED].shape == (2, math.ceil(foretold))
    assert components.row_count(of_epoch(stored, 1)) == 3 * classes
    assert decoded(stored, *views).shape == (2, 3 * classes, classes)


def test_some_rows_are_decoded_as_all_are() -> None:
    partner, lam = mixed(2, 8)
    own = of_epoch(components.encode(logits(2, 8, [3.0, 2.0, 1.0]), partner, lam, "pca:11"), 1)
    index = torch.tensor([3, 3, 0, 7])
    some = components.decode(own, partner[1], lam[1], index)
    every = components.decode(own, partner[1], lam[1], torch.arange(8))
    assert torch.equal(some, every[index])


def test_equal_and_huge_logits_stay_finite() -> None:
    views = unmixed(1, 3)
    equal = components.encode(torch.full((1, 3, 3), 5.0).half(), *views, "pca:8")
    assert not decoded(equal, *views).any()
    huge = 60000 * torch.tensor([[[-1.0, 1, 1], [1, -1, 0], [0, 1, -1]]])
    assert np.isfinite(decoded(components.encode(huge.half(), *views, "pca:8"), *views)).all()


def test_a_class_that_no_view_shows_has_a_row_too() -> None:
    """All views show their partners alone, which are of the first class."""
    views = torch.zeros(2, 6, dtype=torch.int32), torch.zeros(2, 6)
    stored = components.encode(logits(2, 6, [3.0, 2.0]), *views, "pca:8")
    assert np.isfinite(decoded(stored, *views)).all()
