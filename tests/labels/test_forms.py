"""Forms of logits: bounds by hand, values against naive references."""

import math

import pytest
import torch
from torch import Tensor

from scdd.artifacts.sizes import logit_bytes
from scdd.labels.forms import decode, encode, rows

FORMS = ["float16", "int8", "topk:1", "topk:4"]


def logits(n: int, classes: int, spread: float = 5.0, seed: int = 0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return (torch.randn(n, classes, generator=draw) * spread).half()


def shares(row: list[float], temperature: float) -> list[float]:
    powers = [math.exp(v / temperature) for v in row]
    return [power / math.fsum(powers) for power in powers]


def test_float16_is_the_logits_as_they_are() -> None:
    given = logits(5, 7)
    assert torch.equal(decode(encode(given, "float16", 1.0), 7), given)


@pytest.mark.parametrize("spread", [1e-6, 0.01, 5.0, 8000.0])
def test_int8_is_off_by_half_a_step_at_most(spread: float) -> None:
    given = logits(200, 10, spread)
    found = decode(encode(given, "int8", 1.0), 10)
    for row, made in zip(given.tolist(), found.tolist(), strict=True):
        # a 255th of the range, rounded up to a float16: relatively by 2^-10, or by its least step
        step = max((max(row) - min(row)) / 255 * (1 + 2**-10), 2**-24)
        # beside half a step what float32 rounds
        slack = 2**-22 * max(map(abs, row))
        assert max(abs(a - b) for a, b in zip(row, made, strict=True)) <= step / 2 + slack


def test_int8_by_hand() -> None:
    # 255 steps of 2 from -10: 0.9 lies 5.45 steps up, which is code 5, 1.1 5.55 steps, code 6
    given = torch.tensor([[-10.0, 500.0, 0.9, 1.1]]).half()
    held = encode(given, "int8", 1.0)
    assert held["logits_code"].tolist() == [[0, 255, 5, 6]]
    assert (held["logits_low"].item(), held["logits_step"].item()) == (-10.0, 2.0)
    assert decode(held, 4).tolist() == [[-10.0, 500.0, 0.0, 2.0]]


def test_int8_of_equal_logits_is_exact() -> None:
    given = torch.full((2, 5), 3.25).half()
    assert torch.equal(decode(encode(given, "int8", 1.0), 5), given.float())


@pytest.mark.parametrize("temperature", [1.0, 20.0])
def test_topk_keeps_the_largest_and_the_share_of_the_rest(temperature: float) -> None:
    given, k, classes = logits(50, 12), 4, 12
    found = decode(encode(given, f"topk:{k}", temperature), classes)
    for row, made in zip(given.tolist(), found.tolist(), strict=True):
        kept = sorted(range(classes), key=lambda c: -row[c])[:k]
        others = [c for c in range(classes) if c not in kept]
        assert [made[c] for c in kept] == [row[c] for c in kept]
        mass = math.fsum(math.exp(row[c] / temperature) for c in others)
        rest = temperature * math.log(mass / len(others))
        # rounded to float16, whose values of this size lie 2^-10 of them apart
        error = abs(rest) * 2**-11 + 1e-4
        assert all(abs(made[c] - rest) <= error for c in others)
        true, seen = shares(row, temperature), shares(made, temperature)
        for c in kept:  # the others' share is off by error / T of itself at most
            assert abs(seen[c] - true[c]) <= 1.01 * error / temperature
        even = (1 - math.fsum(true[c] for c in kept)) / len(others)
        assert all(abs(seen[c] - even) <= 1.01 * error / temperature for c in others)


def test_topk_by_hand() -> None:
    # the others, 0 and log 3 at temperature 1, weigh 1 + 3 = 2 x 2: each gets log 2
    given = torch.tensor([[5.0, 0.0, math.log(3), 7.0]]).half()
    found = decode(encode(given, "topk:2", 1.0), 4)
    assert found.tolist() == [pytest.approx([5.0, math.log(2), math.log(2), 7.0], abs=1e-3)]


def test_topk_has_the_largest_exactly_at_any_temperature() -> None:
    given = logits(50, 12)
    found = decode(encode(given, "topk:3", 20.0), 12)
    top = given.topk(3)
    for temperature in (0.5, 1.0, 4.0, 100.0):
        soft = (found / temperature).softmax(1)
        assert bool(torch.isfinite(soft).all())
        kept = soft.gather(1, top.indices)
        expected = (top.values.float() / temperature).softmax(1)
        torch.testing.assert_close(kept / kept.sum(1, keepdim=True), expected)


def test_topk_of_all_classes_is_exact() -> None:
    given = logits(5, 7)
    assert torch.equal(decode(encode(given, "topk:7", 20.0), 7), given.float())


@pytest.mark.parametrize("classes", [10, 256, 257, 1000, 2**15, 2**15 + 1])
@pytest.mark.parametrize("form", FORMS)
def test_bytes_are_those_foretold_and_any_class_can_be_named(form: str, classes: int) -> None:
    given = logits(2, classes)
    given[:, -1] = 100.0  # the last class is the largest
    held = encode(given, form, 20.0)
    assert sum(tensor.nbytes for tensor in held.values()) == 2 * logit_bytes(form, classes)
    assert decode(held, classes).argmax(1).tolist() == [classes - 1] * 2


@pytest.mark.parametrize("form", FORMS)
def test_some_rows_are_decoded_as_all_are(form: str) -> None:
    held, index = encode(logits(9, 6), form, 20.0), torch.tensor([3, 3, 0, 8])
    assert torch.equal(decode(rows(held, index), 6), decode(held, 6)[index])
