"""Coresets: real images, in an order that a backbone's features or a training run give."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from scdd.errors import ScddError, nearest
from scdd.params.experiment import Method
from scdd.params.network import Network
from scdd.params.select import Forgetting
from scdd.plan.backbones import as_backbone
from scdd.plan.draft import Draft
from scdd.plan.methods.base import EVALUATED, Distilled, title_of
from scdd.plan.methods.sampled import require_real_images
from scdd.plan.plan import Node
from scdd.plan.soft_labels import teachers_of


@dataclass(frozen=True)
class Ordered(Distilled):
    """order: what the order is called; a subclass says which artifact it is."""

    order: str = ""

    @abstractmethod
    def order_node(self, draft: Draft, method: Method) -> Node:
        """The order in which the training images of each class are taken."""

    def source(self, draft: Draft, method: Method, ipc: int) -> Node:
        require_real_images(draft, method, ipc)
        parents = {"data": draft.data, "order": self.order_node(draft, method)}
        label = f"{draft.data.label}-{self.order}"
        return draft.plan.add("select", label, {"method": self.order}, parents)


@dataclass(frozen=True)
class ByFeatures(Ordered):
    """order: a module of scdd.select.orders."""

    KEYS: ClassVar = EVALUATED | {"features"}

    def order_node(self, draft: Draft, method: Method) -> Node:
        name = method.features or teachers_of(draft, method)[0]
        if name not in draft.probes:
            raise ScddError(
                f"methods.{method.name}.features: {name!r} is not a method with a probe. "
                f"{nearest(name, draft.probes)}"
            )
        draft.note(f"{title_of(method, self)}: chosen by the features of {name}'s backbone.")
        teacher, section = draft.probes[name], draft.config.coreset
        label, parents = f"{teacher.label}-{self.order}", {"teacher": teacher}
        return draft.plan.add_section("coreset", label, section, parents, method=self.order)


@dataclass(frozen=True)
class ByForgetting(Ordered):
    """Images are ordered by how often a training run forgets them."""

    KEYS: ClassVar = EVALUATED | {"backbone"}

    def order_node(self, draft: Draft, method: Method) -> Node:
        network = method.backbone or draft.config.backbone
        return forgetting(draft, network, title_of(method, self))


def forgetting(draft: Draft, network: Network, title: str) -> Node:
    """The order of the training images of each class by how often the network forgets them in
    training. title: of the method that uses it."""
    section = draft.section(Forgetting, ("forgetting",), draft.config.forgetting)
    suited, label = as_backbone(draft, network), f"{draft.data.label}-{network.label}"
    draft.note(f"{title}: events counted over {section.epochs} epochs of {network.label}.")
    return draft.plan.add_section("forgetting", label, (section, suited), {"data": draft.data})
