"""How a machine's rates are fitted, and that each piece that is timed works."""

import pytest
import torch

from scdd import measure
from scdd.params.base import Precision
from scdd.params.network import Network
from scdd.plan.cost.work import Amount

SMALL = measure.Point(Network("resnet10", 1 / 16, "small"), 8, 4)
CPU = torch.device("cpu")


def test_rates_that_explain_all_are_found() -> None:
    """Seconds that are made of three rates; nothing takes time by its weights."""
    rates = Amount(2e-11, 3e-9, 1e-4, 0.0)
    amounts = [
        Amount(1e9, 1e6, 13, 1e5),
        Amount(8e9, 4e6, 13, 1e5),
        Amount(9e10, 3e7, 21, 2e6),
        Amount(3e9, 9e6, 54, 9e6),
        Amount(2e8, 1e5, 13, 3e5),
    ]
    seconds = [2e-11 * a.flops + 3e-9 * a.values + 1e-4 * a.calls for a in amounts]
    fit = measure.fitted(list(zip(amounts, seconds, strict=True)))
    assert fit.flops == pytest.approx(rates.flops, rel=1e-6)
    assert fit.values == pytest.approx(rates.values, rel=1e-6)
    assert fit.calls == pytest.approx(rates.calls, rel=1e-6)
    assert fit.weights == pytest.approx(0.0, abs=1e-15)


def test_no_rate_is_negative() -> None:
    """Less for more work: the best that rates can say is that both take the same."""
    rows = [(Amount(1e9, 0.0, 10), 2.0), (Amount(2e9, 0.0, 10), 1.0)]
    fit = measure.fitted(rows)
    assert min(fit.flops, fit.values, fit.calls, fit.weights) >= 0
    assert fit.calls > 0


@pytest.mark.parametrize("precision", measure.PRECISIONS)
def test_each_piece_of_a_network_runs(precision: Precision) -> None:
    for make in (measure._forward, measure._recover, measure._train):
        piece = make(SMALL, precision, CPU)
        piece()
        piece()


def test_each_piece_of_views_runs() -> None:
    for make in (measure._crops, measure._views):
        assert make(SMALL, CPU)()


def test_the_mean_of_several_processes_is_taken() -> None:
    one, two = {"a": {"b": 1.0}, "c": 2.0}, {"a": {"b": 3.0}, "c": 4.0}
    assert measure._mean([one, two]) == {"a": {"b": 2.0}, "c": 3.0}
