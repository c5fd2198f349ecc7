"""Networks in checkpoints that are not ResNets: torchvision's, and Wide ResNets of small images.

Which one a file holds is told by a key that only its family has, then by all keys and shapes. The
strides of a stem leave no trace in most of them.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from scdd.interop.state_dicts import told_apart
from scdd.networks.backbone import BODY, FC, last_linear
from scdd.networks.students import build
from scdd.params.architectures import DENSENETS, SCALED, SHUFFLENETS, WIDE_RESNETS
from scdd.params.network import Network

SIGNS: dict[str, tuple[str, ...]] = {  # the end of a key, and who may have it
    "features.denseblock1.denselayer1.norm1.weight": tuple(DENSENETS),
    "stage2.0.branch1.0.weight": tuple(SHUFFLENETS),
    "features.1.conv.0.0.weight": ("mobilenet_v2",),
    "features.1.0.block.0.0.weight": ("efficientnet_b0",),
    "block1.layer.0.bn1.weight": tuple(WIDE_RESNETS),
    "features.10.bias": ("alexnet",),
}
# torchvision's files of DenseNets are older than its names of their layers
OLD = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])\.")
COUNTER = ".num_batches_tracked"  # missing in files from before PyTorch 0.4.1
SIDE = 224  # pixels of images that all of these take
TRIED = 5  # widths

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Found:
    """A network in a checkpoint, below a prefix of its keys.

    architecture: '' for a stem that tensors do not tell, and for an arch of which the shapes are
    none that it can have. state: its values by the keys of a backbone here; classifier: those of
    its last layer, `fc.weight` and `fc.bias`, if it has one.
    """

    prefix: str
    architecture: Network
    state: dict[str, Any]
    classifier: dict[str, Any]


def find(values: Mapping[str, Any]) -> list[Found]:
    """The networks of `values`, as `flat` returns them, that are to be chosen from."""
    values = {OLD.sub(r"\1\2.", key): value for key, value in values.items()}
    signed = {
        key.removesuffix(sign): names
        for sign, names in SIGNS.items()
        for key in values
        if key == sign or key.endswith(f".{sign}")
    }
    found = [
        _among(
            signed[prefix],
            prefix,
            {key[len(prefix) :]: value for key, value in values.items() if key.startswith(prefix)},
        )
        for prefix in told_apart(values, list(signed))
    ]
    return [network for network in found if network is not None]


def by_authors(network: Network, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a backbone, of which the classifier's have their authors' keys too."""
    last = _layout(network)[1]
    return {
        f"{last}.{key.removeprefix(FC)}" if key.startswith(FC) else key.removeprefix(BODY): tensor
        for key, tensor in state.items()
    }


def _among(names: tuple[str, ...], prefix: str, inside: Mapping[str, Any]) -> Found | None:
    """Of the networks `names`, the largest whose keys are all there."""
    shapes = {key: tuple(value.shape) for key, value in inside.items() if isinstance(value, Tensor)}
    stem = _stem(shapes)
    layouts = {name: _layout(Network(name, 1.0, cast(Any, stem or "imagenet"))) for name in names}
    whole = [name for name, (needed, _) in layouts.items() if needed.keys() <= shapes.keys()]
    most = max((len(layouts[name][0]) for name in whole), default=0)
    largest = [name for name in whole if len(layouts[name][0]) == most]
    if not largest:
        return None
    last = layouts[largest[0]][1]
    body = "" if largest[0] in WIDE_RESNETS else BODY
    return Found(
        prefix,
        next(_fitting(largest, stem, shapes), Network("", 1.0, cast(Any, stem))),
        {f"{body}{k}": value for k, value in inside.items() if not k.startswith(f"{last}.")},
        {
            f"{FC}{part}": inside[f"{last}.{part}"]
            for part in ("weight", "bias")
            if f"{last}.{part}" in inside
        },
    )


def _fitting(names: list[str], stem: str, shapes: Shapes) -> Iterator[Network]:
    """The networks that have these shapes, of width 1 or of one that the shapes suggest."""
    for name in names:
        needed, _ = _layout(Network(name, 1.0, cast(Any, stem or "imagenet")))
        ratios = Counter(shapes[key][0] / shape[0] for key, shape in needed.items() if shape)
        widths = [ratio for ratio, _ in ratios.most_common(TRIED)] if name in SCALED else []
        for width in (1.0, *widths):
            there, _ = _layout(Network(name, width, cast(Any, stem or "imagenet")))
            if all(shapes[key] == shape for key, shape in there.items()):
                yield Network(name, width, cast(Any, stem))


def _stem(shapes: Shapes) -> str:
    """That of a DenseNet; those of others leave no trace."""
    kernel = shapes.get("features.conv0.weight", (0,))[-1]
    return {7: "imagenet", 3: "small"}.get(kernel, "")


def _layout(network: Network) -> tuple[Shapes, str]:
    """The shapes of a network's tensors by its authors' keys, but for counters and its last layer;
    and the key of that layer."""
    with torch.device("meta"):
        whole = build(network, 1, SIDE, torch.Generator())
    last = last_linear(whole)
    shapes = {
        key: tuple(tensor.shape)
        for key, tensor in whole.state_dict().items()
        if not key.endswith(COUNTER) and not key.startswith(f"{last}.")
    }
    return shapes, last
