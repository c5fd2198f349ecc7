"""Tensors and a JSON header in one safetensors file, sealed with a hash of both."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from scdd.artifacts.files import damaged, replacing
from scdd.errors import ScddError

KEY = "scdd"  # a single metadata key: safetensors writes several in no fixed order


def content_hash(tensors: Mapping[str, Tensor], header: Mapping[str, Any] | None = None) -> str:
    """sha256 of header, names, dtypes, shapes and bytes; independent of the order of names."""
    digest = hashlib.sha256(json.dumps(header or {}, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)};".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def write(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write atomically, with `header` as it is. Raises ScddError where the disk is full."""
    with replacing(path) as temporary:
        try:
            save_file(dict(tensors), temporary, metadata={KEY: json.dumps(header, sort_keys=True)})
        except SafetensorError as error:  # hides the system's error number
            raise ScddError(
                f"{path} was not written ({error}). Make room, then run snakemake again."
            ) from None


def save(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write atomically, sealed. `header` must be JSON; equal input gives equal bytes.

    Raises ScddError where the disk is full.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write(path, tensors, {**header, "sha256": content_hash(tensors, header)})


def read_header(path: Path) -> dict[str, Any]:
    """The header alone, without reading the tensors. Raises ScddError as `load` does."""
    try:
        with safe_open(path, framework="pt") as file:
            header: dict[str, Any] = json.loads((file.metadata() or {})[KEY])
            return header
    except FileNotFoundError:
        raise ScddError(f"{path} does not exist. Run snakemake to make it.") from None
    except (SafetensorError, OSError) as error:
        raise damaged(path, f"is truncated or not a safetensors file ({error})") from None
    except (KeyError, json.JSONDecodeError):
        raise ScddError(f"{path} was not written by scdd: it has no scdd header.") from None


def require_kind(path: Path, header: Mapping[str, Any], kind: str) -> None:
    """Raises ScddError where the header is that of another kind of file."""
    if header.get("kind") != kind:
        raise ScddError(f"{path} is a {header.get('kind')!r} file, but {kind!r} is needed.")


def load(path: Path, *, verify: bool = True) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors (CPU, in memory of their own) and header. verify: compare the hash; off where the
    file's own hash was compared already.

    Raises ScddError, naming the file, where it is missing, truncated, altered or foreign.
    """
    header = read_header(path)
    sealed = header.pop("sha256", None)
    with safe_open(path, framework="pt") as file:
        # cloned: mapped tensors may be unaligned, and a matrix product then rounds differently
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    if verify and content_hash(tensors, header) != sealed:
        raise damaged(path, "was altered after it was written (its hash differs)")
    return tensors, header


def load_mapped(path: Path, *, verify: bool = False) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Memory-mapped tensors and the header. verify: compare the hash, which reads the whole file
    once; off where the file's own hash was compared already.

    Copy what you compute with: see `load`. Raises ScddError as `load` does.
    """
    header = read_header(path)
    sealed = header.pop("sha256", None)
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if verify and content_hash(tensors, header) != sealed:
        raise damaged(path, "was altered after it was written (its hash differs)")
    return tensors, header
