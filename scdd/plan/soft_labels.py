"""The soft labels of an image set: a teacher's, or those of others."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from scdd.artifacts.sizes import pca_bits, top_k
from scdd.errors import ScddError, nearest
from scdd.params.base import pick
from scdd.params.experiment import Method
from scdd.params.protocol import Protocol, Relabel
from scdd.plan.draft import Draft
from scdd.plan.imports import check_labels
from scdd.plan.plan import Node
from scdd.plan.protocols import checked_protocol, protocols_of

MOST_FILES = 10_000  # of labels of an image set
FKD_SHARD = 25  # epochs in one label file: 25 of ImageNet at IPC 50 are 2.4 GiB


def check_priors(draft: Draft, method: Method) -> None:
    """Raises ScddError where a method's `teacher_priors` do not fit its teachers, or none of its
    protocols weights them."""
    priors, teachers = method.teacher_priors, method.teacher or ()
    if priors is None:
        return
    where = f"methods.{method.name}.teacher_priors"
    if len(priors) != len(teachers) or len(teachers) < 2:
        raise ScddError(
            f"{where}: {len(priors)} numbers for {len(teachers)} teachers. Give one for each of "
            "the several that `teacher` names."
        )
    ipcs, names = method.ipc or draft.config.ipc, protocols_of(draft, method)
    protocols = [checked_protocol(draft, name, ipc) for name in names for ipc in ipcs]
    if all(protocol.prior_temperature is None for protocol in protocols):
        raise ScddError(
            f"{where}: none of its protocols weights teachers by them. Set prior_temperature of "
            f"{' or '.join(f'protocol.{name}' for name in names)}, or leave the key out."
        )


def teachers_of(draft: Draft, method: Method) -> tuple[str, ...]:
    """The methods whose probes label this method's images: those it names, its own, or the
    first there is."""
    own = draft.teacher_name(method)
    names = method.teacher or ((own,) if own in draft.probes else ())
    names = names or tuple(draft.probes)[:1]
    if not names:
        raise ScddError(f"methods.{method.name}: needs a teacher, and no method has a probe.")
    for name in names:
        if name not in draft.probes:
            raise ScddError(
                f"methods.{method.name}: needs a teacher, and no method {name!r} with a probe "
                f"is listed. {nearest(name, draft.probes)}"
            )
    return names


def soft_labels(draft: Draft, method: Method, images: Node, name: str, protocol: Protocol) -> Node:
    """The labels of an image set by the protocol `name`: those of the method's own files, or of
    its teachers."""
    if method.labels is not None:
        return _imported(draft, method, method.labels, images, protocol)
    return _by_teachers(draft, method, images, name, protocol)


def used_epochs(protocol: Protocol) -> int:
    """How many epochs of soft labels a student uses."""
    return protocol.label_epochs or protocol.epochs


def storage(draft: Draft, labels: Node, protocol: Protocol) -> dict[str, Any]:
    """A student's soft labels: their form in words, and bytes an image over all epochs."""
    epochs = used_epochs(protocol)
    form = protocol.form + (", drawn views" if protocol.views == "drawn" else "")
    if labels.stage == "import_labels":
        form = "as imported"
    form += f", {epochs} of {protocol.epochs} epochs" if epochs < protocol.epochs else ""
    images = draft.plan.class_count(labels) * draft.plan.parent(labels, "images").params["ipc"]
    return {"form": form, "bytes": math.ceil(draft.plan.store_bytes(labels, epochs) / images)}


def _by_teachers(draft: Draft, method: Method, images: Node, name: str, protocol: Protocol) -> Node:
    relabel = pick(Relabel, protocol)
    count, k = draft.plan.class_count(images), top_k(relabel.form)
    if k is not None and k > count:
        raise ScddError(
            f"protocol.{name}.form: {relabel.form}, but there are {count} classes. Set k to "
            f"{count} or less."
        )
    if (pca_bits(relabel.form) or 0) > 4 * count:
        raise ScddError(
            f"protocol.{name}.form: {relabel.form}, but there are {count} classes. Set N to "
            f"{4 * count} or less, or take int8."
        )
    epochs = used_epochs(protocol)
    if epochs < protocol.epochs:
        size = min(epochs, relabel.epochs_per_shard)  # a larger shard would have unused epochs
        relabel = replace(relabel, epochs_per_shard=size)
    if (files := epochs / relabel.epochs_per_shard) > MOST_FILES:
        raise ScddError(
            f"protocol.{name}.epochs_per_shard: {relabel.epochs_per_shard}, which makes "
            f"{files:.0f} label files of {epochs} epochs. Set it to {epochs // 100} or so."
        )
    tied: dict[str, Any] = {"batch": protocol.batch} if relabel.by_batch else {}
    if k is not None:  # the share of the other classes is that at the students' temperature
        tied["temperature"] = protocol.temperature
    if method.teacher_priors is not None and protocol.prior_temperature is not None:
        tied["teacher_priors"] = method.teacher_priors
        tied["prior_temperature"] = protocol.prior_temperature
        priors = ", ".join(map(str, method.teacher_priors))
        draft.note(
            f"{method.title or method.name}: for protocol {name} its teachers have the weights "
            f"softmax(priors / {protocol.prior_temperature:g}), with the priors {priors}."
        )
    if relabel.bn_groups > 1:
        _require_groups(count * images.params["ipc"], name, protocol)
    parents = {"images": images}
    for number, teacher in enumerate(teachers_of(draft, method), start=1):
        parents["teacher" if number == 1 else f"teacher_{number}"] = draft.probes[teacher]
    return draft.plan.add_section("relabel", images.label, relabel, parents, **tied)


def _require_groups(images: int, name: str, protocol: Protocol) -> None:
    """Raises ScddError where a group of a batch would have one image or none, which has no BN
    statistics to speak of."""
    left = images % protocol.batch
    sizes = {min(protocol.batch, images), left if left > 1 else protocol.batch}
    if (least := min(sizes)) // protocol.bn_groups < 2:
        raise ScddError(
            f"protocol.{name}.bn_groups: {protocol.bn_groups}, but a batch of {least} of the "
            f"{images} images would have groups of one image. Set another batch, or fewer groups."
        )


def _imported(draft: Draft, method: Method, folder: str, images: Node, protocol: Protocol) -> Node:
    """From SRe2L's files in place of a teacher's."""
    path, batch, title = Path(folder), protocol.batch, method.title or method.name
    ipc: int = images.params["ipc"]
    count = draft.class_count * ipc
    users = [checked_protocol(draft, name, ipc) for name in protocols_of(draft, method)]
    most = max(used_epochs(user) for user in users if user.labels == "soft")
    where = f"methods.{method.name}.labels"
    hashes = check_labels(where, path, count, batch=batch, epochs=most)
    draft.note(
        f"{title}: soft labels of others, from {path.name}, which does not tell its teacher "
        "and its class order; the latter is assumed to be the folders'."
    )
    draft.note(f"{title}: views, mixing and their form are the files', not the protocol's.")
    params = {"sha256": hashes, "batch": batch, "form": "float16", "epochs_per_shard": FKD_SHARD}
    node = draft.plan.add("import_labels", images.label, params, {"images": images})
    draft.import_from(node, folder)
    return node
