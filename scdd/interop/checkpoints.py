"""The key layouts of public checkpoints: which tensors of a file are the backbone's.

Names are those of the authors' own programs:

    mocov2        main_moco.py of facebookresearch/moco: encoder_q, whose fc is the head; and their
                  demonstration for CIFAR-10, where encoder_q.net is a Sequential
    mocov3        moco/builder.py of facebookresearch/moco-v3: base_encoder, whose fc is the head
    swav          src/resnet50.py of facebookresearch/swav: backbone beside projection_head and
                  prototypes
    dino          main_dino.py of facebookresearch/dino: of teacher and student, the teacher
    barlow-twins  main.py of facebookresearch/barlowtwins: backbone beside projector and bn
    solo-learn    solo/methods/base.py of vturrisi/solo-learn: backbone (encoder, before 2022) and
                  an online classifier. On CIFAR its 3x3 stem is padded by 2
    lightly       examples and benchmarks of lightly-ai/lightly: backbone, or teacher_backbone, a
                  ResNet or the Sequential of its children; its own ResNets have other shortcuts
    timm          training checkpoints of huggingface/pytorch-image-models: averaged weights first
    torchvision   the bare ResNet, in the references' checkpoints below 'model'; so are timm's
                  published weights, the files with the backbone alone of DINO and Barlow Twins, and
                  the teachers of SRe2L and RDED. Also ResNets of kuangliu/pytorch-cifar, whose
                  shortcut and linear are torchvision's downsample and fc; and the networks of
                  scdd.interop.networks

Keys may have the wrappers that scdd.interop.state_dicts removes. A file with none of these layouts
is searched for a ResNet with torchvision's keys, however deep it is in dictionaries and prefixes.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from scdd.errors import ScddError
from scdd.interop import networks
from scdd.interop.networks import COUNTER
from scdd.interop.state_dicts import described, flat, listed, resnets
from scdd.interop.unpickle import plain, read_foreign
from scdd.networks.backbone import BODY, backbone_state
from scdd.networks.build import build
from scdd.networks.resnet import RESNETS, Bottleneck
from scdd.params.network import Network

RUNNING = ("running_mean", "running_var")
WITH_FC = "backbone.fc.weight"  # an ordinary network, named backbone by whoever trained it
HEADS = ("fc.", "linear.")  # classifiers that torchvision and kuangliu have inside the ResNet


@dataclass(frozen=True)
class Layout:
    """Where in a file the backbone is.

    prefix: of the backbone's keys. holder: the file's entry with the state dict; 'state_dict' may
    also be the file itself. heads: prefixes of keys that are not part of the backbone. classifier:
    the prefix of a linear classifier's keys, '' for none. sign: a prefix of keys by which the
    layout differs from others with the same `prefix`. not_with: a key that it has not. padded:
    a 3x3 stem is padded by 2.
    """

    name: str
    prefix: str
    holder: str = "state_dict"
    heads: tuple[str, ...] = ()
    classifier: str = ""
    sign: str = ""
    not_with: str = ""
    padded: bool = False

    def state(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """The state dict without wrappers; empty where there is none."""
        if self.holder == "state_dict" and self.holder not in content:
            return flat(content, depth=1)
        state = content.get(self.holder)
        return flat(state) if isinstance(state, Mapping) else {}

    def fits(self, state: Mapping[str, Any]) -> bool:
        """Whether `state` has keys of a ResNet below the prefix, and the sign."""
        if self.not_with in state:
            return False
        part = re.compile(re.escape(self.prefix) + r"(conv1\.|bn1\.|layer\d\.|\d+\.)")
        return any(map(part.match, state)) and any(key.startswith(self.sign) for key in state)


# in the order in which they are tried: the last one, which is found at any prefix, would fit parts
# of others
LAYOUTS = (
    Layout("mocov2", "encoder_q.", heads=("fc.",)),
    Layout("mocov2", "encoder_q.net.", heads=("fc.",)),
    Layout("mocov3", "base_encoder.", heads=("fc.",)),
    Layout("swav", "", heads=("projection_head.", "prototypes."), sign="projection_head."),
    Layout("dino", "backbone.", "teacher", not_with=WITH_FC),
    Layout("barlow-twins", "backbone.", "model", not_with=WITH_FC),
    Layout("solo-learn", "backbone.", classifier="classifier.", sign="classifier.", padded=True),
    Layout("solo-learn", "encoder.", classifier="classifier.", sign="classifier.", padded=True),
    Layout(
        "lightly",
        "backbone.",
        classifier="online_classifier.classification_head.",
        not_with=WITH_FC,
    ),
    Layout("lightly", "teacher_backbone."),
    Layout("timm", "", "state_dict_ema", heads=("fc.",), classifier="fc."),
    Layout("torchvision", "", heads=HEADS, classifier="fc."),
)
BARE = LAYOUTS[-1]
NAMES = tuple(dict.fromkeys(layout.name for layout in LAYOUTS))
ALSO_BARE = ("dino", "barlow-twins", "timm")  # also published with torchvision's keys


@dataclass(frozen=True)
class ForeignBackbone:
    """A backbone as a file has it.

    prefix: of its keys in the file, without wrappers. architecture: of the file, with '' for an
    unknown arch or stem; the stem 'small' may also be 'small-pad2', which keys and shapes do not
    show. state: float32 tensors by the keys of a backbone here. classifier: `fc.weight`
    [classes, features] and `fc.bias` [classes], or empty.
    """

    layout: str
    prefix: str
    architecture: Network
    state: dict[str, Tensor]
    classifier: dict[str, Tensor]


def find(path: Path, name: str = "auto") -> ForeignBackbone:
    """The backbone in the checkpoint `path`, in the layout `name` or in the first that fits.

    Raises ScddError, naming the file, where there is none, where it does not consist of tensors, or
    where a value is not finite.
    """
    content = read_foreign(path)
    if name in {"auto", BARE.name} and (others := networks.find(values := flat(content))):
        _require_single([other.prefix for other in others] + resnets(values), path)
        return _other(others[0], path)
    layout, state = _choose(content, name, path)
    backbone = {
        key: _checked(value, f"{layout.prefix}{key}", path)
        for key, value in _by_torchvision(state, layout).items()
    }
    classifier = {
        f"fc.{part}": _checked(state[key], key, path)
        for part in ("weight", "bias")
        if layout.classifier and (key := f"{layout.classifier}{part}") in state
    }
    architecture = _architecture(backbone, layout)
    return ForeignBackbone(layout.name, layout.prefix, architecture, backbone, _linear(classifier))


def _require_single(prefixes: list[str], path: Path) -> None:
    if len(prefixes) > 1:
        raise ScddError(
            f"{path} has several networks, below the keys "
            f"{listed(prefix or 'of the file' for prefix in prefixes)}: save the one that is meant "
            "in a file of its own."
        )


def _other(other: networks.Found, path: Path) -> ForeignBackbone:
    """The network that is not a ResNet."""
    state, classifier = (
        {
            key: _checked(value, f"{other.prefix}{key.removeprefix(BODY)}", path)
            for key, value in part.items()
        }
        for part in (other.state, other.classifier)
    )
    architecture = other.architecture
    return ForeignBackbone(BARE.name, other.prefix, architecture, state, _linear(classifier))


def _linear(classifier: dict[str, Tensor]) -> dict[str, Tensor]:
    """The classifier if it is one linear layer, else nothing."""
    return classifier if [t.ndim for t in classifier.values()] == [2, 1] else {}


def _choose(content: Mapping[str, Any], name: str, path: Path) -> tuple[Layout, dict[str, Any]]:
    possible = [layout for layout in LAYOUTS[:-1] if name in {"auto", layout.name}]
    for layout in possible:
        state = layout.state(content)
        if layout.fits(state):
            return layout, state
    if found := _elsewhere(content, [layout for layout in possible if layout.prefix]):
        return found
    values = flat(content)
    networks = resnets(values) or ([""] if BARE.fits(values) else [])
    if name in {"auto", BARE.name, *ALSO_BARE}:
        if len(networks) > 1:
            raise ScddError(
                f"{path} has several ResNets, below the keys {listed(networks)}: save the one that "
                "is meant in a file of its own."
            )
        for prefix in networks:
            head = next((h for h in HEADS if f"{prefix}{h}weight" in values), HEADS[0])
            named = BARE.name if name == "auto" else name
            return replace(BARE, name=named, prefix=prefix, classifier=f"{prefix}{head}"), values
    what = "no known layout" if name == "auto" else f"not the layout {name}"
    raise ScddError(
        f"{path} has {what}: no ResNet was found. {described(content)} "
        f"Known layouts: {', '.join(NAMES)}."
    )


def _elsewhere(
    content: Mapping[str, Any], layouts: list[Layout]
) -> tuple[Layout, dict[str, Any]] | None:
    """A layout in another entry of the file than its authors', if one entry alone has it."""
    states = [flat(value) for value in content.values() if isinstance(value, Mapping)]
    for layout in layouts:
        fitting = [state for state in states if layout.fits(state)]
        if len(fitting) == 1:
            return layout, fitting[0]
    return None


def _by_torchvision(state: Mapping[str, Any], layout: Layout) -> dict[str, Any]:
    """The backbone's entries by torchvision's keys; unknown entries keep their own keys."""
    inside = {
        # lightly's own ResNets name it shortcut
        key.removeprefix(layout.prefix).replace(".shortcut.", ".downsample."): value
        for key, value in state.items()
        if key.startswith(layout.prefix)
    }
    numbers = {int(match[0]) for key in inside if (match := re.match(r"\d+(?=\.)", key))}
    # Children of a Sequential: ReLU and pooling have no keys, so only the numbers tell where the
    # four layers begin. What comes after them is a head.
    first = min((number for number in numbers if number > 1), default=2)
    names = {0: "conv1", 1: "bn1", **{first + i: f"layer{i + 1}" for i in range(4)}}
    for number in numbers:
        names.setdefault(number, "fc")
    named = {
        re.sub(r"^\d+(?=\.)", lambda match: names[int(match[0])], key): value
        for key, value in inside.items()
    }
    return {key: value for key, value in named.items() if not key.startswith(layout.heads)}


def _checked(value: Any, key: str, path: Path) -> Tensor:
    """The tensor as float32, a counter as int64. Raises ScddError, naming file and key, for what is
    not a dense tensor of finite floats, and for negative variances."""
    if not isinstance(value, Tensor):
        raise ScddError(f"{path}: {key} is a {type(value).__name__}, not a tensor.")
    tensor = plain(value, f"{path}: {key}")
    if key.endswith(COUNTER):  # of no use here, and of infinity where it was cut to float16
        if not bool(tensor.isnan().any()):
            return tensor.nan_to_num(posinf=0).long()
    elif not tensor.is_floating_point():
        kind = str(tensor.dtype).removeprefix("torch.")
        raise ScddError(f"{path}: {key} is a tensor of {kind}, but weights are floats.")
    tensor = tensor.float()
    if not bool(tensor.isfinite().all()):
        raise ScddError(f"{path}: {key} has values that are not finite (NaN or infinite).")
    if key.endswith(RUNNING[1]) and bool((tensor < 0).any()):
        raise ScddError(
            f"{path}: {key} has negative values (down to {float(tensor.min()):.3g}), which are not "
            "variances. The file is damaged."
        )
    return tensor


def _architecture(state: Mapping[str, Tensor], layout: Layout) -> Network:
    """The architecture of a state dict with torchvision's keys, by its keys and shapes."""
    conv, unknown = state.get("conv1.weight"), cast(Any, "")
    if conv is None or conv.ndim != 4:
        return Network(unknown, 1.0, unknown)
    counts = [0, 0, 0, 0]
    for key in state:
        if match := re.match(r"layer([1-4])\.(\d+)\.", key):
            place, count = int(match[1]) - 1, int(match[2]) + 1
            counts[place] = max(counts[place], count)
    deep = any(".conv3." in key for key in state)
    known: dict[tuple[bool, tuple[int, ...]], str] = {
        (block is Bottleneck, depths): arch for arch, (block, depths) in RESNETS.items()
    }
    stems = {7: "imagenet", 3: "small-pad2" if layout.padded else "small"}
    arch, stem = known.get((deep, tuple(counts)), unknown), stems.get(conv.shape[-1], unknown)
    return Network(arch, conv.shape[0] / 64, stem)


def fitted(foreign: ForeignBackbone, wanted: Network, path: Path) -> dict[str, Tensor]:
    """The tensors of a `wanted` backbone, in the order of its keys, from those of a `foreign` one.

    Raises ScddError, naming the file and what differs, where architecture, width, stem or a shape
    differ, or keys are missing or unknown.
    """
    own = foreign.architecture
    # shapes tell the width of others
    same_width = own.arch not in RESNETS or round(64 * own.width) == round(64 * wanted.width)
    if own.arch and not (own.arch == wanted.arch and same_width):
        raise ScddError(
            f"{path} holds a {own.arch} of width {own.width:g}, but the configuration has a "
            f"{wanted.arch} of width {wanted.width:g}. Set backbone: "
            f"{{arch: {own.arch}, width: {own.width:g}}}."
        )
    stems = {own.stem, "small-pad2"} if own.stem == "small" else {own.stem}
    if own.stem and wanted.stem not in stems:
        raise ScddError(
            f"{path} holds a backbone with the stem {own.stem}, but the configuration has the stem "
            f"{wanted.stem}. Set backbone.stem: {own.stem}."
        )
    with torch.device("meta"):
        needed = backbone_state(build(wanted, 1, networks.SIDE))
    state = {**{key: torch.tensor(0) for key in needed if key.endswith(COUNTER)}, **foreign.state}
    running = [key for key in needed if key.endswith(RUNNING)]
    if running and not any(key.endswith(RUNNING) for key in foreign.state):
        raise ScddError(
            f"{path} has no running statistics of BatchNorm (running_mean and running_var), from "
            "which images are recovered. Use a network that was trained with them."
        )
    missing, unknown = sorted(needed.keys() - state.keys()), sorted(state.keys() - needed.keys())
    faults = [f"lacks {listed(missing)}"] if missing else []
    faults += [f"has unknown keys {listed(unknown)}"] if unknown else []
    if faults:
        raise ScddError(
            f"{path}, read in the layout {foreign.layout}, does not hold a {wanted.arch}: the "
            f"backbone {' and '.join(faults)}."
        )
    for key, tensor in needed.items():
        if state[key].shape != tensor.shape:
            raise ScddError(
                f"{path}: {key} is {list(state[key].shape)}, but {list(tensor.shape)} in a "
                f"{wanted.arch} of width {wanted.width:g}."
            )
    return {key: state[key] for key in needed}
