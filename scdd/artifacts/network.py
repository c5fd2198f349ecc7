"""Checkpoints: a state dict and what is needed to build the network again."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scdd.artifacts import tensors
from scdd.artifacts.classes import class_hash, require_same_classes
from scdd.errors import ScddError
from scdd.params.network import Network


@dataclass(frozen=True)
class Checkpoint:
    """A network at rest. `kind` is 'backbone' (no classifier) or 'classifier' (with `fc`).

    source: of what others trained: where it is from. Such a backbone may have an `fc` of its own.
    """

    kind: str
    architecture: Network
    classes: tuple[str, ...]
    state: dict[str, Tensor]
    digest: str
    source: Mapping[str, Any] | None = None


def save_checkpoint(path: Path, checkpoint: Checkpoint, env: Mapping[str, Any]) -> None:
    """Raises ScddError, naming the tensor, where a value is not finite."""
    for name, tensor in checkpoint.state.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ScddError(f"{path} was not written: {name} has values that are not finite.")
    header = {
        "kind": checkpoint.kind,
        "architecture": asdict(checkpoint.architecture),
        "classes": list(checkpoint.classes),
        "class_hash": class_hash(checkpoint.classes),
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
    """Raises ScddError where the file is damaged, or of another kind, artifact or class list.

    `digest` (of the artifact) and `classes` are what the caller expects; None accepts any.
    """
    state, header = tensors.load(path)
    if header.get("kind") != kind:
        raise ScddError(f"{path} is a {header.get('kind')!r} file, but a {kind!r} is needed.")
    found = Network(**header["architecture"])
    if classes is not None:
        require_same_classes(header["classes"], path, classes, classes_of)
    if digest is not None and header["digest"] != digest:
        raise ScddError(
            f"{path} holds a {found.arch} (width {found.width:g}, stem {found.stem}) of artifact "
            f"{header['digest']}, but this configuration was made for artifact {digest}. Delete "
            "the file and run snakemake again: it will be remade."
        )
    names = tuple(header["classes"])
    return Checkpoint(kind, found, names, state, header["digest"], header.get("source"))
