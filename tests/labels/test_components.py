"""Labels by principal components: bits read one by one, published tables, exhaustive searches."""

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
from scdd.labels.components import OF_IMAGES, OF_VIEWS, PACKED, RING, Coded
from scdd.labels.prediction import Seen
from scdd.labels.trellis import LEFT, TABLE


def unmixed(epochs: int, n: int) -> list[Seen]:
    return epochs * [Seen(torch.ones(n), torch.zeros(n), torch.arange(n))]


def mixed(epochs: int, n: int) -> list[Seen]:
    draw = torch.Generator().manual_seed(2)

    def view() -> Seen:
        lam = torch.rand(n, generator=draw)
        return Seen(lam, 1 - lam, torch.randperm(n, generator=draw))

    return [view() for _ in range(epochs)]


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


def decoded(stored: dict[str, Tensor], views: list[Seen]) -> Any:
    """All rows as a student sees them, [E, n, C]."""
    every = torch.arange(len(views[0].own))
    seen = [
        components.decoder(of_epoch(stored, epoch), view)(every) for epoch, view in enumerate(views)
    ]
    return torch.stack(seen).double().numpy()


def lost(given: Tensor, stored: dict[str, Tensor], views: list[Seen]) -> float:
    """The mean square of the differences between rows and decoded ones."""
    return float(((decoded(stored, views) - centred(given)) ** 2).sum(-1).mean())


def read(coded: Coded, n: int) -> Any:
    """All rows [n, C] of an epoch, from its bits as text: a number's byte ends with its last bit,
    and goes on at the ring's end where the ring begins with it."""
    each, basis = coded.bits.tolist(), coded.basis.double().numpy()
    text = "".join(format(byte, "08b") for byte in coded.packed.tolist())
    rings = max(1, n // RING)
    rows = []
    for ring in range(rings):
        size = RING if ring < rings - 1 else n - RING * (rings - 1)
        start = RING * ring * sum(each)
        bits = text[start : start + size * sum(each)]
        at = 0
        for _ in range(size):
            said = []
            for count in each:
                at += count
                said.append(TABLE[int((bits + bits)[at + len(bits) - 8 : at + len(bits)], 2)])
            rows.append(np.array(said) @ basis)
    return np.stack(rows)


@pytest.mark.parametrize("n", [6, 32, 75, 100])
@pytest.mark.parametrize("bits", [8, 11])
def test_rows_are_what_their_bits_say(n: int, bits: int) -> None:
    views = unmixed(2, n)
    stored = of_epoch(components.encode(logits(2, n, [3.0, 2.0, 1.0]), views, f"pca:{bits}"), 1)
    for names, count in ((OF_VIEWS, bits), (OF_IMAGES, 2 * bits)):
        coded = Coded(*(stored[name] for name in names))
        assert int(coded.bits.sum()) == count
        found = components.reader(coded, n)(torch.arange(n))
        np.testing.assert_allclose(found.numpy(), read(coded, n), atol=1e-4)


def test_by_hand() -> None:
    """Two classes of two images, unmixed, seen often: a view is its image's mean, and as much
    more as less."""
    means = torch.tensor([[0.0, 2.0], [7.0, 13.0], [5.0, 4.0], [9.0, 6.0]])
    signs = torch.tensor([1.0, -1.0]).repeat(20)[:, None, None]
    given = (means + signs * torch.tensor([0.5, -0.5])).half()
    views = unmixed(40, 4)
    seen = decoded(components.encode(given, views, "pca:8"), views)
    np.testing.assert_allclose(seen, centred(given), atol=0.05)


def test_what_is_lost_is_what_the_trellis_loses_of_each_component() -> None:
    """Normal distributions of one variance, with as many bits each."""
    views, given = unmixed(4, 3000), logits(4, 3000, [2.0, 2.0, 2.0, 2.0])
    rest = 4 * 2.0**2 * (1 - 1 / 4)  # what the means of four views do not tell
    stored = components.encode(given, views, "pca:8")
    assert stored[OF_VIEWS[2]].tolist() == [2, 2, 2, 2]
    # the means are not told exactly, and their errors are in the rest: 4 bits each leave 0.7 %
    assert lost(given, stored, views) == pytest.approx(LEFT[2] * rest, rel=0.06)


def test_a_large_component_is_told_better_than_by_levels() -> None:
    """Standard deviations of 6, 4, 2, 1 and 0.5 in 8 bits: less is lost than by the best numbers of
    Lloyd's and Max's levels (1960, table I, doi 10.1109/TIT.1960.1057548)."""
    spreads, of_levels = [6.0, 4.0, 2.0, 1.0, 0.5], [1, 0.3634, 0.1175, 0.03454, 0.009497]
    best = min(
        sum(s**2 * of_levels[b] for s, b in zip(spreads, bits, strict=True))
        for bits in itertools.product(range(5), repeat=5)
        if sum(bits) == 8
    )
    views, given = unmixed(12, 1000), logits(12, 1000, spreads)
    assert lost(given, components.encode(given, views, "pca:8"), views) < 0.8 * best


def test_what_is_expected_is_not_paid_for() -> None:
    """Rows that classes, images and groups tell are right, but for the rounding of the images'."""
    draw = torch.Generator().manual_seed(5)
    views = mixed(6, 40)
    of_images = 5 * torch.randn(4, 4, generator=draw).repeat_interleave(10, 0)
    of_images += torch.randn(40, 4, generator=draw)
    given = torch.stack([view.mixed(of_images) for view in views]).half()
    whole = float((centred(given) ** 2).sum(-1).mean())
    assert lost(given, components.encode(given, views, "pca:8"), views) < 0.002 * whole


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


@pytest.mark.parametrize(("classes", "bits"), [(2, 8), (10, 12), (10, 13), (100, 80)])
def test_bytes_are_those_foretold(classes: int, bits: int) -> None:
    n, views = 3 * classes, mixed(2, 3 * classes)
    stored = components.encode(logits(2, n, [1.0] * (classes - 1)), views, f"pca:{bits}")
    foretold = n * logit_bytes(f"pca:{bits}", classes)
    assert foretold == n * bits / 8
    assert stored[PACKED].shape == (2, math.ceil(foretold))
    assert components.row_count(of_epoch(stored, 1)) == n
    shared = [stored[name] for name in stored if name != PACKED]
    size = sum(tensor.numel() * tensor.element_size() for tensor in shared)
    # as docs/labels.md says; without groups the table of classes has half as many rows
    assert size <= math.ceil(2 * foretold) + 2 * classes**2 + 2 * (2 * classes + 1) * classes


def test_some_rows_are_decoded_as_all_are() -> None:
    views = mixed(2, 8)
    own = of_epoch(components.encode(logits(2, 8, [3.0, 2.0, 1.0]), views, "pca:11"), 1)
    index = torch.tensor([3, 3, 0, 7])
    rows = components.decoder(own, views[1])
    torch.testing.assert_close(rows(index), rows(torch.arange(8))[index])


def test_equal_and_huge_logits_stay_finite() -> None:
    views = unmixed(1, 3)
    equal = components.encode(torch.full((1, 3, 3), 5.0).half(), views, "pca:8")
    assert not decoded(equal, views).any()
    huge = 60000 * torch.tensor([[[-1.0, 1, 1], [1, -1, 0], [0, 1, -1]]])
    assert np.isfinite(decoded(components.encode(huge.half(), views, "pca:8"), views)).all()


def test_a_row_far_out_does_not_spoil_the_others() -> None:
    views, given = mixed(6, 50), logits(6, 50, [3.0, 2.0, 1.0])
    plain = (decoded(components.encode(given, views, "pca:8"), views) - centred(given)) ** 2
    huge = given.clone()
    huge[2, 7] *= 1000
    off = (decoded(components.encode(huge, views, "pca:8"), views) - centred(given)) ** 2
    off[2, 7] = plain[2, 7] = 0
    assert off.sum() < 2 * plain.sum()


def test_a_class_that_no_view_shows_has_a_row_too() -> None:
    """All views show the first two images alone."""
    partner = torch.tensor([0, 1, 2, 3, 4, 5])
    shown = (partner < 2).float()
    views = 2 * [Seen(shown, torch.zeros(6), partner)]
    stored = components.encode(logits(2, 6, [3.0, 2.0]), views, "pca:8")
    assert np.isfinite(decoded(stored, views)).all()
