"""Parameters that come after a release: `as_before`, the value under which nothing changes."""

import json
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from scdd.params.base import Section, param
from scdd.plan.config import parse
from scdd.plan.plan import Plan


@dataclass(frozen=True)
class Crop(Section):
    """A part of a section, as released."""

    size: int = param(8, "pixels a side")


@dataclass(frozen=True)
class LaterCrop(Crop):
    """The same, with a later key."""

    pad: int = param(2, "pixels on each side", as_before=0)


@dataclass(frozen=True)
class Released(Section):
    """A section as released."""

    lr: float = param(0.1, "learning rate")
    crop: Crop = param(Crop())


@dataclass(frozen=True)
class Later(Released):
    """The same after three more keys, whose defaults are not what was done before, and one more in
    a part of it."""

    crop: LaterCrop = param(LaterCrop())
    clip: float = param(0.5, "largest gradient", as_before=0.0)
    scale: tuple[float, float] | None = param((0.2, 1.0), "range of area", as_before=None)
    blur: tuple[float, float] = param((0.5, 0.5), "probabilities", as_before=(0.0, 0.0))
    order: Literal["old", "new"] = param("new", "of the batches", as_before="old")


AS_BEFORE: dict[str, Any] = {"clip": 0.0, "scale": None, "blur": [0, 0], "order": "old"}
NEW: dict[str, Any] = {"clip": 0.5, "scale": [0.2, 1.0], "blur": [0.5, 0.5], "order": "new"}


def later(**changes: Any) -> Later:
    """From a configuration, in which all later keys are as before but for `changes`."""
    return parse(Later, {"crop": {"pad": 0}, **AS_BEFORE, **changes}, "later")


def digest_of(section: Section) -> str:
    return Plan().add_section("probe", "digits", section, {}).digest


def test_while_they_are_as_before_they_are_in_no_digest() -> None:
    assert later().identity() == Released().identity() == {"lr": 0.1, "crop": {"size": 8}}
    assert digest_of(later()) == digest_of(Released())


@pytest.mark.parametrize("key", NEW)
def test_another_value_is_in_the_digest(key: str) -> None:
    changed = later(**{key: NEW[key]})
    assert changed.identity() == {**Released().identity(), key: NEW[key]}
    assert digest_of(changed) != digest_of(Released())


def test_another_value_in_a_part_of_a_section_is_in_the_digest() -> None:
    changed = later(crop={"pad": 1})
    assert changed.identity() == {"lr": 0.1, "crop": {"size": 8, "pad": 1}}
    assert digest_of(changed) != digest_of(Released())


def test_a_config_json_has_them_whatever_their_value() -> None:
    dumped = later().dump()
    assert dumped == {"lr": 0.1, "crop": {"size": 8, "pad": 0}, **AS_BEFORE}
    assert Later.of(json.loads(json.dumps(dumped))) == later()


def test_a_config_json_of_before_is_read_as_if_they_were_as_before() -> None:
    """Whatever is the default by now."""
    assert Later.of(json.loads(json.dumps(Released(lr=0.3).dump()))) == later(lr=0.3)


def test_a_configuration_that_leaves_them_out_gets_their_defaults() -> None:
    assert parse(Later, {}, "later") == Later()
    assert Later().identity() == {"lr": 0.1, "crop": {"size": 8, "pad": 2}, **NEW}
