"""A paper in the plan: what it shows, what it is made of, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from scdd.errors import ScddError
from scdd.plan import load
from scdd.plan.load import plan_of
from scdd.plan.plan import Plan
from scdd.report.paper.files import inputs, outputs

Config = dict[str, Any]
PARTS: list[Config] = [
    {"number": "Table 1", "title": "Accuracy", "experiment": "one", "show": "main"},
    {"number": "Figure A2", "title": "In motion", "experiment": "two", "show": ["accuracy"]},
]


@pytest.fixture
def config(tiny: Config, tmp_path: Path) -> Config:
    """Two experiments, and a paper that shows something of each."""
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump({**tiny, "experiment": name}))
    paper = {"name": "mine", "title": "A paper", "parts": PARTS}
    return {"experiments": ["one.yaml", "two.yaml"], "paper": paper}


def planned(config: Config, folder: Path, **first: Any) -> Plan:
    """first: keys of the first part that are others."""
    parts = [{**PARTS[0], **first}, PARTS[1]]
    return plan_of({**config, "paper": {**config["paper"], "parts": parts}}, folder)


def test_a_paper_is_made_of_the_reports_that_it_shows(config: Config, tmp_path: Path) -> None:
    plan = plan_of(config, tmp_path)
    (paper,) = plan.of("paper")
    one, two = (node.folder.name for node in plan.of("tables"))
    assert paper.label == "mine"
    assert [*paper.parents.values()] == [f"tables/{one}", f"tables/{two}"]
    assert inputs(paper.params) == [
        *(f"tables/{one}/main{end}" for end in (".html", ".md", ".tex", "_notes.tex")),
        *(f"tables/{two}/accuracy.{kind}" for kind in ("html", "pdf", "svg")),
    ]
    assert outputs(paper.params) == [
        *("summary.md", "index.md", "index.html", "paper.tex"),
        *("figure_a2_accuracy.pdf", "figure_a2_accuracy.svg"),
    ]
    assert plan.targets(paper) == [paper.folder / "summary.md"]


def test_what_a_paper_shows_and_what_its_experiments_are_is_in_its_digest(
    config: Config, tiny: Config, tmp_path: Path
) -> None:
    (before,) = planned(config, tmp_path).of("paper")
    (titled,) = planned(config, tmp_path, title="Accuracies").of("paper")
    changed = {**tiny, "experiment": "one", "seeds": [0, 1]}
    (tmp_path / "one.yaml").write_text(yaml.safe_dump(changed))
    (of_others,) = planned(config, tmp_path).of("paper")
    assert len({before.digest, titled.digest, of_others.digest}) == 3


def test_an_experiment_that_is_shown_twice_is_one_parent(config: Config, tmp_path: Path) -> None:
    (paper,) = planned(config, tmp_path, experiment="two").of("paper")
    assert [*paper.parents] == ["tables"]


@pytest.mark.parametrize(
    ("first", "message"),
    [
        ({"experiment": "ono"}, "paper.parts.0.experiment: no experiment 'ono'. Did you mean 'one"),
        ({"show": "mian"}, "paper.parts.0.show: one has no 'mian' to print. Did you mean 'main'?"),
        ({"show": ["main", "ablation"]}, "one has no 'ablation' to print."),
        ({"show": "settings"}, "one has no 'settings' to print."),
        ({"show": []}, "paper.parts.0.show: list should have at least 1 item"),
        ({"number": "Figure A2"}, "paper: two parts are Figure A2."),
        ({"number": "1"}, "paper.parts.0.number: string should match pattern"),
        ({"titel": ""}, "unknown key paper.parts.0.titel. Did you mean 'title'?"),
    ],
)
def test_what_a_paper_cannot_show_is_refused(
    config: Config, tmp_path: Path, first: Config, message: str
) -> None:
    with pytest.raises(ScddError) as error:
        planned(config, tmp_path, **first)
    assert message in str(error.value)


def test_a_paper_needs_a_list_of_experiments(tiny: Config) -> None:
    with pytest.raises(ScddError, match="unknown key paper"):
        plan_of({**tiny, "paper": {}})


@pytest.fixture
def elsewhere(tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """An experiment whose dataset is not there."""
    monkeypatch.chdir(tmp_path)
    return {**tiny, "dataset": {"name": "cifar100", "classes": 3, "root": "nowhere"}}


def test_a_dry_run_without_the_datasets_files_warns(
    elsewhere: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    assert load.for_run(elsewhere, Path(), is_driver=True, is_dry=True).of("tables")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: dataset.root: the folder nowhere")
    assert line.endswith("A run would stop here.")


def test_a_run_without_the_datasets_files_stops(elsewhere: Config) -> None:
    with pytest.raises(ScddError, match="the folder nowhere"):
        load.for_run(elsewhere, Path(), is_driver=True)


def test_a_dry_run_stops_at_what_is_wrong_with_the_configuration(elsewhere: Config) -> None:
    elsewhere["recover"]["iteration"] = 3
    with pytest.raises(ScddError, match="unknown key recover"):
        load.for_run(elsewhere, Path(), is_driver=True, is_dry=True)
