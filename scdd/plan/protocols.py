"""Evaluation protocols: their values, and which of them a method's images are evaluated by."""

from collections.abc import Mapping
from typing import Any

from scdd.errors import ScddError, nearest
from scdd.params.experiment import Method
from scdd.params.protocol import Protocol, Whole
from scdd.plan.draft import Draft, in_words
from scdd.plan.presets import BY_IPC, from_ipc, merge, preset_names

WHOLE = "whole"  # the bundle of training on the whole dataset; not a protocol


def protocols_of(draft: Draft, method: Method) -> tuple[str, ...]:
    """The protocols that a method's images are evaluated by."""
    return method.protocols or draft.config.protocols


def protocol(draft: Draft, name: str, ipc: int) -> Protocol:
    """A protocol's values for an IPC. Notes say what is assumed and what the experiment changes."""
    base, shared, own = bundle(draft, name, ipc)
    path, near = ("protocol", base), _published_ipc(draft, base, ipc)
    section = draft.section(Protocol, path, shared, ipc=near)
    if base not in preset_names("protocol"):
        words = f"{in_words(shared)}; else" if shared else "all"
        draft.note(f"protocol {name}: {words} the defaults of `scdd keys`, none published.")
    if near is not None and near != ipc:
        draft.note(f"protocol {base}: IPC {ipc} has the values that are published for IPC {near}.")
    if not own:
        return section
    words = in_words(own)
    draft.note(f"protocol {name}: {base}" + (f", but for {words}." if words else "."))
    values = checked_protocol(draft, name, ipc)
    draft.tell(f"protocol {name}", path, values, shared, own, ipc=near)
    return values


def checked_protocol(draft: Draft, name: str, ipc: int | None = None) -> Protocol:
    """A protocol's values for an IPC, or those that all IPCs share, without notes."""
    base, shared, own = bundle(draft, name, ipc)
    path, near = ("protocol", base), _published_ipc(draft, base, ipc)
    return draft.checked(Protocol, path, merge(shared, own), f"protocol.{name}", near)


def bundle(
    draft: Draft, name: str, ipc: int | None = None
) -> tuple[str, Mapping[str, Any], Mapping[str, Any]]:
    """A protocol's published name; what the experiment sets for it and all that are like it; and
    what it sets for this one alone; for all IPCs, or also for one."""
    own = draft.config.protocol.get(name, {})
    if base := own.get("like"):
        shared = draft.config.protocol.get(base, {})
        return base, _for_ipc(shared, ipc), _for_ipc(own, ipc)
    return name, _for_ipc(own, ipc), {}


def _for_ipc(values: Mapping[str, Any], ipc: int | None) -> Mapping[str, Any]:
    """What the experiment sets for a protocol, with the values of an IPC on top."""
    if BY_IPC not in values or ipc is None:
        return values
    by_ipc = values[BY_IPC]
    rest = {key: value for key, value in values.items() if key != BY_IPC}
    return merge(rest, by_ipc.get(from_ipc(by_ipc, ipc), {}))


def _published_ipc(draft: Draft, base: str, ipc: int | None) -> int | None:
    """The IPC whose published values those of `ipc` are; None: those of all."""
    return from_ipc(draft.published_ipcs(("protocol", base)), ipc)


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
            for ipc in (None, *checked_protocol(draft, name).by_ipc):
                checked_protocol(draft, name, ipc)
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
