"""Backbones: squeezed networks with their probes, and the looks at how informative they are."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from scdd.artifacts.classes import require_same_classes
from scdd.artifacts.run import RESULTS
from scdd.errors import ScddError, nearest
from scdd.params.base import Section, parameters
from scdd.params.experiment import Backbone, Method
from scdd.params.network import Network
from scdd.params.probe import Probe
from scdd.params.recover import Recover
from scdd.params.squeeze import SQUEEZES, Imported, Source, Training
from scdd.plan.checkpoints import WHERE, read_source
from scdd.plan.draft import Draft
from scdd.plan.plan import Node
from scdd.plan.students import STUDENTS, for_images

# what squeezed backbones are called where people read; others by their names in the configuration
TITLES = {
    "mocov2": "MoCo v2",
    "mocov3": "MoCo v3",
    "swav": "SwAV",
    "dino": "DINO",
    "supervised": "Supervised",
    "untrained": "Untrained",
}
# what a look at a backbone does not take from the recovery that it is made for: it has one teacher,
# starts from noise, sees no real image and stores none, and is about BatchNorm statistics alone
NOT_OF_LOOKS = {"iterations", "r_bn", "start", "statistics", "storage"}
NOT_OF_LOOKS |= {"teachers", "pairs", "priors", "prior_temperature"}
NOT_OF_LOOKS |= {"convolutions", "patch", "drop", "momentum", "class_share", "class_patches"}
NOT_OF_LOOKS |= {"flatness", "densification", "slots"}
NOT_OF_LOOKS |= {"sizes", "budgets", "residual", "rounds"}


def as_backbone(draft: Draft, network: Network) -> Network:
    """The network for the dataset's images. Raises ScddError where it is unknown, cannot be a
    backbone, or does not take such images."""
    suited = for_images(network, draft.resolution, "backbone")
    if suited.arch not in STUDENTS or not STUDENTS[suited.arch].backbone:
        raise ScddError(
            f"backbone: {suited.arch} can be a student only. Backbones are the ResNets, ConvNets, "
            "Wide ResNets and those of torchvision's networks that end in a linear layer."
        )
    return suited


def require_batch_norm(draft: Draft, where: str, teachers: Iterable[Node]) -> None:
    """Raises ScddError, naming the key `where` and the network, where one of the teachers has no
    BatchNorm, whose statistics a recovery matches."""
    for teacher in teachers:
        arch = draft.plan.parent(teacher, "backbone").params["arch"]
        if not STUDENTS[arch].batch_norm:
            raise ScddError(
                f"{where}: images are recovered from statistics of BatchNorm, and {arch} has "
                f"none. It can label: give it to a method that is `like: teacher`, and name that "
                "one in `teacher` of others, not in `committee`."
            )


def probe_of(draft: Draft, method: Method, squeeze: str) -> Node:
    """The probe of a method that squeezes a backbone, by `squeeze` if it names no other way."""
    chosen = str(method.squeeze.get("method", squeeze))
    if chosen not in SQUEEZES:
        hint = nearest(chosen, SQUEEZES)
        raise ScddError(f"methods.{method.name}.squeeze.method: unknown {chosen!r}. {hint}")
    network = method.backbone or draft.config.backbone
    return probed(draft, chosen, network, method.squeeze, method.probe)


def probed(
    draft: Draft,
    squeeze: str,
    network: Network,
    own_squeeze: Mapping[str, Any],
    own_probe: Mapping[str, Any],
) -> Node:
    """The probe of a backbone: squeezed by the method `squeeze`, with the overrides of its own."""
    suited, shared = as_backbone(draft, network), draft.config.squeeze.get(squeeze, {})
    section = draft.section(SQUEEZES[squeeze], ("squeeze", squeeze), shared, own_squeeze)
    _require_enough_images(draft, squeeze, section)
    _require_small_views_fit(draft, squeeze, section, suited)
    label = f"{draft.data.label}-{squeeze}-{network.label}"
    probe = draft.section(Probe, ("probe",), draft.config.probe, own_probe)
    if isinstance(section, Imported):
        backbone = _imported(draft, section.source, label, suited, probe)
    elif probe.features == "imported":
        raise ScddError(
            f"probe.features: imported, but the squeeze {squeeze} brings no classifier. "
            "Set it to clean or augmented."
        )
    else:
        parents = {"data": draft.data}
        backbone = draft.plan.add_section("squeeze", label, (section, suited), parents)
    return draft.plan.add_section("probe", label, probe, {"backbone": backbone})


def _require_enough_images(draft: Draft, name: str, squeeze: Section) -> None:
    """Refuse small crops that are larger than an image, and batches than the training set."""
    small, batch = getattr(squeeze, "small", None), getattr(squeeze, "batch", 0)
    if small is not None and (small.size or 0) > draft.resolution:
        raise ScddError(
            f"squeeze.{name}.small.size: a crop of {small.size} pixels is larger than the images, "
            f"which have {draft.resolution} a side."
        )
    most = draft.facts.train
    if most is not None and batch > most:
        raise ScddError(
            f"squeeze.{name}.batch: {batch}, but there are {most} training images at most."
        )


def _require_small_views_fit(draft: Draft, name: str, squeeze: Section, network: Network) -> None:
    """Refuse small crops that the network does not take."""
    small = squeeze.multi_crop if isinstance(squeeze, Training) else None
    if small is None or small.count == 0:
        return
    family = STUDENTS[network.arch]
    size, least = small.side(draft.resolution), family.smallest(network.stem)
    if family.any_size and size >= least:
        return
    takes = f"{least} pixels on" if family.any_size else f"{draft.resolution} pixels alone"
    raise ScddError(
        f"squeeze.{name}.small: crops of {size} pixels, but {network.arch} takes images of "
        f"{takes}. Set small.count to 0, or choose another squeeze."
    )


def _imported(draft: Draft, source: Source, label: str, network: Network, probe: Probe) -> Node:
    """A backbone from a checkpoint that others trained."""
    source, content = read_source(source, draft.data.params)
    licence = f"licence {source.licence}" if source.licence else "licence not stated"
    origin = ", ".join(filter(None, [Path(source.file).name, source.url, licence]))
    draft.note(f"Imported backbone: {origin}.")
    if probe.features == "imported":
        _check_class_order(draft, source)
    sections, parents = (Imported(source=source), network), {"data": draft.data}
    node = draft.plan.add_section("squeeze", label, sections, parents, sha256=content)
    draft.import_from(node, source.file)
    return node


def _check_class_order(draft: Draft, source: Source) -> None:
    """Whether a checkpoint's classifier is one for the dataset's classes, as far as it is known
    before the dataset is read; the probe's job checks it all."""
    names, known, count = source.classes, draft.class_names, draft.class_count
    if names is None:
        file = Path(source.file).name
        draft.note(f"{file} does not tell its classifier's class order; assumed the dataset's.")
    elif known is not None:
        require_same_classes(names, f"{WHERE}.classes", known, draft.config.dataset.name)
    elif len(names) != count:
        raise ScddError(f"{WHERE}.classes: {len(names)} names, but there are {count} classes.")


def recover_params(
    draft: Draft, preset: str, own: Mapping[str, Any], ipc: int | None = None
) -> Recover:
    """A recovery's parameters: the published ones of `preset`, the experiment's, a method's own."""
    recover = draft.section(Recover, ("recover", preset), draft.config.recover, own, ipc=ipc)
    if recover.block > draft.class_count:
        raise ScddError(
            f"recover.block: {recover.block}, but there are {draft.class_count} classes. "
            f"Set it to {draft.class_count} or less."
        )
    if recover.sizes is not None and recover.sizes[-1] != draft.resolution:
        raise ScddError(
            f"recover.sizes: the last one is {recover.sizes[-1]}, and images have "
            f"{draft.resolution} pixels a side. Make it {draft.resolution}."
        )
    return recover


def gathered(draft: Draft, teachers: Mapping[str, Node], recover: Recover) -> dict[str, Node]:
    """What the teachers, by role, see of the training images, by role `statistics`, where a
    recovery matches more than their running statistics."""
    if recover.gathers is None:
        return {}
    return {
        role.replace("teacher", "statistics"): draft.plan.add_section(
            "statistics", teacher.label, recover.gathers, {"teacher": teacher}
        )
        for role, teacher in teachers.items()
    }


def informativeness(draft: Draft, teacher: Node, recover: Recover) -> Node:
    """A look at `teacher`, which has BatchNorm, by a short recovery, like `recover` but for its
    length and r_bn."""
    section = draft.config.informativeness
    params = {k: v for k, v in recover.dump().items() if k not in NOT_OF_LOOKS}
    identity = {k: v for k, v in recover.identity().items() if k not in NOT_OF_LOOKS}
    return draft.plan.add(
        "informativeness",
        teacher.label,
        {**section.dump(), "recover": params},
        {"teacher": teacher},
        {**section.identity(), "recover": identity},
    )


def looks(draft: Draft) -> list[dict[str, Any]]:
    """What the report needs of every backbone that is to be looked at, once for each seed."""
    rows: list[dict[str, Any]] = []
    names: list[tuple[str, str]] = []
    for number, backbone in enumerate(draft.config.backbones):
        name, where = backbone.method, f"backbones.{number}"
        if name not in SQUEEZES:
            raise ScddError(f"{where}.method: unknown {name!r}. {nearest(name, SQUEEZES)}")
        if backbone.seeds and "seed" not in parameters(SQUEEZES[name]):
            raise ScddError(f"{where}.seeds: the squeeze {name} has no seed.")
        title = backbone.title or TITLES.get(name, name)
        network = backbone.backbone or draft.config.backbone
        if (title, network.label) in names:
            raise ScddError(
                f"{where}: a second {title}, {network.label}; give it a title of its own."
            )
        names.append((title, network.label))
        for look in _looks(draft, where, backbone, network):
            rows.append({"title": title, "network": network.label, **look})
    return rows


def _looks(
    draft: Draft, where: str, backbone: Backbone, network: Network
) -> Iterable[dict[str, Any]]:
    recover = recover_params(draft, "scdd-paper", {})
    for seed in backbone.seeds or (None,):
        own = backbone.squeeze if seed is None else {**backbone.squeeze, "seed": seed}
        probe = probed(draft, backbone.method, network, own, backbone.probe)
        require_batch_norm(draft, where, [probe])
        look = informativeness(draft, probe, recover)
        paths = {
            "informativeness": look.folder / "informativeness.json",
            "metrics": probe.folder / "metrics.json",
            "history": draft.plan.parent(probe, "backbone").folder / "history.csv",
        }
        files = {name: str(path.relative_to(RESULTS)) for name, path in paths.items()}
        yield {"squeeze": backbone.method, "seed": seed, **files}
