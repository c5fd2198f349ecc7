"""Teachers: networks that others recover images from, or whose labels they have."""

from dataclasses import dataclass
from typing import ClassVar

from scdd.params.experiment import Method
from scdd.plan.backbones import probe_of
from scdd.plan.draft import Draft
from scdd.plan.evaluation import Report
from scdd.plan.methods.base import Kind
from scdd.plan.plan import Node


@dataclass(frozen=True)
class Teacher(Kind):
    """A squeezed backbone and its probe, without images: for a committee, or to label."""

    squeeze: str = "supervised"

    KEYS: ClassVar = frozenset({"backbone", "squeeze", "probe"})

    def probe(self, draft: Draft, method: Method) -> Node:
        return probe_of(draft, method, self.squeeze)

    def add(self, draft: Draft, report: Report, method: Method) -> None:
        """The table of probes has all that there is to show."""
