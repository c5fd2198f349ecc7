"""Methods that differ by their backbones and by the seeds of its squeeze alone: what grows with the
backbone is shown over its size."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from scdd.params.experiment import Method
from scdd.params.network import Network
from scdd.plan.backbones import as_backbone
from scdd.plan.cost.networks import backbone_size
from scdd.plan.draft import Draft
from scdd.plan.identity import canonical
from scdd.plan.methods.base import Kind
from scdd.plan.methods.recovery import Recovery
from scdd.plan.sweeps import Sweep


def series(
    draft: Draft, methods: Sequence[tuple[Method, Kind]], sweeps: Iterable[Sweep]
) -> list[dict[str, Any]]:
    """A row for each method that recovers images and has others beside it that do so from another
    backbone: its name, the title that it shares with them, the label of its network, the seed of
    its squeeze (None where that has none), and whether it is squeezed with labels."""
    groups: dict[str, list[tuple[Method, Recovery]]] = {}
    for method, kind in methods:
        if isinstance(kind, Recovery):
            groups.setdefault(_in_common(method), []).append((method, kind))
    grown = [group for group in groups.values() if len(_networks(draft, group)) > 1]
    swept = {name: sweep.title for sweep in sweeps for name in sweep.variants}
    titles = [swept.get(group[0][0].name, group[0][1].title) for group in grown]
    rows = []
    for group, title in zip(grown, titles, strict=True):
        first, _ = group[0]
        shared = title if titles.count(title) == 1 else f"{title}, {first.name}"
        rows += [_row(draft, method, kind, shared) for method, kind in group]
    return rows


def sizes(draft: Draft, networks: Iterable[Network]) -> dict[str, int]:
    """The number of parameters of each backbone, without its classifier, by the network's label."""
    return {
        network.label: int(
            backbone_size(as_backbone(draft, network), draft.resolution, None).weights
        )
        for network in networks
    }


def network_of(draft: Draft, method: Method) -> Network:
    return method.backbone or draft.config.backbone


def _in_common(method: Method) -> str:
    """What methods of one series share: all but backbone and seed, and where they are evaluated."""
    squeeze = {key: value for key, value in method.squeeze.items() if key != "seed"}
    like = method.like or method.name
    same = replace(method, name="", title=None, like=like, backbone=None, squeeze=squeeze)
    return canonical(replace(same, ipc=None, protocols=None).dump())


def _networks(draft: Draft, group: Iterable[tuple[Method, Recovery]]) -> set[str]:
    return {network_of(draft, method).label for method, _ in group}


def _row(draft: Draft, method: Method, kind: Recovery, title: str) -> dict[str, Any]:
    backbone = draft.plan.parent(draft.probes[draft.teacher_name(method)], "backbone")
    return {
        "method": method.name,
        "series": title,
        "network": network_of(draft, method).label,
        "seed": backbone.params.get("seed"),
        "with_labels": kind.squeeze_of(method) == "supervised",
    }
