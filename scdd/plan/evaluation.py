"""Image sets and the students that are trained on them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from scdd.artifacts.run import RESULTS
from scdd.errors import ScddError
from scdd.params.base import Section, pick
from scdd.params.experiment import Method
from scdd.params.network import Network
from scdd.params.protocol import Labels, Loss, Protocol, Train, Whole
from scdd.params.views import Transform
from scdd.plan.draft import Draft
from scdd.plan.plan import Node
from scdd.plan.protocols import WHOLE, checked_protocol, protocol
from scdd.plan.soft_labels import soft_labels, storage, teachers_of, used_epochs
from scdd.plan.students import for_images, require_batch

# of a cell: what all its seeds' students share
OF_COSTS = ("method", "title", "teacher", "ipc", "protocol", "student")

Cell = dict[str, Any]  # a student, as tables need to know it


@dataclass
class Report:
    """What an experiment's tables and figures are made of, as the methods add it.

    cells: a row for each student; costs: by the keys OF_COSTS of a cell and by stage, the cost
    files of all jobs that it came of; recoveries, learned: losses and frames of each; snapshots:
    cells of learned images on the way, with the iteration `at` which they were taken; verified:
    what the verifier sees on each image set; ranking: cells that DD-Ranking's scores compare, each
    with its `arm`, the field of scdd.report.ddranking.Arms, and the score's setting: `of`;
    continual: cells of continual learning, each with the number of `steps`, its `step`, counted
    from 1, the class `order`, and how many classes are `seen`.
    """

    cells: list[Cell] = field(default_factory=list)
    costs: dict[tuple[Any, ...], dict[str, list[str]]] = field(default_factory=dict)
    recoveries: list[dict[str, Any]] = field(default_factory=list)
    learned: list[dict[str, Any]] = field(default_factory=list)
    snapshots: list[Cell] = field(default_factory=list)
    verified: list[dict[str, Any]] = field(default_factory=list)
    ranking: list[Cell] = field(default_factory=list)
    continual: list[Cell] = field(default_factory=list)


@dataclass(frozen=True)
class Column:
    """A method of the experiment: how the configuration has it, its title, its students' labels."""

    method: Method
    title: str
    labels: Labels


def labels_of(column: Column, protocol: Protocol) -> Labels:
    """What a method's students are trained with by a protocol."""
    return "soft" if column.labels == protocol.labels == "soft" else "hard"


@dataclass(frozen=True)
class Lesson:
    """What all students of an image set by one protocol share.

    parents: what they are made from, by role; sections, more: their parameters, but those in
    `without`, of which they make no use; stored: their soft labels in words and bytes, None for
    hard ones.
    """

    protocol: Protocol
    parents: dict[str, Node]
    sections: tuple[Section, ...]
    more: dict[str, Any]
    without: frozenset[str]
    stored: dict[str, Any] | None


def lesson(
    draft: Draft, method: Method, labels: Labels, images: Node, name: str, *, plain: bool = False
) -> Lesson:
    """What students of one image set learn by the protocol `name`, with these labels. plain:
    without augmentation."""
    values = protocol(draft, name, images.params["ipc"])
    if plain:
        values = without_augmentation(values)
    if values.patches > draft.resolution:
        raise ScddError(
            f"protocol.{name}.patches: {values.patches}, but the images have "
            f"{draft.resolution} pixels a side."
        )
    train = pick(Train, values)
    if labels == "soft":
        node = soft_labels(draft, method, images, name, values)
        more = {"label_epochs": used_epochs(values), "labels": "soft"}
        if values.label_reuse != "epochs":
            more["label_reuse"] = values.label_reuse
        unused = "temperature" if values.loss == "mse-ce" else "ce_weight"
        stored = storage(draft, node, values)
        sections = (train, pick(Loss, values))
        return Lesson(values, {"labels": node}, sections, more, frozenset({unused}), stored)
    if values.randaugment is not None and "whitening" in images.parents:
        raise ScddError(
            f"protocol.{name}.randaugment: its operations are for pixels, but students of "
            f"method {method.name!r} see whitened images. Set it to null, or leave the method "
            "out of the protocol."
        )
    views, more = _hard_views(values)
    return Lesson(values, {"images": images}, (train, views), more, frozenset(), None)


def add_students(
    draft: Draft, images: Node, name: str, taught: Lesson, seeds: Sequence[int] | None = None
) -> Iterable[tuple[Network, int, Node]]:
    """Add all students of a lesson by the protocol `name` to the plan: each as the configuration
    has it, its seed, and its node. seeds: None: the configuration's."""
    for student, network, seed in students_of(draft, name, taught.protocol.student, seeds):
        where = f"protocol.{name}.batch"
        require_batch(network, taught.protocol.batch, draft.resolution, where)
        node = draft.plan.add_section(
            "validate",
            f"{images.label}-{student.label}-seed{seed}",
            taught.sections,
            taught.parents,
            taught.without,
            **taught.more,
            **draft.tested_on,
            student=network,
            seed=seed,
        )
        yield student, seed, node


def evaluate(draft: Draft, report: Report, column: Column, images: Node, name: str) -> None:
    """Students of one image set by the protocol `name`, with soft labels or the classes alone."""
    labels = labels_of(column, checked_protocol(draft, name, images.params["ipc"]))
    taught = lesson(draft, column.method, labels, images, name)
    for node, cell in cells(draft, column, images, name, taught):
        if "at" in cell:  # on the way: it is in no other table
            report.snapshots.append(cell)
        else:
            _add_cell(draft, report, node, cell)


def evaluate_whole(draft: Draft, report: Report, column: Column) -> None:
    """Students of the whole training set with its own labels: the upper bound."""
    for node, cell in cells_of_whole(draft, column):
        _add_cell(draft, report, node, cell)


def cells(
    draft: Draft,
    column: Column,
    images: Node,
    name: str,
    taught: Lesson,
    seeds: Sequence[int] | None = None,
) -> Iterable[tuple[Node, Cell]]:
    """Add all students of a lesson by the protocol `name` to the plan: each node, and its cell.
    seeds: None: the configuration's."""
    method, teacher = column.method, None
    if "labels" in taught.parents:
        teacher = "imported" if method.labels else " + ".join(teachers_of(draft, method))
    for student, seed, node in add_students(draft, images, name, taught, seeds):
        cell = {
            "images": str(images.folder.relative_to(RESULTS) / "set.json"),
            "ipc": images.params["ipc"],
            "student": student.label,
            "protocol": name,
            "teacher": teacher,
            "stored": taught.stored,
            "seed": seed,
        }
        if "at" in images.params:
            cell["at"] = images.params["at"]
        yield node, _cell(column, node, cell)


def cells_of_whole(
    draft: Draft, column: Column, protocol: str = "", prescribed: Network | None = None
) -> Iterable[tuple[Node, Cell]]:
    """Add the students of the whole training set to the plan: each node, and its cell. Their
    networks are those of the experiment, or the one that a protocol prescribes."""
    own = draft.config.protocol.get(WHOLE, {})
    section = draft.section(Whole, ("protocol", WHOLE), own)
    for student, network, seed in students_of(draft, protocol, prescribed):
        require_batch(network, section.batch, draft.resolution, f"protocol.{WHOLE}.batch")
        node = draft.plan.add_section(
            "validate",
            f"{draft.data.label}-whole-{student.label}-seed{seed}",
            section,
            {"data": draft.data},
            (),
            **draft.tested_on,
            mix_by="set",
            dsa=False,
            student=network,
            labels="hard",
            seed=seed,
        )
        cell = {
            "images": None,
            "ipc": None,
            "student": student.label,
            "protocol": WHOLE,
            "teacher": None,
            "stored": None,
            "seed": seed,
        }
        yield node, _cell(column, node, cell)


def students_of(
    draft: Draft,
    protocol: str = "",
    prescribed: Network | None = None,
    seeds: Sequence[int] | None = None,
) -> Iterable[tuple[Network, Network, int]]:
    """Those of the experiment, or the one that a protocol prescribes: each as the configuration
    has it and as it suits the images, with every seed. seeds: None: the configuration's."""
    students = (prescribed,) if prescribed else draft.config.students
    where = f"protocol.{protocol}.student" if prescribed else "students"
    for student in students:
        network = for_images(student, draft.resolution, where)
        for seed in draft.config.seeds if seeds is None else seeds:
            yield student, network, seed


def _cell(column: Column, node: Node, values: Cell) -> Cell:
    folder = node.folder.relative_to(RESULTS)
    files = {"metrics": str(folder / "metrics.json"), "history": str(folder / "history.csv")}
    return {"method": column.method.name, "title": column.title, **values, **files}


def _add_cell(draft: Draft, report: Report, node: Node, cell: Cell) -> None:
    report.cells.append(cell)
    # the stages before are those of all seeds' students
    spent = report.costs.setdefault(tuple(cell[key] for key in OF_COSTS), {})
    for stage, paths in draft.plan.costs(node).items():
        spent[stage] = list(dict.fromkeys([*spent.get(stage, ()), *paths]))


def without_augmentation(values: Protocol) -> Protocol:
    """The protocol with the images as they are in all epochs, of which one is labelled, unless
    labels depend on the epoch's batches."""
    view = replace(values.view, crop="none", flip=False)
    still = replace(
        values, view=view, mix="none", mix_by="set", patches=1, randaugment=None, dsa=False
    )
    return still if still.by_batch else replace(still, label_epochs=1, label_reuse="epochs")


def _hard_views(protocol: Protocol) -> tuple[Transform, dict[str, Any]]:
    """The views of a student with hard labels. Where the protocol has soft ones, its images are not
    mixed: there, hard labels are the control that has nothing of a teacher."""
    transform, mix_by = pick(Transform, protocol), protocol.mix_by
    if protocol.labels == "soft":
        transform, mix_by = replace(transform, mix="none"), "set"
    return transform, {"mix_by": mix_by, "dsa": protocol.dsa, "labels": "hard"}
