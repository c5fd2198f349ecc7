"""Checkpoints: a state dict and what is needed to build the network again."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scdd.artifacts import tensors
from scdd.artifacts.classes import class_hash, require_same_classes
from scdd.artifacts.files import require_digest
from scdd.errors import ScddError
from scdd.params.network import Network


@dataclass(frozen=True)
class Checkpoint:
    """A stored network. `kind` is 'backbone' (no classifier) or 'classifier' (with `fc`).

    source: where an imported backbone is from, else None; it may have an `fc` of its own.
    resolution: pixels a side of the images that it is for, on which the weights of a ConvNet
    depend; 0 in files of before it was written.
    """

    kind: str
    architecture: Network
    classes: tuple[str, ...]
    state: dict[str, Tensor]
    digest: str
    source: Mapping[str, Any] | None = None
    resolution: int = 0


def save_checkpoint(path: Path, checkpoint: Checkpoint, env: Mapping[str, Any]) -> None:
    """Write a checkpoint. Raises ScddError, naming the tensor, where a value is not finite."""
    for name, tensor in checkpoint.state.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ScddError(f"{path} was not written: {name} has values that are not finite.")
    header = {
        "kind": checkpoint.kind,
        "architecture": asdict(checkpoint.architecture),
        "classes": list(checkpoint.classes),
        "class_hash": class_hash(checkpoint.classes),
        "resolution": checkpoint.resolution,
        "digest": checkpoint.digest,
        "env": dict(env),
    }
    if checkpoint.source is not None:
        header["source"] = dict(checkpoint.source)
    tensors.save(path, checkpoint.state, header)


def load_checkpoint(
    path: Path,
    *,
    kind: str,
    digest: str | None = None,
    classes: tuple[str, ...] | None = None,
    classes_of: object = "the dataset",
) -> Checkpoint:
    """The checkpoint at `path`, which must be of this `kind`.

    digest (of the artifact), classes: what the caller expects; None accepts any. Raises ScddError
    where the file is damaged, or of another kind, artifact or class list.
    """
    state, header = tensors.load(path)
    tensors.require_kind(path, header, kind)
    if classes is not None:
        require_same_classes(header["classes"], path, classes, classes_of)
    network, names = Network(**header["architecture"]), tuple(header["classes"])
    what = f"{network.arch} (width {network.width:g}, stem {network.stem})"
    require_digest(path, header["digest"], digest, f"holds a {what} of artifact")
    source, resolution = header.get("source"), header.get("resolution", 0)
    return Checkpoint(kind, network, names, state, header["digest"], source, resolution)
