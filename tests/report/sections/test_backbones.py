"""The table of squeezed backbones: arithmetic and layout."""

import csv
import io

import pytest
from samples import look

from scdd.report.looks import SIGNALS, STATISTICS
from scdd.report.sections import backbones


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([50.0, 52.0, 57.0], "53.0 ± 3.6"),  # (9 + 1 + 16) / 2 = 13
        ([0.05], "0.0500"),
        ([412.3, 398.1], "405 ± 10"),
        ([0.0, 0.0], "0.00 ± 0.00"),
        ([0.00001, 0.00003], "0.0000 ± 0.0000"),
        ([], "–"),
    ],
)
def test_three_digits_of_the_mean_and_the_sample_deviation(values: list[float], text: str) -> None:
    assert backbones.shown(values) == text


def test_a_row_is_the_mean_over_layers_and_seeds() -> None:
    looks = [look(size=1.0, probe=90.0), look("B"), look(size=3.0, seed=1, probe=94.0)]
    read = list(csv.DictReader(io.StringIO(backbones.to_csv(looks))))
    assert [(line["squeeze"], line["seeds"]) for line in read] == [("A", "2"), ("B", "1")]
    first = read[0]
    # layers 1 and 2 times sizes 1 and 3: 1.5 and 4.5
    assert (first["Means: std mean"], first["Means: std std"]) == ("3", f"{3 / 2**0.5:.6g}")
    assert (first["Probe % mean"], first["BN start mean"]) == ("92", "200")
    assert (read[1]["r_bn mean"], read[1]["r_bn std"]) == ("0.05", "")
    assert {line["k-NN % mean"] for line in read} == {""}


def test_neighbours_have_a_column_where_they_were_monitored() -> None:
    without, _, _ = backbones.cells([look()], STATISTICS)
    header, lines, _ = backbones.cells([look(knn=80.04), look("B")], STATISTICS)
    assert "k-NN %" not in without
    assert [line[header.index("k-NN %")] for line in lines] == ["80.0", "–"]


def test_notes_define_what_stands_above_them() -> None:
    said = "\n".join(backbones.notes([look(), look(seed=1), look("B")], 0.25, 0.0))
    for part in (
        "std(m) / sqrt(mean of v)",
        "0.25 × ∇CE / ∇BN at the start",
        "50 iterations",
        "over n = 1 to 2 seeds of the squeeze",
        "The claim (arXiv 2404.07976)",
    ):
        assert part in said


def test_probes_tell_on_which_images_they_are_tested() -> None:
    said = [backbones.notes([look()], 0.25, holdout)[0] for holdout in (0.0, 0.1)]
    assert said == [
        "Probe %: top-1 of the probe on test images.",
        "Probe %: top-1 of the probe on held-out training images.",
    ]


def test_latex_has_both_tables_and_no_bare_signs() -> None:
    text = backbones.to_latex("digits", [look("R&B")], "my exp")
    assert text.count(r"\begin{table}") == 2
    assert r"\label{tab:my-exp-signal}" in text
    assert r"$\nabla$CE start" in text
    assert r"R\&B" in text


def test_changes_from_the_smallest_to_the_largest_network() -> None:
    """Values are 1.5 times the size: 1.5 and 4.5 in the small network (mean 3, variance 4.5), 6 and
    6 in the large one; the network between does not count."""
    looks = [
        *(look("A", "large", 4.0, seed=seed) for seed in (0, 1)),
        *(look("A", "small", size, seed=seed) for seed, size in enumerate((1.0, 3.0))),
        look("A", "middle", 100.0),
        look("B", "small"),
    ]
    first, last = backbones.findings(looks, {"small": 10, "middle": 20, "large": 30})
    assert first.startswith("A, from small to large: means: relative +3.000 ± 1.500 (more); ")
    assert "standard error" in last


def test_a_change_within_its_error_and_one_of_a_single_seed() -> None:
    looks = [look("A", "s", size, seed=seed) for seed, size in enumerate((1.0, 3.0))]
    looks += [look("A", "l", size, seed=seed) for seed, size in enumerate((1.0, 4.0))]
    looks += [look("B", "s", 2.0), look("B", "l", 1.0)]
    first, second, _ = backbones.findings(looks, {"s": 1, "l": 2})
    assert "means: relative +0.750 ± 2.704 (no change beyond its standard error)" in first
    assert "means: relative −1.500;" in second


def test_a_single_network_changes_nothing() -> None:
    assert backbones.findings([look(), look(seed=1)], {"n": 1}) == []


def test_every_quantity_has_a_name_of_its_own() -> None:
    assert not STATISTICS.keys() & SIGNALS.keys()
