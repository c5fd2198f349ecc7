"""Continual learning: the classes come step by step, and after each step students are trained anew
on what is in memory, the distilled images of the classes seen so far (docs/continual.md).

A memory is an image set of some classes of a method's images, and the last one is all of them.
So no image is made for it, and its students are planned like all students.
"""

from collections.abc import Iterator, Sequence
from itertools import product

from scdd.errors import ScddError
from scdd.params.experiment import Continual, Method
from scdd.params.protocol import Labels
from scdd.plan.draft import Draft
from scdd.plan.evaluation import Cell, Column, Report, cells, labels_of, lesson
from scdd.plan.methods.base import Distilled, Kind, title_of
from scdd.plan.plan import Node
from scdd.plan.protocols import checked_protocol, protocols_of


def learn_in_steps(draft: Draft, report: Report, methods: Sequence[tuple[Method, Kind]]) -> None:
    """Add what the experiment's `continual` needs to the plan, and the cells to `report`. Raises
    ScddError where steps or images are too few, and where no method can learn in steps."""
    continual = draft.config.continual
    if continual is None:
        return
    if (most := max(continual.steps)) > draft.class_count:
        raise ScddError(
            f"continual.steps: {most}, but there are {draft.class_count} classes. A step adds at "
            "least one: lower it."
        )
    for method, kind in methods:
        if isinstance(kind, Distilled):
            report.continual += _of_method(draft, method, kind, continual)
    if not report.continual:
        raise ScddError("continual: there is no method whose images students can learn in steps.")


def moments(continual: Continual, classes: int) -> Iterator[dict[str, int]]:
    """Every step, counted from 1, for each number of steps and each class order, and how many of
    the classes are seen after it: as equal shares as there can be."""
    for steps, order in product(continual.steps, range(continual.orders)):
        for step in range(1, steps + 1):
            # so that step 1 of 5 ends where step 2 of 10 does
            seen = classes * step // steps
            yield {"steps": steps, "step": step, "order": order, "seen": seen}


def memory(draft: Draft, images: Node, order: int, seen: int) -> Node:
    """The image set of the first `seen` classes of a class order; the whole set where these are
    all."""
    if seen == draft.class_count:
        return images
    label = f"{images.label}-order{order}-{seen}-classes"
    parents = {role: draft.plan.parent(images, role) for role in images.parents}
    params = {**images.params, "order": order, "seen": seen}
    return draft.plan.add("imageset", label, params, parents)


def _of_method(
    draft: Draft, method: Method, kind: Distilled, continual: Continual
) -> Iterator[Cell]:
    column = Column(method, title_of(method, kind), kind.labels)
    for ipc, source in kind.sources(draft, method).items():
        for name in protocols_of(draft, method):
            labels = labels_of(column, checked_protocol(draft, name, ipc))
            if labels == "soft" and method.labels is not None:
                draft.note(
                    f"{column.title}: not in continual learning by protocol {name}, since its soft "
                    "labels are of others, who mixed images of all classes."
                )
                continue
            images = kind.image_set(draft, method, source, ipc, labels)
            for moment in moments(continual, draft.class_count):
                known = memory(draft, images, moment["order"], moment["seen"])
                for cell in _students(draft, column, labels, known, name, moment["order"]):
                    yield {**cell, **moment}


def _students(
    draft: Draft, column: Column, labels: Labels, known: Node, name: str, order: int
) -> Iterator[Cell]:
    """Those of a memory by the protocol `name`."""
    classes, ipc = draft.plan.class_count(known), known.params["ipc"]
    if classes * ipc == 1:
        raise ScddError(
            "continual.steps: with IPC 1 one image would be in memory after the first step, on "
            "which no student can train. Set a larger ipc, or fewer steps."
        )
    try:
        taught = lesson(draft, column.method, labels, known, name)
    except ScddError as error:
        raise ScddError(f"continual, {classes} classes in memory: {error}") from None
    for _, cell in cells(draft, column, known, name, taught, [order]):
        yield cell
