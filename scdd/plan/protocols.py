"""Evaluation protocols: their values, and which of them a method's images are evaluated by."""

from collections.abc import Mapping
from typing import Any

from scdd.errors import ScddError, nearest
from scdd.params.experiment import Method
from scdd.params.protocol import Protocol, Whole
from scdd.plan.draft import Draft, in_words
from scdd.plan.presets import merge, preset_names

WHOLE = "whole"  # the bundle of training on the whole dataset; not a protocol


def protocols_of(draft: Draft, method: Method) -> tuple[str, ...]:
    """The protocols that a method's images are evaluated by."""
    return method.protocols or draft.config.protocols


def protocol(draft: Draft, name: str) -> Protocol:
    """A protocol's values. Notes say what is assumed and what the experiment changes."""
    base, shared, own = bundle(draft, name)
    section = draft.section(Protocol, ("protocol", base), shared)
    if base not in preset_names("protocol"):
        words = f"{in_words(shared)}; else" if shared else "all"
        draft.note(f"protocol {name}: {words} the defaults of `scdd keys`, none published.")
    if not own:
        return section
    words = in_words(own)
    draft.note(f"protocol {name}: {base}" + (f", but for {words}." if words else "."))
    values = checked_protocol(draft, name)
    draft.tell(f"protocol {name}", ("protocol", base), values, shared, own)
    return values


def checked_protocol(draft: Draft, name: str) -> Protocol:
    """A protocol's values, without notes."""
    base, shared, own = bundle(draft, name)
    return draft.checked(Protocol, ("protocol", base), merge(shared, own), f"protocol.{name}")


def bundle(draft: Draft, name: str) -> tuple[str, Mapping[str, Any], Mapping[str, Any]]:
    """A protocol's published name; what the experiment sets for it and all that are like it; and
    what it sets for this one alone."""
    own = draft.config.protocol.get(name, {})
    base = own.get("like")
    return (base, draft.config.protocol.get(base, {}), own) if base else (name, own, {})


def check_protocols(draft: Draft) -> None:
    """Check all protocols of the configuration, used or not, and every name of one."""
    config = draft.config
    bundles = set(preset_names("protocol"))
    published, known = sorted(bundles - {WHOLE}), bundles | {*config.protocols}
    for name, values in config.protocol.items():
        base = values.get("like")
        if base is not None and base not in published:  # it may be a list
            raise ScddError(f"protocol.{name}.like: unknown {base!r}. {nearest(base, published)}")
        if base not in (None, name) and name in published:
            raise ScddError(
                f"protocol.{name}.like: {name} is a published protocol itself. Give the one "
                f"that varies {base} a name of its own."
            )
        if base is None and name not in known:
            raise ScddError(f"unknown key protocol.{name}. {nearest(name, known)}")
        if name == WHOLE:
            draft.checked(Whole, ("protocol", WHOLE), values)
        else:
            checked_protocol(draft, name)
    usable = {*published, *config.protocol} - {WHOLE}
    for name in config.protocols:
        if name not in usable:
            raise ScddError(f"protocols: unknown {name!r}. {nearest(name, usable)}")
    for method in config.methods:
        for name in method.protocols or ():
            require_listed(draft, name, f"methods.{method.name}.protocols")


def require_listed(draft: Draft, name: str, where: str) -> None:
    """Raises ScddError, naming the key `where`, for a protocol that is not in the list."""
    listed = draft.config.protocols
    if name not in listed:
        raise ScddError(
            f"{where}: {name!r} is not one of the experiment's protocols. {nearest(name, listed)}"
        )
