"""The whole training set with its own labels: the upper bound of every method."""

from dataclasses import dataclass

from scdd.params.experiment import Method
from scdd.plan.draft import Draft
from scdd.plan.evaluation import Column, Report, evaluate_whole
from scdd.plan.methods.base import Kind, title_of


@dataclass(frozen=True)
class Whole(Kind):
    """It has no images of its own, and so no IPC and no protocol."""

    def is_control(self, method: Method) -> bool:
        return True

    def add(self, draft: Draft, report: Report, method: Method) -> None:
        evaluate_whole(draft, report, Column(method, title_of(method, self), "hard"))
