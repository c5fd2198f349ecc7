"""Methods that recover images from a squeezed backbone and its probe: SC-DD, SRe2L, CDA."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from scdd.artifacts.run import RESULTS
from scdd.artifacts.slots import most_slots, slot_ranges
from scdd.errors import ScddError, nearest
from scdd.params.experiment import Method
from scdd.params.network import Network
from scdd.params.recover import Recover
from scdd.plan.backbones import (
    gathered,
    informativeness,
    probe_of,
    recover_params,
    require_batch_norm,
)
from scdd.plan.draft import Draft
from scdd.plan.evaluation import Column, Report
from scdd.plan.methods.base import EVALUATED, Distilled, title_of
from scdd.plan.patches import around_median, patch_params, ranked, require_patches
from scdd.plan.plan import Node
from scdd.plan.presets import preset_names
from scdd.plan.students import for_images


@dataclass(frozen=True)
class Recovery(Distilled):
    """squeeze: how its backbone is squeezed; preset: the published recovery that it has."""

    squeeze: str = "mocov2"
    preset: str = "scdd-paper"

    KEYS: ClassVar = EVALUATED | {
        "preset",
        "committee",
        "backbone",
        "squeeze",
        "probe",
        "recover",
        "patches",
    }

    def preset_of(self, method: Method) -> str:
        """The published recovery whose values the method has. Raises ScddError if unknown."""
        if method.preset and method.preset not in (known := preset_names("recover")):
            hint = nearest(method.preset, known)
            raise ScddError(f"methods.{method.name}.preset: unknown {method.preset!r}. {hint}")
        return method.preset or self.preset

    def by_ipc(self, draft: Draft, method: Method) -> bool:
        """Where the published values differ by IPC."""
        return bool(draft.published_ipcs(("recover", self.preset_of(method))))

    def is_control(self, method: Method) -> bool:
        """A backbone that saw no image."""
        return self.squeeze_of(method) == "untrained"

    def squeeze_of(self, method: Method) -> str:
        return str(method.squeeze.get("method", self.squeeze))

    def probe(self, draft: Draft, method: Method) -> Node:
        return probe_of(draft, method, self.squeeze)

    def source(self, draft: Draft, method: Method, ipc: int) -> Node:
        title, teacher = title_of(method, self), draft.probes[draft.teacher_name(method)]
        recover = recover_params(draft, self.preset_of(method), method.recover, ipc)
        if method.preset:
            draft.note(f"{title}: recovered with the values of {method.preset}.")
        if method.committee:
            names = " and ".join([draft.teacher_name(method), *method.committee])
            draft.note(f"{title}: recovered from the teachers of {names}.")
        _require_images(draft, method, recover, ipc)
        parents = {"teacher": teacher, **_committee(draft, method)}
        require_batch_norm(draft, f"methods.{method.name}", parents.values())
        recover = _with_teachers(draft, method, recover, parents)
        _require_sizes(draft, recover, parents.values())
        parents |= gathered(draft, parents, recover)
        if recover.r_bn == "auto":
            parents["informativeness"] = informativeness(draft, teacher, recover)
        if start := _ranked_start(draft, method, recover, teacher, ipc):
            parents["patches"] = start
        return draft.plan.add_section("recover", teacher.label, recover, parents)

    def show(self, draft: Draft, report: Report, column: Column, sets: list[Node]) -> None:
        if draft.config.verifier is not None:
            for images in sets:
                _verify(draft, report, column, images, draft.config.verifier)
        largest = max(sets, key=lambda images: int(images.params["ipc"]))
        source = draft.plan.parent(largest, "source")
        losses = draft.plan.losses(source, largest.params["ipc"])
        report.recoveries.append(
            {
                "method": column.method.name,
                "title": column.title,
                "losses": [str(path.relative_to(RESULTS)) for path in losses],
                "frames": str(draft.plan.frames(source).relative_to(RESULTS)),
            }
        )


def _require_images(draft: Draft, method: Method, recover: Recover, ipc: int) -> None:
    """A recovery that starts from whole real images takes one for each slot that it makes."""
    least, last = draft.facts.per_class, slot_ranges(ipc)[-1][1]
    pool = (recover.residual and recover.residual.pool) or 0
    if least is not None and pool > least:
        raise ScddError(
            f"recover.residual.pool: {pool}, but the smallest class of "
            f"{draft.config.dataset.name} has {least} training images. Lower it."
        )
    if recover.start in {"real", "median"} and least is not None and last > least:
        raise ScddError(
            f"ipc: {ipc}, but the smallest class of {draft.config.dataset.name} has {least} "
            f"training images, and method {method.name!r} starts {last} from real ones. Lower "
            f"ipc to {most_slots(least)}."
        )


def _ranked_start(
    draft: Draft, method: Method, recover: Recover, teacher: Node, ipc: int
) -> Node | None:
    """The order in which images start from real ones, by their own teacher; None if they do not.
    Each slot of the ranges that are made has its own."""
    if method.patches and recover.start != "patches":
        raise ScddError(
            f"methods.{method.name}.patches: its recovery starts from {recover.start}. Set "
            "recover.start to patches, or leave patches out."
        )
    if recover.start == "median":
        return around_median(draft, teacher)
    if recover.start != "patches":
        return None
    params = patch_params(draft, "start", method)
    pool = (recover.residual and recover.residual.pool) or 0
    require_patches(draft, method, params, max(slot_ranges(ipc)[-1][1], pool), ipc)
    return ranked(draft, teacher, params)


def _committee(draft: Draft, method: Method) -> Mapping[str, Node]:
    """The probes of other methods that images are recovered from as well, by role."""
    others = [name for name in draft.probes if name != draft.teacher_name(method)]
    for name in method.committee:
        if name not in others:
            raise ScddError(
                f"methods.{method.name}.committee: {name!r} is not another method with a probe. "
                f"{nearest(name, others)}"
            )
    return {
        f"teacher_{number}": draft.probes[name]
        for number, name in enumerate(method.committee, start=2)
    }


def _with_teachers(
    draft: Draft, method: Method, recover: Recover, teachers: Mapping[str, Node]
) -> Recover:
    """The recovery with a prior for each of its teachers. Raises ScddError where a prior is
    missing, and where what it has for several teachers meets one."""
    alone = len(teachers) == 1
    for key, default in (("teachers", "mean"), ("pairs", "none")):
        if alone and (value := getattr(recover, key)) != default:
            raise ScddError(
                f"recover.{key}: {value} is for several teachers, and method {method.name!r} has "
                f"one. Name others in methods.{method.name}.committee."
            )
    if recover.priors is None:
        return recover
    if isinstance(recover.priors, tuple):
        if len(recover.priors) != len(teachers):
            raise ScddError(
                f"recover.priors: {len(recover.priors)}, but method {method.name!r} has "
                f"{len(teachers)} teachers. Give one for each: its own, then the committee's."
            )
        return recover
    archs = [draft.plan.parent(probe, "backbone").params["arch"] for probe in teachers.values()]
    for arch in archs:
        if arch not in recover.priors:
            raise ScddError(
                f"recover.priors: there is none for {arch}, a teacher of method {method.name!r}. "
                f"Set recover.priors.{arch}."
            )
    return replace(recover, priors=tuple(recover.priors[arch] for arch in archs))


def _require_sizes(draft: Draft, recover: Recover, teachers: Iterable[Node]) -> None:
    """Raises ScddError, naming the network, where a teacher does not take a segment's images."""
    for teacher in teachers:
        network = Network.of(draft.plan.parent(teacher, "backbone").params)
        for size in sorted(set(recover.sizes or ())):
            for_images(network, size, "recover.sizes")


def _verify(draft: Draft, report: Report, column: Column, images: Node, verifier: str) -> None:
    """What another method's probe sees on recovered images."""
    if verifier not in draft.probes:
        raise ScddError(
            f"verifier: {verifier!r} is not a method with a probe. "
            f"{nearest(verifier, draft.probes)}"
        )
    parents = {"images": images, "teacher": draft.probes[verifier]}
    node = draft.plan.add("verify", f"{images.label}-by-{verifier}", {}, parents)
    metrics = str(node.folder.relative_to(RESULTS) / "metrics.json")
    report.verified.append({"title": column.title, "ipc": images.params["ipc"], "metrics": metrics})
