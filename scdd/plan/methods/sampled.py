"""Controls: random real images, and noise."""

from dataclasses import dataclass

from scdd.errors import ScddError
from scdd.params.experiment import Method
from scdd.plan.draft import Draft
from scdd.plan.methods.base import Distilled
from scdd.plan.plan import Node


@dataclass(frozen=True)
class Sampled(Distilled):
    """module: of scdd.select.methods; is_real: whether it takes training images."""

    module: str = "random"
    is_real: bool = True

    def is_control(self, method: Method) -> bool:
        return True

    def source(self, draft: Draft, method: Method, ipc: int) -> Node:
        if self.is_real:
            require_real_images(draft, method, ipc)
        label, parents = f"{draft.data.label}-{self.module}", {"data": draft.data}
        sampling = draft.config.sampling
        return draft.plan.add_section("select", label, sampling, parents, method=self.module)


def require_real_images(draft: Draft, method: Method, ipc: int) -> None:
    """Raises ScddError where a class is known to have fewer training images."""
    least = draft.facts.per_class
    if least is not None and ipc > least:
        raise ScddError(
            f"ipc: {ipc}, but the smallest class of {draft.config.dataset.name} has {least} "
            f"training images, and method {method.name!r} takes real ones."
        )
