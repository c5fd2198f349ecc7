"""`scdd keys`: the keys of a configuration."""

import argparse
from dataclasses import MISSING
from typing import Any

from scdd.params.base import Section, default_of, hints, key_of, parameters
from scdd.params.experiment import Backbone, Continual, Experiment, Method
from scdd.params.learn import LEARNS, Experts
from scdd.params.paper import Paper, Part
from scdd.params.patches import Patches
from scdd.params.probe import Probe
from scdd.params.protocol import Protocol, Whole
from scdd.params.recover import Recover
from scdd.params.select import Forgetting, Import
from scdd.params.squeeze import SQUEEZES, Source


def show_keys(_: argparse.Namespace) -> None:
    """Print every key of the configuration with its default and meaning."""
    show_section("", Experiment)
    show_section("methods.<name>.", Method)
    show_section("methods.<name>.import.", Import)
    show_section("backbones.<n>.", Backbone)
    for name, section in SQUEEZES.items():
        show_section(f"squeeze.{name}.", section)
    show_section("probe.", Probe)
    show_section("recover.", Recover)
    show_section("patches.", Patches)
    for name, learn in LEARNS.items():
        show_section(f"learn.{name}.", learn)
    show_section("experts.", Experts)
    show_section("forgetting.", Forgetting)
    show_section("protocol.<name>.", Protocol)
    show_section("protocol.whole.", Whole)
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
            shown = "required" if value is MISSING else value
            print(f"{prefix + key_of(parameter):34s} {parameter.metadata['meaning']} [{shown}]")


def add(commands: Any) -> None:
    command = commands.add_parser("keys", help=show_keys.__doc__)
    command.set_defaults(run=show_keys)
