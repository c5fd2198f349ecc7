"""Real images that an observer, a probe, chooses crops of: RDED."""

from dataclasses import dataclass
from typing import ClassVar

from scdd.errors import ScddError, nearest
from scdd.params.experiment import Method
from scdd.plan.draft import Draft
from scdd.plan.methods.base import EVALUATED, Distilled, title_of
from scdd.plan.patches import patch_params, ranked, require_patches
from scdd.plan.plan import Node
from scdd.plan.soft_labels import teachers_of


@dataclass(frozen=True)
class FromPatches(Distilled):
    """Its images are nested where each is a single crop. In a mosaic the easiest crops of a class
    are the first cells of all its images (RDED's code), so that each IPC has images of its own."""

    KEYS: ClassVar = EVALUATED | {"observer", "patches"}
    JOINT: ClassVar = True

    def source(self, draft: Draft, method: Method, ipc: int) -> Node:
        params = patch_params(draft, "rded", method)
        require_patches(draft, method, params, ipc, ipc)
        observer = self._observer(draft, method)
        draft.note(f"{title_of(method, self)}: crops chosen by the probe of {observer}.")
        parents = {"data": draft.data, "patches": ranked(draft, draft.probes[observer], params)}
        own, label = {"method": "rded", "storage": params.storage}, f"{draft.data.label}-rded"
        if params.factor == 1:
            return draft.plan.add("select", label, own, parents)
        return draft.plan.add("select", f"{label}-ipc{ipc}", {**own, "ipc": ipc}, parents)

    def _observer(self, draft: Draft, method: Method) -> str:
        name = method.observer or teachers_of(draft, method)[0]
        if name not in draft.probes:
            raise ScddError(
                f"methods.{method.name}.observer: {name!r} is not a method with a probe. "
                f"{nearest(name, draft.probes)}"
            )
        return name
