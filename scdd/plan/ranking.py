"""Students for DD-Ranking's scores: of a method's images, of as many random real ones and of the
whole training set, as scdd.report.ddranking compares them.

They are planned like all students: one that a table has too is trained once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from scdd.errors import ScddError
from scdd.params.experiment import Method
from scdd.params.protocol import Labels
from scdd.plan.draft import Draft
from scdd.plan.evaluation import Cell, Column, Report, cells, cells_of_whole, labels_of, lesson
from scdd.plan.methods import METHODS
from scdd.plan.methods.base import Distilled, Kind, title_of
from scdd.plan.plan import Node
from scdd.plan.protocols import checked_protocol, protocols_of, require_listed
from scdd.plan.soft_labels import teachers_of

# arms whose students are not quite of the protocol, and what their protocol is called
VARIED = {
    "images_hard": "hard labels",
    "images_plain": "without augmentation",
    "random_plain": "without augmentation",
}


def rank(draft: Draft, report: Report, methods: Sequence[tuple[Method, Kind]]) -> None:
    """Add what the experiment's `ranking` needs to the plan, and the cells to `report`. Controls
    are not ranked. Raises ScddError for a protocol by which no method can be ranked."""
    for name in draft.config.ranking or ():
        require_listed(draft, name, "ranking")
        ranked = [
            (method, kind)
            for method, kind in methods
            if isinstance(kind, Distilled)
            and not kind.is_control(method)
            and name in protocols_of(draft, method)
            and _has_a_rival(draft, method, name)
        ]
        if not ranked:
            raise ScddError(f"ranking: no method with the protocol {name} can be ranked.")
        for method, kind in ranked:
            report.ranking += _of_method(draft, method, kind, name)


def _has_a_rival(draft: Draft, method: Method, name: str) -> bool:
    """Whether random images can get labels as the method's own have; else a note says so."""
    if method.labels is None or checked_protocol(draft, name).labels == "hard":
        return True
    title = method.title or method.name
    draft.note(f"{title}: not ranked, since the teacher of its labels is not there.")
    return False


@dataclass(frozen=True)
class Side:
    """What is compared: a method, and the source of its images."""

    method: Method
    kind: Distilled
    source: Node

    def students(
        self, draft: Draft, ipc: int, name: str, labels: Labels, *, plain: bool = False
    ) -> list[Cell]:
        """Those of so many of its images by the protocol `name`. plain: without augmentation."""
        images = self.kind.image_set(draft, self.method, self.source, ipc, labels)
        taught = lesson(draft, self.method, labels, images, name, plain=plain)
        column = Column(self.method, title_of(self.method, self.kind), labels)
        return [cell for _, cell in cells(draft, column, images, name, taught)]


def _of_method(draft: Draft, method: Method, kind: Distilled, name: str) -> list[Cell]:
    """The cells of all scores of a method by the protocol `name`."""
    title, protocol = title_of(method, kind), checked_protocol(draft, name)
    labels = labels_of(Column(method, title, kind.labels), protocol)
    random = Method("random")
    if labels == "soft":
        teachers, priors = teachers_of(draft, method), method.teacher_priors
        random = replace(random, teacher=teachers, teacher_priors=priors)
    sampled = METHODS[random.name]
    assert isinstance(sampled, Distilled)
    upper = Column(Method("whole"), METHODS["whole"].title, "hard")
    whole = [cell for _, cell in cells_of_whole(draft, upper, name, protocol.student)]
    marked = []
    for ipc, source in kind.sources(draft, method).items():
        own = Side(method, kind, source)
        other = Side(random, sampled, sampled.source(draft, random, ipc))
        arms = {
            "images": own.students(draft, ipc, name, labels),
            "images_hard": own.students(draft, ipc, name, "hard"),
            "images_plain": own.students(draft, ipc, name, labels, plain=True),
            "random": other.students(draft, ipc, name, labels),
            "random_plain": other.students(draft, ipc, name, labels, plain=True),
            "whole_hard": whole,
        }
        score = {"method": method.name, "title": title, "protocol": name, "ipc": ipc}
        for arm, of_arm in arms.items():
            said = {"protocol": f"{name}, {VARIED[arm]}"} if arm in VARIED else {}
            marked += [{**cell, **said, "arm": arm, "of": score} for cell in of_arm]
    return marked
