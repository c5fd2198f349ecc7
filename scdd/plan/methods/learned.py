"""The classic methods, whose images are learned: DC, DSA, DM, CAFE, MTT, TESLA."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from scdd.artifacts.run import RESULTS
from scdd.errors import ScddError
from scdd.params.base import required
from scdd.params.data import Pixels
from scdd.params.experiment import Method
from scdd.params.learn import LEARNS, Experts, Learn, Trajectory
from scdd.params.network import Network
from scdd.plan.datasets import whitening
from scdd.plan.draft import Draft
from scdd.plan.evaluation import Column, Report, evaluate, labels_of
from scdd.plan.imports import check_buffers
from scdd.plan.methods.base import EVALUATED, Distilled, title_of
from scdd.plan.methods.sampled import require_real_images
from scdd.plan.plan import Node
from scdd.plan.presets import merge, published_ipcs
from scdd.plan.protocols import checked_protocol, protocols_of
from scdd.plan.students import for_images

NETWORKS = ("convnet3", "convnet4")


@dataclass(frozen=True)
class Learned(Distilled):
    """method: whose parameters it has; engine: the module of scdd.learn.methods that learns."""

    method: str = ""
    engine: str = ""

    KEYS: ClassVar = EVALUATED | {"learn", "storage"}
    JOINT: ClassVar = True

    def keys(self, method: Method) -> frozenset[str]:
        """Methods that follow experts may take those of others."""
        follows = issubclass(LEARNS[self.method], Trajectory)
        return super().keys(method) | ({"experts"} if follows else set())

    def source(self, draft: Draft, method: Method, ipc: int) -> Node:
        params = self._params(draft, method, ipc)
        network = _convnet(draft, params.network, f"learn.{self.method}.network")
        params = replace(params, network=network)
        if params.start == "real":
            require_real_images(draft, method, ipc)
        parents = {"data": draft.data}
        if params.zca:
            parents["whitening"] = whitening(draft)
        label = f"{draft.data.label}-{self.method}-ipc{ipc}"
        more: dict[str, Any] = {"method": self.method, "engine": self.engine, "ipc": ipc}
        if method.experts:
            key, folder = f"methods.{method.name}.experts", Path(method.experts)
            more["buffers"] = check_buffers(key, folder, params.zca)
            draft.note(f"{title_of(method, self)}: experts of others, from {folder.name}.")
        elif isinstance(params, Trajectory):
            parents["experts"] = _experts(draft, params)
        node = draft.plan.add_section("learn", label, params, parents, **more)
        if method.experts:
            draft.import_from(node, method.experts)
        return node

    def pixels(self, method: Method, source: Node) -> Pixels:
        if method.storage == "uint8":
            return "uint8"
        return "zca" if "whitening" in source.parents else "normalised"

    def show(self, draft: Draft, report: Report, column: Column, sets: list[Node]) -> None:
        for images in sets:
            source = draft.plan.parent(images, "source")
            for iteration in LEARNS[self.method].of(source.params).snapshot_iterations:
                self._evaluate_snapshot(draft, report, column, source, iteration)
            folder = source.folder.relative_to(RESULTS)
            report.learned.append(
                {
                    "method": column.method.name,
                    "title": column.title,
                    "ipc": images.params["ipc"],
                    "iterations": source.params["iterations"],
                    "history": str(folder / "history.csv"),
                    "frames": str(folder / "frames.safetensors"),
                }
            )

    def _evaluate_snapshot(
        self, draft: Draft, report: Report, column: Column, source: Node, iteration: int
    ) -> None:
        """Students of hard labels, on the images after so many iterations."""
        method, ipc = column.method, source.params["ipc"]
        for protocol in protocols_of(draft, method):
            if labels_of(column, checked_protocol(draft, protocol, ipc)) == "hard":
                last = self.image_set(draft, method, source, ipc, "hard")
                parents = {role: draft.plan.parent(last, role) for role in last.parents}
                params, label = {**last.params, "at": iteration}, f"{last.label}-at{iteration}"
                images = draft.plan.add("imageset", label, params, parents)
                evaluate(draft, report, column, images, protocol)

    def _params(self, draft: Draft, method: Method, ipc: int) -> Learn:
        """Raises ScddError, naming the nearest IPC, where something is missing."""
        section, path = LEARNS[self.method], ("learn", self.method)
        own = (draft.config.learn.get(self.method, {}), method.learn)
        given = merge(draft.published(path, ipc).values, *own)
        if missing := [key for key in required(section) if key not in given]:
            raise ScddError(_not_published(draft, self.method, ipc, missing))
        return draft.section(section, path, *own, ipc=ipc)


def _not_published(draft: Draft, method: str, ipc: int, missing: list[str]) -> str:
    where, keys = f"learn.{method}", " and ".join(f"learn.{method}.{key}" for key in missing)
    name = draft.config.dataset.name
    known = published_ipcs(*("learn", method), draft.family) or published_ipcs(
        "learn", method, name
    )
    if not known:
        return f"{where}: nothing is published for {name}. Set {keys}."
    near = min(known, key=lambda each: abs(each - ipc))
    values = draft.published(("learn", method), near).values
    shown = ", ".join(f"{key} {values[key]}" for key in missing if key in values)
    return (
        f"{where}: nothing is published for IPC {ipc}. The nearest is IPC {near}, with {shown}. "
        f"Set {keys}."
    )


def _convnet(draft: Draft, network: Network, where: str) -> Network:
    """The network for the dataset's images. Raises ScddError if it is not a ConvNet with instance
    norm, or does not take such images."""
    if network.arch not in NETWORKS:
        raise ScddError(
            f"{where}: images are learned with {' or '.join(NETWORKS)}, not with {network.arch}."
        )
    return for_images(network, draft.resolution, where)


def _experts(draft: Draft, params: Trajectory) -> Node:
    """The experts of a method; those of one network and pixel space serve all IPCs and methods."""
    section = draft.section(Experts, ("experts",), draft.config.experts)
    parents = {"data": draft.data}
    if params.zca:
        parents["whitening"] = whitening(draft)
    network = Network(params.network.arch, params.network.width)
    label = f"{draft.data.label}-{network.label}" + ("-zca" if params.zca else "")
    return draft.plan.add_section("experts", label, section, parents, network=params.network)
