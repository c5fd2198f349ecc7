"""A backbone that others trained, from the checkpoint that they published (docs/checkpoints.md).

There is nothing to train: this module has `load` in place of `make`.
"""

from pathlib import Path
from typing import Any

from torch import Tensor

from scdd.artifacts.files import sha256
from scdd.errors import ScddError
from scdd.interop.checkpoints import find, fitted
from scdd.params.network import Network


def load(
    path: Path, params: dict[str, Any], wanted: Network
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The backbone's tensors, with `fc` if the file has a classifier, and where it is from.

    Raises ScddError, naming the file, if it is not the one that was planned with, or does not have
    the `wanted` backbone.
    """
    source = params["source"]
    if not path.is_file() or sha256(path) != params["sha256"]:
        raise ScddError(f"{path} is missing, or is not the file that this run was planned with.")
    checkpoint = find(path, source["layout"])
    state = fitted(checkpoint, wanted, path)
    rows = len(checkpoint.classifier["fc.weight"]) if checkpoint.classifier else 0
    if rows and source["classes"] and rows != len(source["classes"]):
        raise ScddError(
            f"{path} has a classifier of {rows} classes, but squeeze.imported.source.classes "
            f"names {len(source['classes'])}."
        )
    record = {**source, "layout": checkpoint.layout, "file": str(path), "sha256": params["sha256"]}
    return state | checkpoint.classifier, record
