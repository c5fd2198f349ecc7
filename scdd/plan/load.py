"""Where a plan comes from: configuration files, or the file the driver froze for its jobs."""

import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from scdd.artifacts.files import read_json, write_json, write_text
from scdd.artifacts.run import NAME, RESULTS
from scdd.errors import ScddError, warn
from scdd.params.experiment import Experiment
from scdd.params.paper import Paper
from scdd.plan.build import build
from scdd.plan.config import parse
from scdd.plan.identity import digest
from scdd.plan.paper import add_paper
from scdd.plan.plan import Node, Plan
from scdd.plan.presets import merge
from scdd.plan.yaml_files import read_yaml

PLANS = RESULTS / "plans"
VARIABLE = "SCDD_PLAN"  # names the frozen plan to the jobs of a run


def plan_of(config: Mapping[str, Any], folder: Path = Path(), *, check_files: bool = True) -> Plan:
    """The plan of one configuration: an experiment, or `experiments:`, a list of their files, and
    perhaps the `paper` that shows them.

    folder: where the files that the configuration names are looked for. Raises ScddError for
    anything wrong with it, missing folders of datasets among it unless `check_files` is off.
    """
    try:
        return _plan_of(config, folder, check_files)
    except OSError as error:  # a path that is too long, or a folder that may not be read
        raise ScddError(f"{error.filename!r} cannot be read: {error.strerror}.") from None


def _plan_of(config: Mapping[str, Any], folder: Path, check_files: bool) -> Plan:
    if "experiments" not in config:
        experiment = parse(Experiment, with_base(config, folder), "")
        return build([experiment], check_files=check_files)
    others = sorted(set(config) - {"experiments", "paper"})
    if others:
        raise ScddError(
            f"unknown key {others[0]}: beside 'experiments' there can be no other key than 'paper'."
        )
    paper = parse(Paper, config["paper"], "paper") if "paper" in config else None
    files = config["experiments"]
    if not isinstance(files, list) or not files:
        raise ScddError("experiments: a list of configuration files is needed.")
    experiments = []
    for file in (folder / str(name) for name in files):
        content = read_config(file)
        try:
            experiments.append(parse(Experiment, content, ""))
        except ScddError as error:
            raise ScddError(f"{file}: {error}") from None
    plan = build(experiments, check_files=check_files)
    if paper is not None:
        add_paper(plan, paper)
    return plan


def plan_of_file(file: Path, *, check_files: bool = True) -> Plan:
    """`plan_of` a configuration file."""
    return plan_of(read_config(file), file.parent, check_files=check_files)


def read_config(file: Path) -> dict[str, Any]:
    """The configuration in a file, on top of its bases. Raises ScddError as `with_base` does."""
    return with_base(read_yaml(file), file.parent)


def experiment_names(file: Path) -> set[str]:
    """The names of the experiments in a configuration file. Raises ScddError as `with_base` does,
    and where an experiment has no name."""
    content = read_config(file)
    if "experiments" in content:
        files = [file.parent / str(name) for name in content["experiments"]]
        return set().union(*map(experiment_names, files))
    if "experiment" not in content:
        raise ScddError(f"{file}: the key experiment is missing.")
    return {str(content["experiment"])}


def with_base(
    config: Mapping[str, Any], folder: Path, seen: tuple[Path, ...] = ()
) -> dict[str, Any]:
    """A configuration on top of the file that its `base` names, and that file's base, and so on.

    Mappings merge key by key; all else, lists among it, is replaced. `base` is relative to
    `folder`. Raises ScddError, naming the file, where it is missing, or comes to itself again.
    """
    if "base" not in config:
        return dict(config)
    own = {key: value for key, value in config.items() if key != "base"}
    file = folder / str(config["base"])
    if file.resolve() in seen:
        raise ScddError(f"base: {file} is its own base.")
    if "experiment" not in own:
        raise ScddError(f"base: {file} has the name of another experiment. Set experiment.")
    content = read_yaml(file)
    if "experiments" in content:
        raise ScddError(f"base: {file} is a list of experiments. Name one of them.")
    return merge(with_base(content, file.parent, (*seen, file.resolve())), own)


def freeze(plan: Plan) -> Path:
    """Write the plan under its own digest, for the jobs of this run; returns the file's path."""
    content = {
        "nodes": [asdict(node) for node in plan.nodes.values()],
        "roots": plan.roots,
        "classes": plan.classes,
        "train": plan.train,
        "imports": plan.imports,
        "machine": plan.machine,
    }
    path = PLANS / f"{digest(content)}.json"
    if not path.exists():
        write_json(path, content)
    return path


def thaw(path: Path) -> Plan:
    """The plan that `freeze` wrote."""
    content = read_json(path)
    nodes = [Node(**node) for node in content.pop("nodes")]
    return Plan(nodes={node.key: node for node in nodes}, **content)


def for_run(config: Mapping[str, Any], folder: Path, is_driver: bool, is_dry: bool = False) -> Plan:
    """The plan of this run: the driver makes and freezes it (`plan_of`), its jobs read that.

    A job parses the Snakefile again, perhaps hours later and after an edit of the configuration.
    With the frozen plan it still does what it was submitted for. is_dry: a run that starts no job,
    of which missing files of datasets are only told.
    """
    if not is_driver:
        if VARIABLE not in os.environ:
            raise ScddError(f"{VARIABLE} did not reach this job. Submit with --export=ALL.")
        return thaw(Path(os.environ[VARIABLE]))
    plan = _plan_without_files(config, folder) if is_dry else plan_of(config, folder)
    os.environ[VARIABLE] = str(freeze(plan).resolve())
    os.environ[NAME] = uuid.uuid4().hex
    return plan


def _plan_without_files(config: Mapping[str, Any], folder: Path) -> Plan:
    """The plan, with a warning where a run would stop for want of a dataset's files."""
    try:
        return plan_of(config, folder)
    except ScddError as missing:
        plan = plan_of(config, folder, check_files=False)  # or what else is wrong
        warn(f"{missing} A run would stop here.")
        return plan


def write_configs(plan: Plan) -> None:
    """Write the config.json of each artifact of a run: all that its jobs may know of config.yaml.

    Jobs that wrote them were half of all jobs. Nor need they be inputs: what they say is in the
    digest, and so in the path.
    """
    for node in plan.nodes.values():
        path, text = node.folder / "config.json", json.dumps(node.frozen(), indent=2) + "\n"
        if not path.exists() or path.read_text() != text:
            write_text(path, text)
