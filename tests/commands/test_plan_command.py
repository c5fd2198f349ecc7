"""`scdd plan`."""

from pathlib import Path
from typing import Any

import yaml

from scdd import cli
from scdd.plan.load import plan_of

Config = dict[str, Any]


def lines_of(config: Config, capsys: Any) -> list[str]:
    Path("my.yaml").write_text(yaml.safe_dump(config))
    assert cli.main(["plan", "my.yaml"]) == 0
    return capsys.readouterr().out.splitlines()


def below(lines: list[str], name: str) -> str:
    """The line below that of an artifact."""
    (place,) = (number for number, line in enumerate(lines) if name in line.split()[3:4])
    return lines[place + 1].strip()


def test_scdd_plan_tells_what_exists(
    tiny: Config, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(tiny))
    (node,) = plan_of(tiny).of("probe")
    node.folder.mkdir(parents=True)
    (node.folder / "probe.safetensors").touch()
    assert cli.main(["plan", "--configfile", "my.yaml"]) == 0
    lines = capsys.readouterr().out.splitlines()
    states = {
        line.split()[0]: line.split()[2] for line in lines if node.name in line or "data" in line
    }
    assert states["probe"] == "done"
    assert states["data"] == "-"
    assert lines[-1].startswith("1 data, 1 squeeze, 1 probe, 1 recover")


def test_an_artifact_tells_for_which_methods_and_protocols_it_is_made(
    tiny: Config, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny["methods"] = ["scdd", "random"]
    tiny["protocols"] = ["scdd-paper", "sre2l"]
    lines = lines_of(tiny, capsys)
    (recovery,) = plan_of(tiny).of("recover")
    assert below(lines, str(recovery.folder)) == "SC-DD"
    about = {
        below(lines, str(node.folder)).split("; ")[:2][0] for node in plan_of(tiny).of("relabel")
    }
    assert about == {"SC-DD", "Random"}
    protocols = {
        below(lines, str(node.folder)).split("; ")[1] for node in plan_of(tiny).of("relabel")
    }
    assert protocols == {"scdd-paper", "sre2l"}


def test_folders_with_equal_labels_tell_what_differs(
    tiny: Config, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny["methods"] = ["scdd", {"name": "slow", "like": "scdd", "recover": {"lr": 0.1}}]
    lines = lines_of(tiny, capsys)
    first, second = plan_of(tiny).of("recover")
    assert first.label == second.label
    assert below(lines, str(first.folder)) == "SC-DD; recover.lr 0.4"
    assert below(lines, str(second.folder)) == "slow; recover.lr 0.1"


def test_what_is_made_beyond_what_is_asked_is_told(
    tiny: Config, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    start = "recover: {} images a class are made for IPC {}, in ranges"
    assert not any(line.startswith("recover: ") for line in lines_of({**tiny, "ipc": [10]}, capsys))
    for ipc, made in ((2, 10), (11, 20)):
        lines = lines_of({**tiny, "ipc": [1, ipc]}, capsys)
        assert any(line.startswith(start.format(made, ipc)) for line in lines)
