"""`scdd gc`."""

from pathlib import Path
from typing import Any

import yaml

from scdd import cli
from scdd.plan.load import freeze, plan_of

Config = dict[str, Any]


def test_scdd_gc_deletes_only_what_no_experiment_names_and_only_on_request(
    tiny: Config, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(tiny))
    kept = plan_of(tiny).of("probe")[0].folder
    tiny["probe"]["epochs"] = 7
    lost = plan_of(tiny).of("probe")[0].folder
    published = Path("results/tables/cifar100-mini")
    state = Path("work") / lost.relative_to("results")
    for folder in (kept, lost, published, state):
        folder.mkdir(parents=True)
    assert cli.main(["gc", "--configfile", "my.yaml"]) == 0
    assert str(lost) in (printed := capsys.readouterr().out)
    assert str(kept) not in printed
    assert lost.exists()
    assert cli.main(["gc", "--configfile", "my.yaml", "--delete"]) == 0
    assert kept.exists()
    assert published.exists()
    assert not lost.exists()
    assert not state.exists()


def folder_of(config: Config) -> Path:
    """That of the probe of a configuration, made."""
    folder = plan_of(config).of("probe")[0].folder
    folder.mkdir(parents=True)
    return folder


def test_more_experiments_are_kept_beside_the_others(
    tiny: Config, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, epochs in (("config.yaml", 1), ("mine.yaml", 7), ("other.yaml", 8)):
        tiny["probe"]["epochs"] = epochs
        Path(name).write_text(yaml.safe_dump({**tiny, "experiment": name[:-5]}))
    folders = [folder_of({**tiny, "probe": {**tiny["probe"], "epochs": n}}) for n in (1, 7, 8)]
    assert cli.main(["gc", "--delete", "--configfile", "config.yaml", "--also", "mine.yaml"]) == 0
    assert [folder.exists() for folder in folders] == [True, True, False]


def test_of_an_experiment_that_cannot_be_planned_all_that_it_ran_is_kept(
    tiny: Config, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    mine = {**tiny, "experiment": "mine", "probe": {**tiny["probe"], "epochs": 7}}
    other = {**tiny, "experiment": "other", "probe": {**tiny["probe"], "epochs": 8}}
    for config in (mine, other):
        freeze(plan_of(config))
    kept, lost = folder_of(mine), folder_of(other)
    unknown = Path("results/probe/photos-0123456789ab")  # in no plan: copied here, perhaps
    unknown.mkdir(parents=True)
    Path("mine.yaml").write_text(yaml.safe_dump({**mine, "ipc": "many"}))
    assert cli.main(["gc", "--configfile", "mine.yaml", "--delete"]) == 0
    assert "warning: mine.yaml cannot be planned" in capsys.readouterr().err
    assert kept.exists()
    assert unknown.exists()
    assert not lost.exists()


def test_a_file_without_a_name_may_be_any_experiment(
    tiny: Config, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    freeze(plan_of(tiny))
    kept = folder_of(tiny)
    Path("broken.yaml").write_text("a: [")
    assert cli.main(["gc", "--configfile", "broken.yaml", "--delete"]) == 0
    assert kept.exists()
