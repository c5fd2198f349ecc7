"""The stages on tensors: the plan says their parameters, the engines do the work."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from scdd.artifacts.classes import require_same_classes
from scdd.artifacts.network import Checkpoint
from scdd.artifacts.patches import Rankings, rankings_of
from scdd.artifacts.sizes import pca_bits
from scdd.artifacts.slots import blocks, slot_ranges
from scdd.data.source import Split
from scdd.errors import ScddError
from scdd.evaluate.validate import train_student
from scdd.informativeness import look
from scdd.jobs.curve import Row
from scdd.labels.relabel import label_origin, label_set
from scdd.labels.replay import Remembered
from scdd.networks.backbone import in_eval_mode
from scdd.networks.teachers import network_of
from scdd.notebook.data import Data, drafted
from scdd.notebook.values import Backbone, Images, SoftLabels, Student, Teacher
from scdd.params.experiment import Method
from scdd.params.network import Network
from scdd.params.patches import Patches
from scdd.params.probe import Probe
from scdd.params.protocol import Student as Training
from scdd.params.recover import Recover
from scdd.patches.ranking import rankings
from scdd.plan.draft import Draft
from scdd.plan.evaluation import Lesson, add_students, lesson
from scdd.plan.methods.recovery import Recovery
from scdd.plan.plan import Node, Plan
from scdd.plan.presets import merge, preset_names
from scdd.plan.protocols import check_protocols
from scdd.probe import probed
from scdd.recover.blocks import block_units, kept_pixels
from scdd.recover.engine import recover_units
from scdd.recover.starts import as_normalised
from scdd.recover.statistics import of_training_set
from scdd.squeeze import backbone as backbones
from scdd.views.pixels import valid_range

KIND = Recovery("SC-DD")
METHOD = Method(name="scdd")


def squeeze(
    data: Data,
    method: str = "mocov2",
    *,
    backbone: str | Mapping[str, Any] = "resnet18",
    **keys: Any,
) -> Backbone:
    """A backbone that has seen the training images.

    method: mocov2, mocov3, swav, dino, supervised, untrained or imported. backbone: a network's
    name, or {arch, width, stem}. keys: those of the configuration's `squeeze.<method>`. Raises
    ScddError for wrong keys and values, and if the loss is not finite.
    """
    draft = drafted(data, backbone=backbone)
    own = replace(METHOD, backbone=draft.config.backbone, squeeze={**keys, "method": method})
    node = draft.plan.parent(KIND.probe(draft, own), "backbone")
    source: dict[str, Any] | None = None
    history: list[Row] = []
    if method == "imported":
        state, source = backbones.load(Path(draft.plan.imports[node.key]), node.params)
    else:
        state, history = backbones.train(node.params, data.train, data.info, data.device)
    state = {name: tensor.cpu() for name, tensor in state.items()}
    checkpoint = Checkpoint(
        "backbone",
        Network.of(node.params),
        data.classes,
        state,
        node.digest,
        source,
        data.info.resolution,
    )
    return Backbone(data, node, checkpoint, history, own)


def probe(backbone: Backbone, **keys: Any) -> Teacher:
    """The backbone with a linear classifier, trained on the same images.

    keys: those of the configuration's `probe`. Raises ScddError for wrong keys and values, and if
    the loss is not finite.
    """
    data, old = backbone.data, backbone.checkpoint
    node = KIND.probe(drafted(data), replace(backbone.method, probe=keys))
    splits = {"train": data.train, "val": data.val}
    network, metrics = probed(old, splits, data.info, Probe.of(node.params), data.device)
    state = {name: tensor.cpu() for name, tensor in network.state_dict().items()}
    checkpoint = replace(old, kind="classifier", state=state, digest=node.digest)
    return Teacher(data, node, checkpoint, metrics)


def recover(
    teacher: Teacher,
    ipc: int,
    preset: str = "scdd-paper",
    *,
    patches: Mapping[str, Any] | None = None,
    **keys: Any,
) -> Images:
    """Synthetic images, `ipc` for each class, recovered from the teacher.

    preset: whose published values are used: scdd-paper, scdd-code, sre2l, cda, sre2lpp or fadrm.
    patches: keys of the configuration's `patches`, if the start is patches. keys: those of the
    configuration's `recover`; a published `block` of more classes than there are is all of them.
    Raises ScddError for wrong keys and values, and if a loss is not finite.
    """
    data = teacher.data
    draft = replace(drafted(data, ipc=[ipc]), probes={METHOD.name: teacher.node})
    if draft.checked(Recover, ("recover", preset), keys).block > (count := len(data.classes)):
        keys = {"block": count, **keys}
    method = replace(METHOD, preset=preset, recover=keys, patches=dict(patches or {}))
    source = KIND.source(draft, method, ipc)
    node = KIND.image_set(draft, method, source, ipc, "soft")
    params = Recover.of(source.params)
    if params.r_bn == "auto":
        asked = draft.plan.parent(source, "informativeness").params
        *_, r_bn = look(network_of(teacher.checkpoint), asked, data.info, data.device)
        params = replace(params, r_bn=r_bn)
    info = as_normalised(data.info, params)
    network = in_eval_mode(network_of(teacher.checkpoint), data.device)
    ranked = cache(partial(_ranked, data, draft.plan, source, network))
    real = []
    if params.gathers is not None:
        real = [of_training_set(network, data.train, info, params.gathers, data.device)]
    # images of several slots that are recovered together are those of a range
    together = params.statistics == "class" or params.slots > 1
    spans = slot_ranges(ipc) if together else [(0, ipc)]
    rows = []
    for block, classes in enumerate(blocks(len(info.classes), params.block)):
        parts = []
        for slots in spans:
            units = block_units(
                params, info, block, classes, slots, [network], lambda: data.train, ranked, real
            )
            valid = valid_range(info, data.device)
            made = recover_units([network], units, params, valid, real=real)
            parts.append(kept_pixels(made, params, info, classes[1] - classes[0]))
        rows.append(torch.cat(parts, dim=1)[:, :ipc])
    return Images(data, node, torch.cat(rows))


def _ranked(data: Data, plan: Plan, recovery: Node, network: nn.Module) -> tuple[Split, Rankings]:
    """The real images that a recovery starts from, and their order by its teacher."""
    node = plan.parent(recovery, "patches")
    params = Patches.of(node.params) if node.params["method"] == "easiest" else None
    made = rankings(network, data.originals, data.info, params, data.device)
    return data.originals, rankings_of(made, 1 if params is None else params.factor)


def as_images(data: Data, pixels: Tensor) -> Images:
    """Images of one's own, to be labelled and validated: uint8 [classes, ipc, 3, R, R], classes in
    the data's order. Raises ScddError for another shape."""
    info, pixels = data.info, pixels.cpu().contiguous()
    shape = (len(info.classes), max(pixels.shape[1:2], default=1), 3, *[info.resolution] * 2)
    if pixels.dtype != torch.uint8 or pixels.shape != shape:
        raise ScddError(
            f"images of uint8 [classes, ipc, 3, R, R] = [{shape[0]}, ipc, 3, {shape[3]}, "
            f"{shape[4]}] are needed, not {pixels.dtype} {list(pixels.shape)}."
        )
    params = {"method": "own", "ipc": shape[1], "pixels": "uint8"}
    plan, label = data.draft.plan, f"{data.draft.data.label}-own"
    made = Images(data, data.draft.data, pixels)
    identity = {**params, "content": made.content}
    node = plan.add("imageset", label, params, {"source": data.draft.data}, identity)
    return replace(made, node=node)


def relabel(
    teacher: Teacher, images: Images, protocol: str = "scdd-paper", **keys: Any
) -> SoftLabels:
    """The teacher's soft labels of all views that a student sees in its epochs.

    protocol: a published one, or with `like` among the keys a name of one's own. keys: those of the
    configuration's `protocol.<name>`. Raises ScddError for wrong keys and values, for a protocol
    with hard labels, and for images of other classes or another size than the teacher's.
    """
    data = teacher.data
    _require_fit(images, data, "the teacher")
    draft = _with_protocol(data, protocol, keys)
    draft.probes = {METHOD.name: teacher.node}
    taught = lesson(draft, METHOD, "soft", images.node, protocol)
    if taught.protocol.labels == "hard":
        raise ScddError(f"protocol {protocol} has hard labels: validate the images without any.")
    node, epochs = taught.parents["labels"], taught.more["label_epochs"]
    spans = blocks(epochs, size := node.params["epochs_per_shard"])
    if pca_bits(node.params["form"]) is not None:  # all epochs of a whole file, as in the workflow
        spans = [(start, start + size) for start, _ in spans]
    shards = {}
    for span in spans:
        networks = [network_of(teacher.checkpoint)]
        shards[span] = label_set(networks, images.split, node.params, span, data.info, data.device)
    size, digests = data.info.resolution, (node.digest, teacher.node.digest)
    origin = label_origin(node.params, *digests, images.content, data.classes, size)
    store = Remembered(origin, shards, epochs)
    return SoftLabels(data, node, store, protocol, keys, teacher.node)


def validate(images: Images, labels: SoftLabels | str, *, seed: int = 0, **keys: Any) -> Student:
    """A student of the images, tested on the data's validation images.

    labels: those of `relabel`, whose protocol the student follows; or, for hard labels, the name of
    a protocol. keys: those of the configuration's `protocol.<name>`, on top of what the labels were
    made with; `student` is the network: a name, or {arch, width, stem}. Raises ScddError for wrong
    keys and values, and for labels of other images, views or fewer epochs.
    """
    data = images.data
    soft = labels if isinstance(labels, SoftLabels) else None
    name, given = (soft.protocol, soft.keys) if soft else (str(labels), {})
    draft = _with_protocol(data, name, merge(given, keys), seed)
    draft.probes = {METHOD.name: soft.teacher} if soft else {}
    taught = lesson(draft, METHOD, "soft" if soft else "hard", images.node, name)
    if soft:
        _require_labels(soft, images, taught)
    ((_, _, node),) = add_students(draft, images.node, name, taught)
    _, history = train_student(
        node.params,
        Training.of(node.params),
        images.split,
        soft and soft.store,
        data.tested,
        data.info,
        data.device,
    )
    last = history[-1]
    assert last.top1 is not None
    return Student(data, node, last.top1, last.top5, history)


def _with_protocol(data: Data, name: str, keys: Mapping[str, Any], seed: int = 0) -> Draft:
    """A draft with one protocol. Raises ScddError for wrong keys, and for a name that is not
    published where the keys do not say which one it is like."""
    known = name in preset_names("protocol") or "like" in keys
    draft = drafted(data, protocols=[name], protocol={name: keys} if known else {}, seeds=[seed])
    check_protocols(draft)
    return draft


def _require_labels(labels: SoftLabels, images: Images, taught: Lesson) -> None:
    """Raises ScddError for labels of other images, for too few epochs of them, and for keys that
    would change them."""
    store, where = labels.store, f"protocol.{labels.protocol}"
    if store.origin.images != images.content:
        raise ScddError(
            f"labels: they are of images {store.origin.images[:12]}, but these are "
            f"{images.content[:12]}. Make labels of these by relabel."
        )
    if (epochs := taught.more["label_epochs"]) > store.epochs:
        raise ScddError(
            f"{where}.epochs: {epochs}, but there are labels of {store.epochs}. Give the epochs to "
            "relabel."
        )
    if taught.parents["labels"].digest != store.origin.digest:
        raise ScddError(
            f"{where}: the labels were made with other keys than these. Give them to relabel."
        )


def _require_fit(images: Images, data: Data, whose: str) -> None:
    require_same_classes(images.data.classes, "images", data.classes, whose)
    if images.data.info.resolution != data.info.resolution:
        raise ScddError(
            f"images of {images.data.info.resolution} pixels a side, but {whose} was trained on "
            f"{data.info.resolution}."
        )
