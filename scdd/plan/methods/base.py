"""What all methods have in common: their keys, and how their images and students are planned."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from scdd.params.data import Pixels
from scdd.params.experiment import Method
from scdd.params.protocol import Labels
from scdd.plan.draft import Draft
from scdd.plan.evaluation import Column, Report, evaluate, labels_of
from scdd.plan.plan import Node
from scdd.plan.protocols import checked_protocol, protocols_of
from scdd.plan.soft_labels import check_priors

# the keys, of a method in the configuration, that every method with an image set uses
LABELLED = frozenset({"teacher", "teacher_priors"})  # with soft labels
EVALUATED = frozenset({"ipc", "protocols"}) | LABELLED


@dataclass(frozen=True)
class Kind(ABC):
    """A method.

    title: its name in tables. KEYS: the keys of a method in the configuration that it uses, beside
    name, like and title.
    """

    title: str

    KEYS: ClassVar[frozenset[str]] = frozenset()

    def keys(self, method: Method) -> frozenset[str]:
        """The keys that this method uses."""
        return self.KEYS

    def is_control(self, method: Method) -> bool:
        """Whether others are compared with it and it is not itself a method that could win."""
        return False

    def probe(self, draft: Draft, method: Method) -> Node | None:
        """The method's own teacher; None if it has none."""
        return None

    @abstractmethod
    def add(self, draft: Draft, report: Report, method: Method) -> None:
        """Add the method's artifacts to the plan, and what the tables need to `report`.

        Raises ScddError if the configuration does not allow it.
        """


@dataclass(frozen=True)
class Distilled(Kind):
    """A method with image sets. A subclass is a family of methods: it says how images are made.

    labels: what its students are trained with if the protocol has soft labels. JOINT: whether an
    IPC may have images of its own (True), or a larger IPC always adds to the images of a smaller
    one (False). Joint images have `ipc` among their source's parameters.
    """

    labels: Labels = "soft"

    KEYS: ClassVar[frozenset[str]] = EVALUATED
    JOINT: ClassVar[bool] = False

    def keys(self, method: Method) -> frozenset[str]:
        """KEYS, but without soft labels none of teachers."""
        return self.KEYS if self.labels == "soft" else self.KEYS - LABELLED

    @abstractmethod
    def source(self, draft: Draft, method: Method, ipc: int) -> Node:
        """The artifact whose jobs make the images, for `ipc` images per class.

        Raises ScddError if the configuration does not allow it.
        """

    def by_ipc(self, draft: Draft, method: Method) -> bool:
        """Whether each IPC has a source of its own."""
        return self.JOINT

    def pixels(self, method: Method, source: Node) -> Pixels:
        """What the numbers of its images are, as students with hard labels see them."""
        return "uint8"

    def image_set(
        self, draft: Draft, method: Method, source: Node, ipc: int, labels: Labels
    ) -> Node:
        """The image set for students with these labels.

        Images that were learned in whitened space (`source` has the parent 'whitening') train
        students there. Teachers live in the normalised space alone, so that with soft labels such
        a set is its 8-bit images.
        """
        pixels, parents = self.pixels(method, source), {"source": source}
        if "whitening" in source.parents:
            if labels == "soft":
                pixels = "uint8"
            else:
                parents["whitening"] = draft.plan.parent(source, "whitening")
        params = {"method": source.params.get("method", source.stage), "ipc": ipc, "pixels": pixels}
        label = source.label if "ipc" in source.params else f"{source.label}-ipc{ipc}"
        return draft.plan.add("imageset", label, params, parents)

    def sources(self, draft: Draft, method: Method) -> dict[int, Node]:
        """The sources of a method's images, by IPC."""
        ipcs = method.ipc or draft.config.ipc
        if self.by_ipc(draft, method):
            return {ipc: self.source(draft, method, ipc) for ipc in ipcs}
        return dict.fromkeys(ipcs, self.source(draft, method, max(ipcs)))

    def soft_set(self, draft: Draft, method: Method, ipc: int) -> Node:
        """The image set of `ipc` images per class for students with soft labels."""
        return self.image_set(draft, method, self.source(draft, method, ipc), ipc, "soft")

    def add(self, draft: Draft, report: Report, method: Method) -> None:
        column = Column(method, title_of(method, self), self.labels)
        check_priors(draft, method)
        sets = []
        for ipc, source in self.sources(draft, method).items():
            of_ipc = []
            for name in protocols_of(draft, method):
                labels = labels_of(column, checked_protocol(draft, name, ipc))
                images = self.image_set(draft, method, source, ipc, labels)
                _note_space(draft, column, images)
                evaluate(draft, report, column, images, name)
                of_ipc.append(images)
            sets.append(of_ipc[0])
        self.show(draft, report, column, sets)

    def show(self, draft: Draft, report: Report, column: Column, sets: list[Node]) -> None:
        """Add what else, beside pictures, the report shows about the image sets; here nothing.

        sets: one for each IPC, that of the first protocol.
        """


def _note_space(draft: Draft, column: Column, images: Node) -> None:
    """Say below the tables where students do not train on normalised 8-bit images."""
    if images.params["pixels"] != "uint8":
        draft.note(
            f"{column.title}: its images are float32, as they were learned; ratios count uint8."
        )
    if "whitening" in images.parents:
        draft.note(
            f"{column.title}: students with hard labels train and are tested on whitened images "
            "(ZCA); for soft labels teachers and students see their 8-bit pictures."
        )


def title_of(method: Method, kind: Kind) -> str:
    """The title of a method's column: its own, its name if it varies another, or the kind's."""
    return method.title or (method.name if method.like else kind.title)
