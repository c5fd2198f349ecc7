"""What every kind of method says of itself."""

from dataclasses import dataclass
from typing import ClassVar

from scdd.params.data import Pixels
from scdd.params.experiment import Method
from scdd.params.protocol import Labels
from scdd.plan.draft import Draft
from scdd.plan.evaluation import Column, Report, evaluate
from scdd.plan.plan import Node
from scdd.plan.protocols import protocols_of

# keys of a method in the configuration: what all whose images are evaluated have a use for
EVALUATED = frozenset({"ipc", "protocols", "teacher"})


@dataclass(frozen=True)
class Kind:
    """A method, with its images. A subclass is a family of methods.

    title: in tables; labels: those of its students, by a protocol that has soft ones; KEYS: the
    keys of a method in the configuration that it uses, beside name, like and title; JOINT: whether
    the images of an IPC are made together, and those of IPC 10 do not begin with those of IPC 1;
    PIXELS: what the numbers of its images are.
    """

    title: str
    labels: Labels = "soft"

    KEYS: ClassVar[frozenset[str]] = EVALUATED
    JOINT: ClassVar[bool] = False
    PIXELS: ClassVar[Pixels] = "uint8"

    def keys(self, method: Method) -> frozenset[str]:
        """The keys that this method uses."""
        return self.KEYS if self.labels == "soft" else self.KEYS - {"teacher"}

    def probe(self, draft: Draft, method: Method) -> Node | None:
        """The method's own teacher; None where it has none."""
        return None

    def source(self, draft: Draft, method: Method, ipc: int) -> Node:
        """The artifact with the shards of its images, up to `ipc` a class.

        Raises ScddError for a configuration from which they cannot be made.
        """
        raise NotImplementedError

    def add(self, draft: Draft, report: Report, method: Method) -> None:
        """Add the method's images, labels and students to the plan, and what the report needs."""
        column = Column(method, title_of(method, self), self.labels)
        ipcs = method.ipc or draft.config.ipc
        nested = None if self.JOINT else self.source(draft, method, max(ipcs))
        sets = []
        for ipc in ipcs:
            images = self._images(draft, nested or self.source(draft, method, ipc), ipc)
            sets.append(images)
            for protocol in protocols_of(draft, method):
                evaluate(draft, report, column, images, protocol)
        self.show(draft, report, column, sets)

    def show(self, draft: Draft, report: Report, column: Column, sets: list[Node]) -> None:
        """Add what the report shows of the image sets beside pictures of them; nothing by default.

        sets: one an IPC.
        """

    def _images(self, draft: Draft, source: Node, ipc: int) -> Node:
        params = {"method": source.params.get("method", source.stage), "ipc": ipc}
        params |= {"pixels": self.PIXELS}
        return draft.plan.add("imageset", f"{source.label}-ipc{ipc}", params, {"source": source})


def title_of(method: Method, kind: Kind) -> str:
    """In tables and figures."""
    return method.title or (method.name if method.like else kind.title)
