"""Accuracy over the size of the backbone: which numbers are compared, worked out by hand."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from samples import drawn, params_of_methods, run

from scdd.report.measured import Measured
from scdd.report.sections import scaling
from scdd.report.sections.scaling import Lead, Leads, Setting

SIZES = {"small": 20_000, "large": 320_000}
SETTING = Setting("paper", "r10", 1)
# by series, network and seed of the squeeze: the top-1 of two students
TOP1 = {
    ("SC-DD", "large", 0): (50.0, 52.0),  # 51 and 55: mean 53, variance 8
    ("SC-DD", "large", 1): (54.0, 56.0),
    ("SC-DD", "small", 0): (40.0, 40.0),  # 40 and 42: mean 41, variance 2
    ("SC-DD", "small", 1): (41.0, 43.0),
    ("SRe2L", "small", 0): (45.0, 45.0),  # 45 and 47: mean 46, variance 2
    ("SRe2L", "small", 1): (46.0, 48.0),
    ("SRe2L", "large", 0): (48.0, 48.0),  # 48 and 52: mean 50, variance 8
    ("SRe2L", "large", 1): (52.0, 52.0),
}


def params(folder: Path, top1: dict[tuple[str, str, int], Any]) -> dict[str, Any]:
    """The frozen parameters of a report, whose files are written to `folder`."""
    whole = params_of_methods(folder)
    first, cells, rows = whole["cells"][0], [], []
    for (series, network, seed), values in top1.items():
        name = f"{series.lower()}-{network}-{seed}"
        rows.append(
            {
                "method": name,
                "series": series,
                "network": network,
                "seed": seed,
                "with_labels": series == "SRe2L",
            }
        )
        for student, value in enumerate(values):
            file = folder / name / f"{student}.json"
            file.parent.mkdir(exist_ok=True)
            file.write_text(json.dumps({"top1": value, "epochs": 2, "train_images": 3}))
            metrics = str(file.relative_to(folder))
            cells.append(
                first | {"method": name, "title": name, "seed": student, "metrics": metrics}
            )
    return whole | {"cells": cells, "scaling": rows, "sizes": SIZES, "recoveries": []}


def test_a_mean_is_over_the_squeezes_of_the_means_over_their_students(tmp_path: Path) -> None:
    measured = Measured(tmp_path, params(tmp_path, TOP1))
    found = scaling.by_size(measured)
    assert [(point.series, point.network, point.size, point.seeds) for point in found] == [
        ("SC-DD", "small", 20_000, 2),
        ("SC-DD", "large", 320_000, 2),
        ("SRe2L", "small", 20_000, 2),
        ("SRe2L", "large", 320_000, 2),
    ]
    assert [point.score.mean for point in found] == [41, 53, 46, 50]
    assert [point.score.std for point in found] == pytest.approx([2**0.5, 8**0.5, 2**0.5, 8**0.5])


@pytest.mark.parametrize(
    ("students", "said"), [(2, "the mean over its 2 students"), (1, "its one")]
)
def test_notes_say_that_the_spread_is_over_squeezes(
    tmp_path: Path, students: int, said: str
) -> None:
    fewer = {key: values[:students] for key, values in TOP1.items()}
    found = scaling.by_size(Measured(tmp_path, params(tmp_path, fewer)))
    (spread,) = [note for note in scaling.notes(found, []) if note.startswith("±")]
    assert "over n = 2 seeds of the squeeze, and not over students" in spread
    assert f"a seed's accuracy is that of {said}" in spread


def test_leads_over_what_is_squeezed_with_labels_and_their_growth(tmp_path: Path) -> None:
    measured = Measured(tmp_path, params(tmp_path, TOP1))
    (leads,) = scaling.leads_of(scaling.by_size(measured), measured.params)
    assert (leads.series, leads.reference, list(leads.by_network)) == (
        "SC-DD",
        "SRe2L",
        ["small", "large"],
    )
    assert leads.by_network["small"] == pytest.approx((-5, (2 / 2 + 2 / 2) ** 0.5))
    assert leads.by_network["large"] == pytest.approx((3, (8 / 2 + 8 / 2) ** 0.5))
    assert leads.growth == pytest.approx((8, 10**0.5))


@pytest.mark.parametrize(
    ("last", "said"),
    [
        (Lead(3.0, 2.0), "grows with the backbone, by more than its standard error."),
        (Lead(-9.0, 2.0), "shrinks with the backbone, by more than its standard error."),
        (Lead(-4.0, 2.0), "within its standard error: the lead neither grows nor shrinks."),
        (
            Lead(3.0, None),
            "One seed of the squeeze: whether that is more than chance is not known.",
        ),
    ],
)
def test_the_sentence_says_what_was_found_whichever_way_it_is(last: Lead, said: str) -> None:
    leads = Leads(SETTING, "SC-DD", "SRe2L", {"small": Lead(-5.0, 1.0), "large": last})
    (sentence,) = scaling.sentences([leads], SIZES)
    assert sentence.startswith(
        "SC-DD over SRe2L: from small to large, 16 times its parameters, the lead goes from "
        "−5.0 ± 1.0 to "
    )
    assert sentence.endswith(said)


def test_without_an_equal_network_there_is_no_lead(tmp_path: Path) -> None:
    other = {
        key: value
        for key, value in TOP1.items()
        if key[:2] in {("SC-DD", "small"), ("SRe2L", "large")}
    }
    measured = Measured(tmp_path, params(tmp_path, other))
    assert scaling.leads_of(scaling.by_size(measured), measured.params) == []


def test_tables_have_a_line_for_each_series_and_network(tmp_path: Path) -> None:
    frozen = params(tmp_path, TOP1)
    assert run(tmp_path, frozen) == 0
    out = tmp_path / "out"
    text = (out / "scaling.md").read_text()
    assert "| SC-DD     | large   |      320 k | 53.0 ± 2.8 | +3.0 ± 2.8 |" in text
    assert "| SRe2L     | small   |       20 k | 46.0 ± 1.4 |            |" in text
    assert "- SC-DD over SRe2L: from small to large," in text
    read = list(csv.DictReader(io.StringIO((out / "scaling.csv").read_text())))
    assert [line["lead"] for line in read] == ["-5.000", "3.000", "", ""]
    assert (read[1]["mean"], read[1]["std"], read[1]["parameters"]) == ("53.000", "2.828", "320000")
    assert r"\label{tab:digits-scaling}" in (out / "scaling.tex").read_text()
    assert "the lead goes from" in (out / "scaling.html").read_text()
    assert {"scaling.png", "scaling.svg", "scaling.pdf"} <= {path.name for path in out.iterdir()}


def test_the_figure_has_accuracies_and_leads_over_parameters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, measured = drawn(monkeypatch), Measured(tmp_path, params(tmp_path, TOP1))
    found = scaling.by_size(measured)
    scaling.draw(found, scaling.leads_of(found, measured.params), 50)
    accuracies, leads = kept[0].axes
    lines = [container[0].get_xydata().tolist() for container in accuracies.containers]
    assert lines == [[[20_000, 41], [320_000, 53]], [[20_000, 46], [320_000, 50]]]
    assert leads.containers[0][0].get_xydata().tolist() == [[20_000, -5], [320_000, 3]]
    assert [label.get_text() for label in leads.get_xticklabels()] == ["20 k", "320 k"]


def test_several_settings_are_told_apart_by_what_differs() -> None:
    settings = [Setting("paper", "r10", 1), Setting("paper", "r10", 10)]
    assert [*scaling.names(settings).values()] == ["IPC 1", "IPC 10"]
    assert [*scaling.names([SETTING]).values()] == [""]


@pytest.mark.parametrize(
    ("size", "words"), [(19_712, "19.7 k"), (311_000, "311 k"), (11_168_832, "11.2 M")]
)
def test_parameters_in_words(size: int, words: str) -> None:
    assert scaling.in_words(size) == words
