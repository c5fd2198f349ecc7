"""CCFS: the images of another method, and real images that students of the images before them get
wrong (arXiv 2503.18872)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from scdd.artifacts.config import teacher_roles
from scdd.errors import ScddError, nearest
from scdd.params.experiment import Method
from scdd.params.protocol import Labels
from scdd.params.select import Ccfs
from scdd.plan.draft import Draft
from scdd.plan.evaluation import lesson, students_of
from scdd.plan.methods.base import EVALUATED, Distilled, title_of
from scdd.plan.methods.ordered import forgetting
from scdd.plan.methods.sampled import require_real_images
from scdd.plan.plan import Node
from scdd.plan.protocols import checked_protocol, protocols_of, require_listed
from scdd.plan.students import require_batch

NAME = "ccfs"
EXACT = 1e-9  # 0.29 of 100 is 29 images, and not 28


@dataclass(frozen=True)
class Curricula(Distilled):
    """Each curriculum adds a lot of real images. It trains a student, as the protocol has it, on
    the images so far. Of the training images that this student gets wrong and the teacher right,
    it takes of each class those that a training run forgets least."""

    KEYS: ClassVar = EVALUATED | {"base", NAME}
    JOINT: ClassVar = True

    def source(self, draft: Draft, method: Method, ipc: int) -> Node:
        """Of the real images."""
        params = self._params(draft, method, ipc)
        first = distilled(ipc, params.distilled)
        if first == ipc:
            raise ScddError(
                f"ipc: {ipc}, but method {method.name!r} needs a slot for a distilled image and "
                f"one for a real one. Set methods.{method.name}.ipc to 2 or more."
            )
        require_real_images(draft, method, ipc - first)
        title = title_of(method, self)
        difficulty = forgetting(draft, draft.config.backbone, title)
        name, sizes = _protocol(draft, method, params), lots(ipc - first, params.curricula)
        draft.note(
            f"{title}, IPC {ipc}: {first} images of {_base_name(draft, method)}, then real ones in "
            f"lots of {', '.join(map(str, sizes))}, each chosen by a student of the images before "
            f"it (protocol {name})."
        )
        base = images = self._base(draft, method, first)
        parents, taken = {"difficulty": difficulty}, 0
        for size in sizes:
            order = _curriculum(draft, method, images, name, params.seed, taken, parents)
            of_both = {"data": draft.data, "order": order}
            real = draft.plan.add("select", f"{draft.data.label}-{NAME}", {"method": NAME}, of_both)
            taken += size
            images = _both(draft, base, real, first, taken)
            parents = {"difficulty": difficulty, "before": order}
        return real

    def image_set(
        self, draft: Draft, method: Method, source: Node, ipc: int, labels: Labels
    ) -> Node:
        first = distilled(ipc, self._params(draft, method, ipc).distilled)
        return _both(draft, self._base(draft, method, first), source, first, ipc - first)

    def _params(self, draft: Draft, method: Method, ipc: int) -> Ccfs:
        return draft.section(Ccfs, (NAME, NAME), draft.config.ccfs, method.ccfs, ipc=ipc)

    def _base(self, draft: Draft, method: Method, count: int) -> Node:
        """The image set of the distilled images alone."""
        name = _base_name(draft, method)
        images = draft.images[name](count)
        source = draft.plan.parent(images, "source")
        learned = source.stage == "learn" or source.params.get("learned_labels")
        if learned or images.params["pixels"] != "uint8":
            raise ScddError(
                f"methods.{method.name}.base: the images of {name!r} are learned, with a learning "
                "rate or labels of their own, which real images do not have. Name another method."
            )
        return images


def distilled(ipc: int, share: float) -> int:
    """How many of `ipc` slots distilled images fill."""
    return max(int(ipc * share + EXACT), 1)


def lots(count: int, curricula: int) -> list[int]:
    """So many images in lots of equal size, the first ones larger by one where that does not come
    out even; fewer lots where there are fewer images."""
    each, more = divmod(count, curricula)
    return [size for size in [each + 1] * more + [each] * (curricula - more) if size]


def _base_name(draft: Draft, method: Method) -> str:
    """The method whose images are the first ones."""
    where = f"methods.{method.name}.base"
    name = method.base or next((name for name in draft.images if name in draft.probes), None)
    if name is None:
        raise ScddError(f"{where}: no method with a teacher of its own is listed. Name a method.")
    if name not in draft.images:
        raise ScddError(
            f"{where}: {name!r} is not a method with images that others can be added to. "
            f"{nearest(name, draft.images)}"
        )
    return name


def _protocol(draft: Draft, method: Method, params: Ccfs) -> str:
    """By which protocol the students of the curricula are trained."""
    name, where = params.protocol, f"{NAME}.protocol"
    if name is None:
        name = protocols_of(draft, method)[0]
    else:
        require_listed(draft, name, where)
    if checked_protocol(draft, name).labels == "hard":
        raise ScddError(
            f"{where}: {name} has hard labels, and the images of a class are chosen by students "
            "with soft ones. Name a protocol with soft labels."
        )
    return name


def _curriculum(
    draft: Draft,
    method: Method,
    images: Node,
    name: str,
    seed: int,
    taken: int,
    parents: Mapping[str, Node],
) -> Node:
    """The order of the training images by what a student of the image set lacks; the first `taken`
    of each class are those that it has. parents: what else the order is made of."""
    taught = lesson(draft, method, "soft", images, name)
    labels = taught.parents["labels"]
    teachers = {role: draft.plan.parent(labels, role) for role in teacher_roles(labels.parents)}
    student, network, _ = next(iter(students_of(draft, name, taught.protocol.student)))
    require_batch(network, taught.protocol.batch, draft.resolution, f"protocol.{name}.batch")
    return draft.plan.add_section(
        "curriculum",
        f"{images.label}-{student.label}",
        taught.sections,
        {"labels": labels, **teachers, **parents},
        taught.without,
        **taught.more,
        student=network,
        seed=seed,
        taken=taken,
    )


def _both(draft: Draft, base: Node, real: Node, first: int, count: int) -> Node:
    """The image set of the base's `first` images and the first `count` real ones."""
    ipc = first + count
    params = {"method": NAME, "ipc": ipc, "pixels": "uint8", "distilled": first}
    parents = {"source": draft.plan.parent(base, "source"), "last": real}
    return draft.plan.add("imageset", f"{draft.data.label}-{NAME}-ipc{ipc}", params, parents)
