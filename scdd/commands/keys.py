"""`scdd keys`: the keys of a configuration."""

import argparse
from dataclasses import MISSING
from typing import Any

from scdd.params.base import Section, default_of, hints, key_of, parameters
from scdd.params.experiment import Ablation, Backbone, Continual, Experiment, Method
from scdd.params.learn import LEARNS, Experts
from scdd.params.paper import Paper, Part
from scdd.params.patches import Patches
from scdd.params.probe import Probe
from scdd.params.protocol import Protocol, Whole
from scdd.params.recover import Recover, Residual
from scdd.params.select import Ccfs, Forgetting, Import
from scdd.params.squeeze import SQUEEZES, Source

# keys of the files themselves, which no section has
OF_FILES = {
    "base": "the file that this one is read on top of",
    "experiments": "files of experiments that run together, in place of all other keys but paper",
}


def show_keys(_: argparse.Namespace) -> None:
    """Print every key of the configuration with its default and meaning."""
    for name, meaning in OF_FILES.items():
        show_key(name, meaning, None)
    show_section("", Experiment)
    show_section("methods.<name>.", Method)
    show_section("methods.<name>.import.", Import)
    show_section("backbones.<n>.", Backbone)
    for name, section in SQUEEZES.items():
        show_section(f"squeeze.{name}.", section)
    show_section("probe.", Probe)
    show_section("recover.", Recover)
    show_section("recover.residual.", Residual)
    show_section("patches.", Patches)
    for name, learn in LEARNS.items():
        show_section(f"learn.{name}.", learn)
    show_section("experts.", Experts)
    show_section("forgetting.", Forgetting)
    show_section("ccfs.", Ccfs)
    show_section("protocol.<name>.", Protocol)
    show_section("protocol.whole.", Whole)
    show_section("ablation.", Ablation)
    show_section("continual.", Continual)
    show_section("paper.", Paper)
    show_section("paper.parts.<n>.", Part)


def show_section(prefix: str, section: type[Section], defaults: Section | None = None) -> None:
    for name, parameter in parameters(section).items():
        value = default_of(parameter) if defaults is None else getattr(defaults, name)
        if isinstance(value, Section):
            show_section(f"{prefix}{name}.", type(value), value)
        elif hints(section)[name] is Source:
            show_section(f"{prefix}{name}.", Source)
        else:
            show_key(prefix + key_of(parameter), parameter.metadata["meaning"], value)


def show_key(name: str, meaning: str, default: Any) -> None:
    print(f"{name:34s} {meaning} [{'required' if default is MISSING else default}]")


def add(commands: Any) -> None:
    command = commands.add_parser("keys", help=show_keys.__doc__)
    command.set_defaults(run=show_keys)
